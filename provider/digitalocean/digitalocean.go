// Package digitalocean is DigitalOcean, or anything that speaks its API v2, as
// a provider of machines.
//
// A request that makes something is sent once and never repeated by itself:
// DigitalOcean has no idempotency key, and godo's own retries have made
// droplets twice. What became of such a request that got no clear answer is
// found out by the droplet's unique tag. Only reading and deleting is repeated.
//
// All requests share one budget, which keeps them below the token's limits:
// they wait instead of being refused.
package digitalocean

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"berth"
	"berth/provider"
)

// Options say which account to use, and how. Only Token is required.
type Options struct {
	Token   string // the account's API token, with the right to read and write
	URL     string // where the API is; empty is DigitalOcean's
	SSHPort int    // the port at which machines answer SSH; 0 is 22

	// HTTP carries the requests; its redirect policy is not used. Nil is a
	// client of Berth's own. Every request has a time limit in any case.
	HTTP *http.Client

	// AccountKey is the line of an SSH public key that is registered at the
	// account and named in every create. Without one DigitalOcean makes up a
	// root password and mails it to the account's owner.
	AccountKey string

	Log *slog.Logger // nil discards
	Now berth.Clock  // nil is time.Now
}

const defaultURL = "https://api.digitalocean.com/"

// Provider is an account at DigitalOcean.
type Provider struct {
	client  *godo.Client
	sshPort int
	log     *slog.Logger
	now     berth.Clock

	budget  *budget
	creates creates
	catalog catalog
	key     *accountKey

	// Looks that are shared by all who wait.
	actions   *joint[int, *godo.Action]
	stopping  *joint[int, *godo.Droplet]
	snapshots *joint[struct{}, []godo.Snapshot]
}

var _ provider.Provider = (*Provider)(nil)

// New is the account that the options name. It sends no request; a token that
// is refused shows with the first one, as an error of kind Auth.
func New(o Options) (*Provider, error) {
	if o.Token == "" || strings.ContainsAny(o.Token, " \t\r\n") {
		return nil, errors.New("digitalocean: the API token is missing, or has a space in it")
	}
	if o.URL == "" {
		o.URL = defaultURL
	}
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("digitalocean: %q is no address of an API, such as %s", o.URL, defaultURL)
	}
	key, err := newAccountKey(o.AccountKey)
	if err != nil {
		return nil, err
	}
	if o.SSHPort == 0 {
		o.SSHPort = 22
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := godo.New(carrier(o.HTTP, o.Token, base.Host),
		godo.SetBaseURL(strings.TrimSuffix(base.String(), "/")+"/"), godo.SetUserAgent("berth"))
	if err != nil {
		return nil, fmt.Errorf("digitalocean: make the client: %w", err)
	}
	p := &Provider{client: client, sshPort: o.SSHPort, log: o.Log, now: o.Now, key: key, budget: newBudget(o.Now)}
	p.creates.now, p.catalog.now = o.Now, o.Now
	p.catalog.turn = make(chan struct{}, 1)
	p.actions, p.stopping, p.snapshots = p.newActionLooks(), p.newDropletLooks(), p.newSnapshotLooks()
	return p, nil
}

// Name is "digitalocean".
func (*Provider) Name() string { return "digitalocean" }

// carrier is the HTTP client for godo. It follows no redirects: they would
// repeat a create, and carry the token elsewhere.
func carrier(given *http.Client, token, host string) *http.Client {
	client := &http.Client{}
	if given != nil {
		*client = *given
	}
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = &authorized{token: token, host: host, next: client.Transport}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// maxAnswer bounds an answer's body in bytes. A page of 200 droplets has less
// than a tenth of it.
const maxAnswer = 16 << 20

// authorized presents the token to the API's host and bounds what comes back.
type authorized struct {
	token, host string
	next        http.RoundTripper
}

func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == a.host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	answer, err := a.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}
