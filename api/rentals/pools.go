package rentals

import (
	"encoding/json"
	"net/http"
	"time"

	"berth"
	"berth/api"
	"berth/ops"
)

// Pool is what all answers about a pool have in common.
type Pool struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	OwnerID     string          `json:"owner_id"`
	Default     bool            `json:"is_default"`
	Settings    json.RawMessage `json:"settings"`
	Created     time.Time       `json:"created_at"`
}

// listedPool is a pool in the list of them.
type listedPool struct {
	Pool
	Updated time.Time `json:"updated_at"`
	Role    string    `json:"user_role" enum:"owner,admin,user"`
	Members int       `json:"member_count" doc:"Who joined; the owner is not counted."`
	Servers int       `json:"server_count"`
}

// poolDetail is a pool with its people and servers.
type poolDetail struct {
	Pool
	Updated time.Time    `json:"updated_at"`
	Members []member     `json:"members"`
	Servers []poolServer `json:"servers"`
}

type poolServer struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"rental_status" enum:"active,expired,terminated,failed"`
	Ready  bool   `json:"is_ready" doc:"It is on and answers."`
}

type createPool struct {
	Name        string         `json:"name" minLength:"1" maxLength:"100"`
	Description string         `json:"description,omitempty" maxLength:"500"`
	Settings    map[string]any `json:"settings,omitempty" maxProperties:"100" doc:"Any object of at most 4 KiB; kept, and given no meaning."`
}

type updatePool struct {
	Description *string        `json:"description,omitempty" maxLength:"500"`
	Settings    map[string]any `json:"settings,omitempty" maxProperties:"100" doc:"Replaces the present ones."`
}

var (
	createPoolForm = ops.NewForm[createPool]()
	updatePoolForm = ops.NewForm[updatePool]()
)

func poolRoutes() []api.ContractRoute {
	create := api.ContractRoute{
		Method: "POST", Path: "/pools", Status: http.StatusCreated, Summary: "Create a pool", Body: createPool{}, Errors: []int{http.StatusForbidden},
	}
	list := api.ContractRoute{Method: "GET", Path: "/pools", Status: http.StatusOK, Summary: "List the pools that you own or are a member of"}
	update := one("PATCH", "/pools/{id}", "Change a pool; its owner only", http.StatusForbidden)
	update.Body = updatePool{}
	return []api.ContractRoute{
		said("Pools retrieved successfully", list, servePools),
		said("Pool retrieved successfully", one("GET", "/pools/{id}", "Look at a pool with its members and servers"), servePool),
		said("Pool created successfully", create, serveCreatePool),
		said("Pool updated successfully", update, serveUpdatePool),
		said("Pool deleted successfully", one("DELETE", "/pools/{id}", "Delete a pool; its owner only, and never the default one", http.StatusForbidden, http.StatusConflict), serveDeletePool),
	}
}

func viewPool(v ops.PoolView) Pool {
	return Pool{
		ID: digits(v.ID), Name: v.Name, Description: v.Description, OwnerID: digits(v.OwnerID), Default: v.Default,
		Settings: v.Settings, Created: v.CreatedAt,
	}
}

func servePools(x *api.Exchange) ([]listedPool, error) {
	out, err := api.Run[ops.PoolsOut](x, "list_pools", nil)
	list := make([]listedPool, len(out.Pools))
	for i, v := range out.Pools {
		list[i] = listedPool{Pool: viewPool(v), Updated: v.UpdatedAt, Role: v.Role, Members: v.Members, Servers: v.Servers}
	}
	return list, err
}

func servePool(x *api.Exchange) (poolDetail, error) {
	out, err := api.Run[ops.PoolOut](x, "get_pool", poolArgs(x))
	p := poolDetail{Pool: viewPool(out.PoolView), Updated: out.UpdatedAt, Members: []member{}, Servers: []poolServer{}}
	for _, v := range out.People {
		p.Members = append(p.Members, viewMember(v))
	}
	for _, v := range out.List {
		p.Servers = append(p.Servers, poolServer{digits(v.ID), v.Label, inPool(v.Status), v.Ready})
	}
	return p, err
}

func serveCreatePool(x *api.Exchange) (Pool, error) {
	in, err := api.Body(x, createPoolForm)
	if err != nil {
		return Pool{}, err
	}
	out, err := api.Run[ops.PoolView](x, "create_pool", map[string]any{"name": in.Name, "description": in.Description, "settings": in.Settings})
	return viewPool(out), err
}

func serveUpdatePool(x *api.Exchange) (done, error) {
	in, err := api.Body(x, updatePoolForm)
	if err != nil {
		return done{}, err
	}
	args := poolArgs(x)
	if in.Description != nil {
		args["description"] = *in.Description
	}
	if in.Settings != nil {
		args["settings"] = in.Settings
	}
	_, err = api.Run[ops.PoolView](x, "update_pool", args)
	return done{true}, err
}

func serveDeletePool(x *api.Exchange) (done, error) {
	_, err := api.Run[ops.DeletedOut](x, "delete_pool", poolArgs(x))
	return done{true}, err
}

// poolArgs names the path's pool.
func poolArgs(x *api.Exchange) map[string]any {
	return map[string]any{"pool_id": x.ID(berth.PrefixPool, "id")}
}
