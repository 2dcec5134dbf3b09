package prompts_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"berth/ops/opstest"
	"berth/prompts"
)

func all(t *testing.T) map[string]prompts.Prompt {
	t.Helper()
	list, err := prompts.All()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]prompts.Prompt{}
	for _, p := range list {
		byName[p.Name] = p
	}
	return byName
}

func TestAll(t *testing.T) {
	list := all(t)
	for _, name := range []string{"provision_server", "deploy_app", "debug_server", "review_spend", "restore_snapshot"} {
		p, ok := list[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Arguments) == 0 {
			t.Errorf("%s lacks a title, a description or arguments", name)
		}
		for _, a := range p.Arguments {
			if a.Name == "" || a.Description == "" || (a.Required && a.Default != "") {
				t.Errorf("%s: argument %+v", name, a)
			}
		}
	}
}

// TestRender completes each prompt with nothing but what it needs, and with all.
func TestRender(t *testing.T) {
	for name, p := range all(t) {
		least, most := map[string]string{}, map[string]string{}
		for _, a := range p.Arguments {
			most[a.Name] = "VALUE-" + a.Name
			if a.Required {
				least[a.Name] = "VALUE-" + a.Name
			}
		}
		for _, given := range []map[string]string{least, most} {
			text, err := p.Render(given)
			if err != nil {
				t.Errorf("%s %v: %v", name, given, err)
				continue
			}
			for _, v := range given {
				if !strings.Contains(text, v) {
					t.Errorf("%s leaves out %s", name, v)
				}
			}
			if strings.Contains(text, "{{") || strings.Contains(text, "<no value>") || strings.HasPrefix(text, "---") {
				t.Errorf("%s is not completed: %s", name, text)
			}
		}
		for _, a := range p.Arguments {
			if text, err := p.Render(least); err == nil && a.Default != "" && !strings.Contains(text, a.Default) {
				t.Errorf("%s does not use the default %q of %s", name, a.Default, a.Name)
			}
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	p := all(t)["debug_server"]
	for name, given := range map[string]map[string]string{
		"nothing":       nil,
		"one of two":    {"server_id": "srv_1"},
		"an empty one":  {"server_id": "srv_1", "symptom": ""},
		"unknown":       {"server_id": "srv_1", "symptom": "slow", "colour": "red"},
		"one too large": {"server_id": "srv_1", "symptom": strings.Repeat("x", 4097)},
	} {
		if text, err := p.Render(given); err == nil || text != "" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	// What stands in an argument is text and no template.
	text, err := p.Render(map[string]string{"server_id": "{{.symptom}}", "symptom": "<b>&"})
	if err != nil || !strings.Contains(text, "{{.symptom}}") || !strings.Contains(text, "<b>&") {
		t.Errorf("%q, %v", text, err)
	}
}

var word = regexp.MustCompile(`\b[a-z]+_[a-z_]+\b`)

// TestPromptsNameWhatThereIs: the operations and inputs that a prompt speaks of
// exist.
func TestPromptsNameWhatThereIs(t *testing.T) {
	known := []string{"idempotency_key", "quote_id", "wait_seconds"}
	for _, op := range opstest.New(t).System.Table().All() {
		known = append(append(known, op.Name), op.InputOrder...)
	}
	for name, p := range all(t) {
		given := map[string]string{}
		for _, a := range p.Arguments {
			given[a.Name] = "x"
		}
		text, err := p.Render(given)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range word.FindAllString(text, -1) {
			if !slices.Contains(known, w) {
				t.Errorf("%s speaks of %s, which there is not", name, w)
			}
		}
	}
}
