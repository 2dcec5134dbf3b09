package deposit

import (
	"errors"
	"net/http"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

// most is how many servers are listed at all: more than any wallet's limit.
const most = 200

type createServer struct {
	Name     string   `json:"name" minLength:"1" maxLength:"64" doc:"Letters, digits, dots, underscores and dashes."`
	Type     string   `json:"type" minLength:"1" maxLength:"64" doc:"Only small can be created."`
	Image    string   `json:"image" minLength:"1" maxLength:"64"`
	Location string   `json:"location" minLength:"1" maxLength:"64"`
	Provider string   `json:"provider,omitempty" enum:"digitalocean"`
	Keys     []string `json:"ssh_keys,omitempty" maxItems:"20"`
	UserData string   `json:"user_data,omitempty" maxLength:"65536"`
}

// args are create_server's inputs.
func (in createServer) args() map[string]any {
	return map[string]any{
		"label": in.Name, "size": in.Type, "image": in.Image, "region": in.Location, "lease": "deposit",
		"ssh_key_ids": in.Keys, "user_data": in.UserData,
	}
}

type resizeServer struct {
	Type        string `json:"type" minLength:"1" maxLength:"64"`
	UpgradeDisk bool   `json:"upgrade_disk,omitempty" doc:"Grow the disk too, for good. Default false."`
}

type rebuildServer struct {
	Image string `json:"image" minLength:"1" maxLength:"64"`
}

type listServers struct {
	Limit int `json:"limit,omitempty" minimum:"1" maximum:"100" default:"20"`
	Page  int `json:"page,omitempty" minimum:"1" maximum:"1000000" default:"1"`
}

var (
	createForm  = ops.NewForm[createServer]()
	resizeForm  = ops.NewForm[resizeServer]()
	rebuildForm = ops.NewForm[rebuildServer]()
	listForm    = ops.NewForm[listServers]()
)

func serverRoutes() []api.ContractRoute {
	example := createServer{Name: "server", Type: small, Image: "ubuntu-24.04", Location: "nyc3"}
	const id = "srv_000000000000000000000000"
	foreign := []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway}
	return []api.ContractRoute{
		{
			Method: "POST", Path: "/v1/servers", Status: http.StatusCreated, Summary: "Create a server; its deposit is charged beside the price",
			Body: createServer{}, Answer: created{}, Errors: []int{http.StatusForbidden, http.StatusBadGateway},
			Price: createFee, Serve: paid(serveCreate), Probe: api.Probe{Op: "create_server", Args: example.args()},
		},
		{
			Method: "GET", Path: "/v1/servers", Status: http.StatusOK, Summary: "List the wallet's servers", Query: listServers{}, Answer: servers{},
			Price: fee(billing.FeeRead), Serve: paid(serveList), Errors: []int{http.StatusForbidden},
		},
		{
			Method: "GET", Path: "/v1/servers/{id}", Status: http.StatusOK, Summary: "Look at a server", Answer: server{},
			Price: fee(billing.FeeRead), Serve: paid(serveGet), Errors: foreign,
		},
		{
			Method: "DELETE", Path: "/v1/servers/{id}", Status: http.StatusOK, Summary: "Delete a server; the rest of its deposit returns", Answer: deleted{},
			Price: fee(billing.FeeDestroy), Serve: paid(serveDelete), Errors: foreign,
		},
		power("start", "on", "Start a stopped server"),
		power("stop", "off", "Stop a running server"),
		power("reboot", "reboot", "Reboot a running server"),
		{
			Method: "POST", Path: "/v1/servers/{id}/resize", Status: http.StatusOK, Summary: "Change a stopped server's type; its deposit is adjusted",
			Body: resizeServer{}, Answer: resized{}, Errors: foreign, Price: fee(billing.FeeResize), Serve: paid(serveResize),
			Probe: api.Probe{Op: "resize_server", Args: map[string]any{"server_id": id, "size": "medium"}},
		},
		{
			Method: "POST", Path: "/v1/servers/{id}/rebuild", Status: http.StatusOK, Summary: "Reinstall a server from a fresh image; its data is lost",
			Body: rebuildServer{}, Answer: rebuilt{}, Errors: foreign, Price: fee(billing.FeeRebuild), Serve: paid(serveRebuild),
			Probe: api.Probe{Op: "rebuild_server", Args: map[string]any{"server_id": id}},
		},
	}
}

