package deposit

import (
	"time"

	"berth"
	"berth/fleet"
	"berth/ops"
)

// server is a server as the document has it.
type server struct {
	ID         berth.ID  `json:"id"`
	Provider   string    `json:"provider"`
	ProviderID string    `json:"provider_id" doc:"Empty until the provider gives one."`
	Name       string    `json:"name"`
	Type       string    `json:"type"`
	Status     string    `json:"status" enum:"initializing,running,off,destroying,deleted,error"`
	Image      string    `json:"image"`
	Location   string    `json:"location"`
	PublicNet  publicNet `json:"public_net"`
	Owner      string    `json:"owner_wallet"`
	Created    time.Time `json:"created_at"`
}

type publicNet struct {
	IPv4 *address `json:"ipv4"`
	IPv6 *address `json:"ipv6"`
}

type address struct {
	IP *string `json:"ip"`
}

// action is an action as the document has it.
type action struct {
	ID       berth.ID   `json:"id"`
	Command  string     `json:"command"`
	Status   string     `json:"status" enum:"running,success,error"`
	Started  time.Time  `json:"started_at"`
	Finished *time.Time `json:"finished_at"`
}

type created struct {
	Server    server       `json:"server"`
	Action    action       `json:"action"`
	Charged   berth.Micros `json:"deposit_charged"`
	Remaining berth.Micros `json:"deposit_remaining"`
}

type servers struct {
	Servers []server `json:"servers"`
	Meta    meta     `json:"meta"`
}

type meta struct {
	Page    int `json:"page"`
	PerPage int `json:"per_page"`
	Total   int `json:"total"`
}

type deleted struct {
	Status   string       `json:"status"`
	Refunded berth.Micros `json:"deposit_refunded"`
}

type acted struct {
	Action action `json:"action"`
}

type resized struct {
	Action action `json:"action"`
	Type   string `json:"new_type"`
	Delta  string `json:"deposit_delta" doc:"Charged where above zero, refunded where below."`
}

type rebuilt struct {
	Action   action  `json:"action"`
	Password *string `json:"root_password"`
}

// statuses are the document's words for a server's states.
var statuses = map[fleet.Status]string{
	fleet.Provisioning: "initializing", fleet.Active: "running", fleet.Off: "off", fleet.Suspended: "off",
	fleet.Destroying: "destroying", fleet.Destroyed: "deleted", fleet.Failed: "error",
}

func viewServer(v ops.ServerView, r *ops.Receipt) server {
	return server{
		ID: v.ID, Provider: providerName, ProviderID: v.ProviderID, Name: v.Label, Type: v.Size, Status: statuses[v.Status],
		Image: v.Image, Location: v.Region, PublicNet: publicNet{IPv4: &address{v.IP}}, Owner: wallet(r), Created: v.CreatedAt,
	}
}

// commands are the document's words for kinds of actions, where they differ.
var commands = map[fleet.ActionKind]string{fleet.ActionPowerOn: "start", fleet.ActionPowerOff: "stop"}

var outcomes = map[fleet.ActionStatus]string{fleet.ActionRunning: "running", fleet.ActionDone: "success", fleet.ActionFailed: "error"}

func viewAction(a ops.ActionView) action {
	command := commands[a.Kind]
	if command == "" {
		command = string(a.Kind)
	}
	return action{a.ID, command, outcomes[a.Status], a.CreatedAt, a.EndedAt}
}

// amount is a signed amount in dollars.
func amount(m berth.Micros) string {
	if m < 0 {
		return "-" + (-m).String()
	}
	return m.String()
}
