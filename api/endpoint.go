package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"berth"
	"berth/ops"
)

// maxBody bounds a JSON body: a file of 1 MiB as base64 fits.
const maxBody = 4 << 20

// endpoint serves one route of an operation.
func (a *API) endpoint(op *ops.Operation, route ops.Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		call, wait, err := a.call(w, r, op, route)
		if err != nil {
			a.fail(w, r, fitting(err, op, route))
			return
		}
		if wantsStream(r) && op.Changes() {
			a.stream(w, r, call, wait)
			return
		}
		raw := route.Raw == ops.RawOut
		if raw {
			call.Open = func(head ops.FileHead) io.Writer { return attach(w, head) }
		}
		res, err := a.System.Dispatch(r.Context(), call)
		if err == nil {
			err = a.System.Wait(r.Context(), res, wait, nil)
		}
		err = fitting(err, op, route)
		switch {
		case err != nil && raw && w.Header().Get("Content-Disposition") != "":
			panic(http.ErrAbortHandler) // the bytes are on their way: only a broken connection tells
		case err != nil:
			a.fail(w, r, err)
		case !raw:
			a.answer(w, route, res)
		}
	}
}

// fitting is an error whose hint shows the operation's example as this route takes
// it: without what the path holds.
func fitting(err error, op *ops.Operation, route ops.Route) error {
	var e *berth.Error
	if !errors.As(err, &e) || e.Hint != op.ExampleHint() || !strings.Contains(route.Path, "{") {
		return err
	}
	told := *e
	told.Hint = "see /openapi.json for what it takes"
	if s := route.BodySchema(op); s != nil {
		if example := exampleOf(op, s); example != nil {
			told.Hint = fmt.Sprintf("a valid body for %s %s is %s", route.Method, route.Path, jsonOf(example))
		}
	}
	return &told
}

// call makes a call of a request. Inputs come from the path, the query (where
// the route has no body), the body, and from the route itself.
func (a *API) call(w http.ResponseWriter, r *http.Request, op *ops.Operation, route ops.Route) (*ops.Call, time.Duration, error) {
	call := &ops.Call{Op: op.Name, Creds: append(a.Credentials(r), wallets(r)...), Front: "http", Origin: a.origin(r)}
	body, err := a.body(w, r, route, call)
	if err != nil {
		return nil, 0, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, 0, berth.Errorf(berth.InvalidInput, "the query can't be read: %v", err)
	}
	for name, values := range query {
		if _, twice := body[name]; twice {
			return nil, 0, berth.Errorf(berth.InvalidInput, "%s stands both in the query and in the body", name)
		}
		if len(values) == 1 {
			body[name] = values[0]
		} else {
			body[name] = values
		}
	}
	if err := prefer(r, op, body); err != nil {
		return nil, 0, err
	}
	env, err := op.TakeEnvelope(body)
	if err != nil {
		return nil, 0, err
	}
	if err := overruled(route, body); err != nil {
		return nil, 0, err
	}
	call.Bare = len(body) == 0 && (call.Body == nil || r.ContentLength == 0)
	for name := range op.Input.Properties {
		if v := r.PathValue(name); v != "" {
			body[name] = v
		}
	}
	maps.Copy(body, route.Fixed)
	call.Args, call.Key, call.Quote = body, env.Key, env.Quote
	var wait time.Duration
	if env.Wait != nil {
		wait = *env.Wait
	}
	return call, wait, nil
}

// prefer reads what stands in headers: the idempotency key, and RFC 7240's wait,
// which is passed over where the operation has nothing to wait for.
func prefer(r *http.Request, op *ops.Operation, args map[string]any) error {
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 1 {
		return berth.Errorf(berth.InvalidInput, "there are %d Idempotency-Key headers; send one", len(keys))
	} else if len(keys) == 1 && r.Method != http.MethodGet {
		args["idempotency_key"] = keys[0]
	}
	for _, p := range strings.Split(r.Header.Get("Prefer"), ",") {
		n, ok := strings.CutPrefix(strings.TrimSpace(p), "wait=")
		if s, err := strconv.ParseUint(n, 10, 32); ok && err == nil && op.Long && args["wait_seconds"] == nil {
			args["wait_seconds"] = min(float64(s), ops.MaxWait.Seconds())
		}
	}
	return nil
}

