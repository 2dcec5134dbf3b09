package digitalocean

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"berth/provider"
)

func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(s *setting) { s.cloud.DropletLimit = 3 })
		for i := range 3 {
			a, err := r.Account(t.Context())
			want := provider.Account{Standing: provider.Good, MachineLimit: 3, Machines: i}
			if err != nil || a != want || a.Full() {
				t.Errorf("Account = %+v, %v; want %+v", a, err, want)
			}
			r.on(t, fmt.Sprintf("srv_%d", i))
		}
		if a, err := r.Account(t.Context()); err != nil || !a.Full() {
			t.Errorf("Account = %+v, %v; want it to be full", a, err)
		}
	})
}

func TestAccountStanding(t *testing.T) {
	for status, want := range map[string]provider.Standing{
		"active": provider.Good, "warning": provider.Warned, "locked": provider.Locked, "frozen": provider.Warned,
	} {
		p := answering(t, func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/droplets") {
				return reply(200, map[string]any{"droplets": []any{}, "meta": map[string]int{"total": 7}}), nil
			}
			return reply(200, map[string]any{"account": map[string]any{
				"status": status, "status_message": "pay your bill", "droplet_limit": 25,
			}}), nil
		})
		a, err := p.Account(t.Context())
		if err != nil || a != (provider.Account{Standing: want, Message: "pay your bill", MachineLimit: 25, Machines: 7}) {
			t.Errorf("%s: Account = %+v, %v; want %s", status, a, err, want)
		}
	}
}
