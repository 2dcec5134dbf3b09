package sandbox

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// reply is a successful answer; a nil body is none.
type reply struct {
	status int
	body   object
}

// object is a JSON object that holds what its members are named after.
type object map[string]any

func ok(body object) (reply, error) { return reply{http.StatusOK, body}, nil }

func noContent() (reply, error) { return reply{status: http.StatusNoContent}, nil }

// serve answers one request: who asks, how often, what goes wrong on purpose,
// then the work itself.
func (c *Cloud) serve(rt route, w http.ResponseWriter, r *http.Request) {
	id := newUUID()
	w.Header().Set("x-request-id", id)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)

	rep, err := c.answer(rt, w, r)
	c.respond(rt.op, id, w, r, rep, err)
}

// respond sends an answer, or what went wrong.
func (c *Cloud) respond(op, id string, w http.ResponseWriter, r *http.Request, rep reply, err error) {
	if r.Context().Err() != nil {
		return // nobody is listening any more
	}
	if err == nil {
		w.WriteHeader(rep.status)
		if rep.body != nil {
			c.send(w, rep.body)
		}
		return
	}
	shown := asRefusal(err)
	if shown.status == http.StatusInternalServerError {
		c.log.Error("request failed", "op", op, "request", id, "error", err)
	}
	if shown.retryAfter > 0 {
		w.Header().Set("retry-after", strconv.Itoa(int(math.Ceil(shown.retryAfter.Seconds()))))
	}
	w.WriteHeader(shown.status)
	c.send(w, object{"id": shown.id, "message": shown.message, "request_id": id})
}

func (c *Cloud) answer(rt route, w http.ResponseWriter, r *http.Request) (reply, error) {
	if err := c.identify(r); err != nil {
		return reply{}, err
	}
	if err := c.rate.admit(rt.op, w.Header()); err != nil {
		return reply{}, err
	}
	c.faults.delay(rt.op, r)
	if err := c.faults.before(rt.op); err != nil {
		return reply{}, err
	}
	rep, err := rt.handle(c, r)
	if err != nil {
		return reply{}, err
	}
	return rep, c.faults.after(rt.op, r)
}

// identify refuses a request without the token.
func (c *Cloud) identify(r *http.Request) error {
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(given), []byte(c.token)) != 1 {
		return unauthorized()
	}
	return nil
}

func (c *Cloud) send(w io.Writer, body object) {
	if err := json.NewEncoder(w).Encode(body); err != nil {
		c.log.Debug("an answer was not delivered", "error", err)
	}
}

// maxBody bounds a request's body in bytes: first-boot data of 64 KiB can take
// six times as much when escaped.
const maxBody = 1 << 20

// decode reads a request's JSON body into v. Unknown members are ignored, as
// clients newer than the sandbox send some.
func decode(r *http.Request, v any) error {
	err := json.NewDecoder(r.Body).Decode(v)
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var own *refusal // of a type that decodes itself
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &large):
		return &refusal{
			status: http.StatusRequestEntityTooLarge, id: "request_too_large",
			message: fmt.Sprintf("The request body is larger than %d bytes.", large.Limit),
		}
	case errors.As(err, &kind):
		return unprocessable("%s must not be of type %s", cmp.Or(kind.Field, "The request body"), kind.Value)
	}
	return badRequest("The request body is not valid JSON.")
}

// pathID is a number in the path. What is no number names nothing.
func pathID(r *http.Request, name string) (int, error) {
	id, err := strconv.Atoi(r.PathValue(name))
	if err != nil || id < 1 {
		return 0, notFound()
	}
	return id, nil
}

const (
	defaultPage = 20
	maxPage     = 200
)

// list answers with the page of all that the request asks for.
func list[T any](r *http.Request, name string, all []T) (reply, error) {
	p := cut(r, len(all))
	return ok(object{
		name:    append([]T{}, all[p.from:p.to]...), // never null
		"links": p.links,
		"meta":  object{"total": len(all)},
	})
}

// page is a part of a list: what comes before to, from from on.
type page struct {
	from, to int
	links    object
}

// cut is the page that the request asks for of a list of that length.
func cut(r *http.Request, length int) page {
	size := queryInt(r, "per_page", defaultPage, maxPage)
	number := queryInt(r, "page", 1, math.MaxInt32)
	last := max(1, (length+size-1)/size)
	from := min((number-1)*size, length)
	return page{from, min(from+size, length), pageLinks(r, number, last)}
}

// queryInt is a positive number in the query, cut to most; anything else is
// the given default.
func queryInt(r *http.Request, name string, otherwise, most int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}

func pageLinks(r *http.Request, page, last int) object {
	pages := object{}
	link := func(name string, n int) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(n))
		pages[name] = href(r, r.URL.Path) + "?" + q.Encode()
	}
	if page > 1 {
		link("first", 1)
		link("prev", min(page-1, last))
	}
	if page < last {
		link("next", page+1)
		link("last", last)
	}
	if len(pages) == 0 {
		return object{}
	}
	return object{"pages": pages}
}

// href is the absolute address of a path of this API, as the client reached it.
func href(r *http.Request, path string) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: path}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	return u.String()
}

// timestamp shows a time as DigitalOcean does, in whole seconds.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// newUUID makes a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