// overruled refuses inputs that this route supplies itself or does not have: to
// pass them over would do something else than was asked for.
func overruled(route ops.Route, args map[string]any) error {
	var fields []berth.Field
	for _, name := range slices.Sorted(maps.Keys(args)) {
		_, fixed := route.Fixed[name]
		if fixed || slices.Contains(route.Omit, name) || strings.Contains(route.Path, "{"+name+"}") {
			fields = append(fields, berth.Field{Name: name, Reason: "unexpected property"})
		}
	}
	if fields == nil {
		return nil
	}
	e := berth.Errorf(berth.InvalidInput, "%s: %s", fields[0].Name, fields[0].Reason)
	e.Fields = fields
	return e.Hinted("%s %s takes no such input; see /openapi.json", route.Method, route.Path)
}

// body reads a request's JSON object; a route whose body is a file leaves it to
// the operation.
func (a *API) body(w http.ResponseWriter, r *http.Request, route ops.Route, call *ops.Call) (map[string]any, error) {
	args := map[string]any{}
	if route.Raw == ops.RawIn {
		call.Body = r.Body
		return args, nil
	}
	if !route.HasBody() {
		return args, nil
	}
	return readObject(w, r)
}

// readObject reads a request's body, which is a JSON object or empty.
func readObject(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	args := map[string]any{}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, berth.Errorf(berth.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, berth.Errorf(berth.InvalidInput, "the body could not be read").Because(err)
	case len(strings.TrimSpace(string(text))) == 0:
		return args, nil
	}
	if err := json.Unmarshal(text, &args); err != nil || args == nil {
		e := berth.Errorf(berth.InvalidInput, "the body is no JSON object")
		var broken *json.SyntaxError
		if errors.As(err, &broken) && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
			return nil, e.Hinted("it breaks off, or is malformed, at byte %d: %v", broken.Offset, broken).Because(err)
		}
		if t, _, terr := mime.ParseMediaType(r.Header.Get("Content-Type")); terr == nil && t != "application/json" {
			e = e.Hinted("send JSON with Content-Type: application/json; this was %s", t)
		}
		return nil, e.Because(err)
	}
	if name, twice := repeated(text); twice {
		return nil, berth.Errorf(berth.InvalidInput, "the name %.60q stands twice in the body", name).Hinted("send each name once")
	}
	return args, nil
}

// located answers have an address of their own.
type located interface{ Location() string }

func (a *API) answer(w http.ResponseWriter, route ops.Route, res *ops.Result) {
	h := w.Header()
	accompany(h, res)
	if l, ok := res.Out.(located); ok && route.Status == http.StatusCreated {
		h.Set("Location", l.Location())
	}
	a.write(w, route.Status, res.Out)
}

// accompany puts what is said beside an answer into its headers.
func accompany(h http.Header, res *ops.Result) {
	h.Set("Cache-Control", "no-store")
	if res.Replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	if res.Action != "" {
		h.Set("Berth-Action", string(res.Action))
	}
	if res.Receipt != nil {
		if b, err := json.Marshal(res.Receipt); err == nil {
			h.Set("Berth-Receipt", string(b))
		}
		receipt(h, res.Receipt.Payment)
	}
	receipt(h, res.Proof)
}

// attach begins an answer whose body is a file.
func attach(w http.ResponseWriter, head ops.FileHead) io.Writer {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(head.Path)}))
	if head.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(head.Size, 10))
	}
	return w
}

func wantsStream(r *http.Request) bool {
	return slices.ContainsFunc(r.Header.Values("Accept"), func(v string) bool { return strings.Contains(v, "text/event-stream") })
}