// createFee is what creating the one type costs beside its deposit.
func createFee(l *billing.PriceList) berth.Micros {
	size, err := l.Size(small)
	if err != nil {
		return 0 // a price list that has no such type sells none
	}
	return size.CreateFee
}

func power(name, action, summary string) api.ContractRoute {
	return api.ContractRoute{
		Method: "POST", Path: "/v1/servers/{id}/" + name, Status: http.StatusOK, Summary: summary, Answer: acted{},
		Errors: []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway},
		Price:  fee(billing.FeePower),
		Serve: paid(func(x *api.Exchange) (any, error) {
			out, err := api.Run[ops.WorkOut](x, "power_server", map[string]any{"server_id": x.Request.PathValue("id"), "action": action})
			return acted{viewAction(out.Action)}, err
		}),
	}
}

func serveCreate(x *api.Exchange) (any, error) {
	in, err := api.Body(x, createForm)
	if err != nil {
		return nil, err
	}
	out, receipt, err := api.RunFor[ops.CreateServerOut](x, "create_server", in.args(), 0)
	var refusal *berth.Error
	switch errors.As(err, &refusal); {
	case err == nil:
	case berth.CodeOf(err) == berth.UnknownSize:
		err = errType
	case berth.CodeOf(err) == berth.NotFound && !refusal.Foreign: // the order is wrong, the endpoint is there
		err = berth.Errorf(berth.InvalidInput, "ssh_keys: %s", refusal.Message)
	}
	if err != nil {
		return nil, err
	}
	return created{
		Server: viewServer(out.ServerView, receipt), Action: viewAction(out.Action), Charged: left(out.ServerView), Remaining: left(out.ServerView) + receipt.Balance,
	}, nil
}

// left is what is left of a server's deposit.
func left(v ops.ServerView) berth.Micros {
	if v.Deposit == nil {
		return 0
	}
	return *v.Deposit
}

func serveList(x *api.Exchange) (any, error) {
	in, err := api.Query(x, listForm)
	if err != nil {
		return nil, err
	}
	found, receipt, err := api.RunFor[ops.ServersOut](x, "list_servers", map[string]any{"limit": most}, 0)
	if err != nil {
		return nil, err
	}
	list := []server{}
	for _, v := range found.Servers {
		if v.Status != fleet.Destroying {
			list = append(list, viewServer(v, receipt))
		}
	}
	out := servers{Meta: meta{in.Page, in.Limit, len(list)}}
	from := min((in.Page-1)*in.Limit, len(list))
	out.Servers = list[from:min(from+in.Limit, len(list))]
	return out, nil
}

func serveGet(x *api.Exchange) (any, error) {
	out, receipt, err := api.RunFor[ops.ServerView](x, "get_server", map[string]any{"server_id": x.Request.PathValue("id")}, 0)
	return viewServer(out, receipt), err
}

func serveDelete(x *api.Exchange) (any, error) {
	out, err := api.Run[ops.DestroyOut](x, "destroy_server", map[string]any{"server_id": x.Request.PathValue("id"), "discard": true})
	return deleted{"deleted", out.Refund}, err
}

func serveResize(x *api.Exchange) (any, error) {
	in, err := api.Body(x, resizeForm)
	if err != nil {
		return nil, err
	}
	out, err := api.Run[ops.ResizeOut](x, "resize_server", map[string]any{
		"server_id": x.Request.PathValue("id"), "size": in.Type, "keep_disk": !in.UpgradeDisk, "if_off": true,
	})
	return resized{viewAction(out.Action), in.Type, amount(out.DepositDelta)}, err
}

func serveRebuild(x *api.Exchange) (any, error) {
	in, err := api.Body(x, rebuildForm)
	if err != nil {
		return nil, err
	}
	out, err := api.Run[ops.RebuildOut](x, "rebuild_server", map[string]any{
		"server_id": x.Request.PathValue("id"), "image": in.Image, "reveal_credentials": true,
	})
	answer := rebuilt{Action: viewAction(out.Action)}
	if len(out.Server.SSHKeyIDs) == 0 && out.RootPassword != "" {
		answer.Password = &out.RootPassword
	}
	return answer, err
}
