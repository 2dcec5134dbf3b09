package digitalocean

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"berth/provider"
	"berth/provider/providertest"
	"berth/provider/sandbox"
)

// A cloud that works as fast as it can, over real HTTP.
func TestConformance(t *testing.T) {
	providertest.Run(t, func(t testing.TB) (provider.Provider, providertest.Target) {
		cloud, err := sandbox.Open(sandbox.Options{
			Dir: t.TempDir(), Machines: &sandbox.Empty{}, Limits: sandbox.Limits{Hour: 1_000_000, Minute: -1, KeyLists: -1},
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(cloud.Handler())
		transport := &http.Transport{}
		t.Cleanup(func() {
			if err := cloud.Close(); err != nil {
				t.Error("close the cloud:", err)
			}
			transport.CloseIdleConnections()
			server.Close()
		})
		if err := cloud.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := New(Options{Token: cloud.Token(), URL: server.URL, HTTP: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		return p, providertest.Target{Patience: time.Minute, Pause: func(ctx context.Context) error {
			return sleep(ctx, time.Millisecond)
		}}
	})
}

// A cloud as slow and as forgetful as the real one, with its limits on
// requests, in a bubble where waiting takes no time.
func TestConformanceSlow(t *testing.T) {
	for _, c := range providertest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, func(t testing.TB) (provider.Provider, providertest.Target) {
					r := newRig(t, func(s *setting) {
						s.cloud.Latency = func(string) time.Duration { return 20 * time.Second }
					})
					r.faults.Next(100, sandbox.ListLag{Lists: 2})
					r.faults.Next(100, sandbox.EarlyNotFound{Gets: 1})
					r.faults.Next(100, sandbox.NoAddress{Reads: 2})
					r.faults.Next(100, sandbox.SnapshotLag{Reads: 3})
					return r, providertest.Target{}
				})
			})
		})
	}
}
