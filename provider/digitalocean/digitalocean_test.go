package digitalocean

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/provider"
	"berth/provider/sandbox"
)

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no token":         {},
		"token with space": {Token: "a b"},
		"no address":       {Token: "t", URL: "hello"},
		"other scheme":     {Token: "t", URL: "ftp://example.org"},
		"bad key":          {Token: "t", AccountKey: "hello"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// answering is a provider whose requests a function answers.
func answering(t *testing.T, answer func(*http.Request) (*http.Response, error)) *Provider {
	t.Helper()
	p, err := New(Options{Token: "secret", URL: "https://cloud.test/base", HTTP: &http.Client{Transport: roundTrip(answer)}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := f(r)
	if answer != nil {
		answer.Request = r
	}
	return answer, err
}

func reply(status int, body any) *http.Response {
	recorder := httptest.NewRecorder()
	recorder.WriteHeader(status)
	if err := json.NewEncoder(recorder).Encode(body); err != nil {
		panic(err)
	}
	return recorder.Result()
}

func TestErrorKinds(t *testing.T) {
	said := func(status int, message string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return reply(status, map[string]string{"id": "x", "message": message, "request_id": "req-1"}), nil
		}
	}
	broken := func(err error) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		answer        func(*http.Request) (*http.Response, error)
		read, changed provider.Kind
	}{
		"400":                {said(400, "bad"), provider.Invalid, provider.Invalid},
		"401":                {said(401, "Unable to authenticate you"), provider.Auth, provider.Auth},
		"403":                {said(403, "You are not authorized"), provider.Auth, provider.Auth},
		"403, a limit":       {said(403, "You have reached your droplet limit"), provider.Limit, provider.Limit},
		"404":                {said(404, "not found"), provider.NotFound, provider.NotFound},
		"409":                {said(409, "conflict"), provider.Conflict, provider.Conflict},
		"429":                {said(429, "Too many requests"), provider.RateLimited, provider.RateLimited},
		"500":                {said(500, "Server Error"), provider.Unavailable, provider.Ambiguous},
		"501":                {said(501, "not offered"), provider.Invalid, provider.Invalid},
		"503":                {said(503, ""), provider.Unavailable, provider.Ambiguous},
		"redirect":           {said(307, ""), provider.Invalid, provider.Invalid},
		"pending event":      {said(422, "Droplet already has a pending event."), provider.Conflict, provider.Conflict},
		"limit":              {said(422, "creating this/these droplet(s) will exceed your droplet limit"), provider.Limit, provider.Limit},
		"sold out":           {said(422, "Size is not available in this region."), provider.OutOfCapacity, provider.OutOfCapacity},
		"region closed":      {said(422, "Region is not available"), provider.OutOfCapacity, provider.OutOfCapacity},
		"image elsewhere":    {said(422, "The image you specified is not available in the selected region"), provider.Invalid, provider.Invalid},
		"try again":          {said(422, "Oops, please try again later"), provider.Unavailable, provider.Unavailable},
		"invalid":            {said(422, "You specified an invalid size for Droplet creation."), provider.Invalid, provider.Invalid},
		"connection refused": {broken(&net.OpError{Op: "dial", Err: errors.New("refused")}), provider.Unavailable, provider.Unavailable},
		"connection dropped": {broken(io.ErrUnexpectedEOF), provider.Unavailable, provider.Ambiguous},
		"no JSON": {func(*http.Request) (*http.Response, error) {
			return reply(202, "hello"), nil
		}, provider.Unavailable, provider.Ambiguous},
		"empty answer": {func(*http.Request) (*http.Response, error) {
			return reply(202, map[string]any{}), nil
		}, provider.Unavailable, provider.Ambiguous},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				created := 0
				p := answering(t, func(r *http.Request) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPost:
						created++
						return tt.answer(r)
					case strings.HasSuffix(r.URL.Path, "/droplets"):
						return reply(200, map[string]any{"droplets": []any{}}), nil
					}
					return tt.answer(r)
				})
				_, err := p.Machine(t.Context(), "1")
				wantKind(t, "reading", err, tt.read)
				_, err = p.Create(t.Context(), provider.Spec{Tag: "srv_1"})
				wantKind(t, "changing", err, tt.changed)
				want := 1
				if tt.changed == provider.RateLimited {
					want = tries // where nothing was done, it may be sent again
				}
				if created != want {
					t.Errorf("the create was sent %d times, want %d", created, want)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error shows the token: %v", err)
				}
			})
		})
	}
}

