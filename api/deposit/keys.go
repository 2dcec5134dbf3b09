package deposit

import (
	"net/http"
	"time"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/ops"
)

// key is an SSH key. Berth installs keys itself, so the provider has no id of its
// own for one.
type key struct {
	ID          berth.ID  `json:"id"`
	Provider    string    `json:"provider"`
	ProviderID  string    `json:"provider_id"`
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	Owner       string    `json:"owner_wallet"`
	Created     time.Time `json:"created_at"`
}

type keys struct {
	Keys []key `json:"ssh_keys"`
}

type addKey struct {
	Name      string `json:"name" minLength:"1" maxLength:"64"`
	PublicKey string `json:"public_key" minLength:"1" maxLength:"8192"`
}

var addKeyForm = ops.NewForm[addKey]()

func keyRoutes() []api.ContractRoute {
	return []api.ContractRoute{
		{
			Method: "POST", Path: "/v1/ssh-keys", Status: http.StatusCreated, Summary: "Register a public SSH key", Body: addKey{}, Answer: key{},
			Price: fee(billing.FeeKey), Serve: paid(createKey),
			Probe: api.Probe{Op: "add_ssh_key", Args: map[string]any{"name": "key", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb0mZ3pqjYF0mJ2V0G8dX3qk3v1i3o2n9y0y1x2w3v4"}},
		},
		{
			Method: "GET", Path: "/v1/ssh-keys", Status: http.StatusOK, Summary: "List the wallet's SSH keys", Answer: keys{},
			Price: fee(billing.FeeRead), Serve: paid(listKeys), Errors: []int{http.StatusForbidden},
		},
		{
			Method: "DELETE", Path: "/v1/ssh-keys/{id}", Status: http.StatusOK, Summary: "Remove an SSH key", Answer: struct{}{},
			Price: fee(billing.FeeRemoveKey), Serve: paid(removeKey), Errors: []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway},
		},
	}
}

func viewKey(k ops.KeyView, r *ops.Receipt) key {
	return key{k.ID, providerName, string(k.ID), k.Name, k.Fingerprint, wallet(r), k.CreatedAt}
}

func createKey(x *api.Exchange) (any, error) {
	in, err := api.Body(x, addKeyForm)
	if err != nil {
		return nil, err
	}
	out, receipt, err := api.RunFor[ops.AddKeyOut](x, "add_ssh_key", map[string]any{"name": in.Name, "public_key": in.PublicKey}, 0)
	return viewKey(out.KeyView, receipt), err
}

func listKeys(x *api.Exchange) (any, error) {
	out, receipt, err := api.RunFor[ops.KeysOut](x, "list_ssh_keys", nil, 0)
	list := keys{Keys: make([]key, len(out.Keys))}
	for i, k := range out.Keys {
		list.Keys[i] = viewKey(k, receipt)
	}
	return list, err
}

func removeKey(x *api.Exchange) (any, error) {
	_, err := api.Run[ops.DeletedOut](x, "remove_ssh_key", map[string]any{"key_id": x.Request.PathValue("id")})
	return struct{}{}, err
}

// wallet is who paid, and so who owns what a call is about.
func wallet(r *ops.Receipt) string {
	if r == nil || r.Payment == nil {
		return ""
	}
	return r.Payment.Payer
}
