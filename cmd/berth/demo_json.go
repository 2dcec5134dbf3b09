package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"

	"berth"
)

// jsonLines tells the story to machines: an object per step, and one at the
// end. It implements teller.
type jsonLines struct{ enc *json.Encoder }

func newJSONLines(w io.Writer) jsonLines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // no browser reads it; people may
	return jsonLines{enc}
}

func (jsonLines) begin(step, int, int)          {}
func (jsonLines) called(string, map[string]any) {}
func (jsonLines) progressed(float64, string)    {}
func (jsonLines) printed(string)                {}
func (jsonLines) returned()                     {}
func (jsonLines) say(string)                    {}

func (j jsonLines) end(r stepResult) {
	line := maps.Clone(r.facts)
	line["step"], line["ok"], line["ms"] = r.step.name, r.err == nil, r.took.Milliseconds()
	if r.skipped != "" {
		line["skipped"] = r.skipped
	}
	if r.err != nil {
		line["error"] = jsonError(r.err)
	}
	j.write(line)
}

func (j jsonLines) close(s summary) {
	line := map[string]any{"ok": s.err == nil, "total_ms": s.took.Milliseconds(), "spent": s.spent}
	if s.missing != "" {
		line["missing"] = s.missing
	}
	if s.err != nil {
		line["error"] = jsonError(s.err)
	}
	j.write(line)
}

// write leaves failures to the writer, which ends the demo.
func (j jsonLines) write(line map[string]any) { _ = j.enc.Encode(line) }

func jsonError(err error) map[string]string {
	out := map[string]string{"message": err.Error()}
	if hint := hintOf(err); hint != "" {
		out["hint"] = hint
	}
	var e *berth.Error
	if errors.As(err, &e) {
		out["code"], out["message"] = string(e.Code), e.Message
	}
	return out
}

// hintOf is what an error says to do instead.
func hintOf(err error) string {
	var e *berth.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