// The token goes to the API and not to where it redirects.
func TestTokenStaysHome(t *testing.T) {
	asked := 0
	p := answering(t, func(r *http.Request) (*http.Response, error) {
		asked++
		if r.URL.Host != "cloud.test" || !strings.HasPrefix(r.URL.Path, "/base/v2/") {
			t.Errorf("a request went to %s", r.URL)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("authorization %q", got)
		}
		answer := reply(http.StatusFound, nil)
		answer.Header.Set("Location", "https://elsewhere.test/")
		return answer, nil
	})
	_, err := p.Machine(t.Context(), "1")
	wantKind(t, "Machine", err, provider.Invalid)
	if asked != 1 {
		t.Errorf("%d requests were sent", asked)
	}
}

// All pages of a list are read, and a list without an end is given up.
func TestMachinesByPage(t *testing.T) { synctest.Test(t, testMachinesByPage) }

func testMachinesByPage(t *testing.T) {
	for _, tt := range []struct {
		droplets int
		want     provider.Kind
	}{{0, ""}, {200, ""}, {450, ""}, {maxPages*pageSize + 1, provider.Unavailable}} {
		asked := 0
		p := answering(t, func(r *http.Request) (*http.Response, error) {
			asked++
			query := r.URL.Query()
			if query.Get("tag_name") != "fleet" || query.Get("per_page") != "200" {
				t.Errorf("asked for %s", r.URL)
			}
			first := 200 * (asked - 1)
			var list []map[string]any
			for i := first; i < min(first+200, tt.droplets); i++ {
				list = append(list, map[string]any{"id": i + 1, "created_at": "2026-01-01T00:00:00Z"})
			}
			links := map[string]any{}
			if first+200 < tt.droplets {
				links["pages"] = map[string]string{"next": fmt.Sprintf("https://cloud.test/v2/droplets?page=%d", asked+1), "last": "https://cloud.test/v2/droplets?page=99"}
			}
			return reply(200, map[string]any{"droplets": list, "links": links}), nil
		})
		all, err := p.Machines(t.Context(), "fleet")
		wantKind(t, "Machines", err, tt.want)
		if tt.want == "" && len(all) != tt.droplets {
			t.Errorf("%d droplets were read, want %d", len(all), tt.droplets)
		}
		if asked > maxPages {
			t.Errorf("%d pages were read", asked)
		}
	}
}

func TestPrice(t *testing.T) {
	for _, tt := range []struct {
		dollars float64
		want    berth.Micros
	}{
		{0.00893, 8930},
		{0.00744, 7440},
		{0.00743999984130144, 7440},
		{0.1, 100_000},
		{0.29, 290_000}, // 0.29 * 1e6 is 290000.00000000006 as a float
		{3.39, 3_390_000},
		{23.92, 23_920_000},
		{0.0000001, 1},
		{0.0089301, 8931},
	} {
		if got, err := price(tt.dollars); err != nil || got != tt.want {
			t.Errorf("price(%v) = %d, %v; want %d", tt.dollars, got, err, tt.want)
		}
	}
	for _, wrong := range []float64{0, -1, 1e300} {
		if got, err := price(wrong); err == nil {
			t.Errorf("price(%v) = %d", wrong, got)
		}
	}
}

func accountKeyLine(t *testing.T, seed byte) string {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), ed25519.SeedSize)))
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " berth"
}

// The account's key is registered once and named in every create; without one
// the list of keys is empty and not null.
func TestAccountKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.account.AccountKey = accountKeyLine(t, 0) })
		for i := range 3 {
			if _, err := r.Create(t.Context(), spec(fmt.Sprintf("srv_%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.wire.count("POST", "/v2/account/keys"); n != 1 {
			t.Errorf("the key was registered %d times", n)
		}
		for _, body := range r.wire.bodies("POST", "/v2/droplets") {
			if keys, _ := body["ssh_keys"].([]any); len(keys) != 1 || keys[0] != r.key.fingerprint {
				t.Errorf("ssh_keys = %v", body["ssh_keys"])
			}
		}

		plain := newRig(t)
		if _, err := plain.Create(t.Context(), spec("srv_1")); err != nil {
			t.Fatal(err)
		}
		if keys, ok := plain.wire.bodies("POST", "/v2/droplets")[0]["ssh_keys"].([]any); !ok || len(keys) != 0 {
			t.Errorf("ssh_keys = %v, want an empty list", keys)
		}
	})
}

func TestAccountKeyTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.account.AccountKey = accountKeyLine(t, 1) })
		gets := "/v2/account/keys/" + r.key.fingerprint

		// A failure is not repeated at once, and makes no droplet.
		r.faults.Next(1, sandbox.Lose{Op: "sshKeys_create", Status: 500})
		for range 3 {
			_, err := r.Create(t.Context(), spec("srv_1"))
			wantKind(t, "Create while the key can't be registered", err, provider.Unavailable)
		}
		if n := r.wire.count("GET", gets); n != 1 || r.cloud.Live() != 0 {
			t.Errorf("%d look-ups, %d droplets", n, r.cloud.Live())
		}
		time.Sleep(keyPause)
		if _, err := r.Create(t.Context(), spec("srv_1")); err != nil {
			t.Fatalf("the key was registered after all: %v", err)
		}

		// Somebody else registered it between the look and the registration.
		other := newRig(t, func(s *setting) { s.account.AccountKey = accountKeyLine(t, 2) })
		other.faults.Next(1, sandbox.Refuse{Op: "sshKeys_create", Status: 422, Message: "SSH Key is already in use on your account"})
		if err := other.register(t.Context()); err != nil {
			t.Errorf("register: %v", err)
		}

		// The account's owner deleted it: the create says so, the next repairs it.
		if _, err := r.client.Keys.DeleteByFingerprint(t.Context(), r.key.fingerprint); err != nil {
			t.Fatal(err)
		}
		r.faults.Next(1, sandbox.Refuse{Op: "droplets_create", Status: 422, Message: "invalid key identifiers for Droplet creation: ssh key not found"})
		_, err := r.Create(t.Context(), spec("srv_2"))
		wantKind(t, "Create with a key that is gone", err, provider.Invalid)
		if _, err := r.Create(t.Context(), spec("srv_2")); err != nil {
			t.Errorf("Create again: %v", err)
		}
		if n := r.wire.count("POST", "/v2/account/keys"); n != 2 {
			t.Errorf("the key was registered %d times", n)
		}
	})
}

// What a tag may have and a name may not is replaced, and the tag is found
// again among a droplet's others.
func TestNameAndTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s := spec("srv_0193f2a4c1d05e6f7a8b9c0d")
		s.Tags = []string{"berth:main", "zz_other"}
		m, err := r.Create(t.Context(), s)
		if err != nil || m.Tag != s.Tag {
			t.Fatalf("Create = %+v, %v", m, err)
		}
		if got := r.wire.bodies("POST", "/v2/droplets")[0]["name"]; got != "srv-0193f2a4c1d05e6f7a8b9c0d" {
			t.Errorf("name = %v", got)
		}
	})
}

// Waiting for one's turn ends with the context.
func TestCreateTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := creates{now: time.Now}
		_, leave, err := c.enter(t.Context(), "srv_1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := c.enter(ctx, "srv_1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter: %v", err)
		}
		leave()
		if len(c.all) != 0 {
			t.Errorf("%d tags are remembered that nothing was sent for", len(c.all))
		}

		a, leave, err := c.enter(t.Context(), "srv_2")
		if err != nil {
			t.Fatal(err)
		}
		c.note(a, 7)
		leave()
		time.Sleep(settleTime)
		if _, leave, err = c.enter(t.Context(), "srv_3"); err != nil {
			t.Fatal(err)
		}
		leave()
		if len(c.all) != 0 {
			t.Errorf("%d tags are remembered after their time", len(c.all))
		}
	})
}
