package rentals

import (
	"encoding/json"
	"net/http"
	"time"

	"berth"
	"berth/api"
	"berth/fleet"
	"berth/ops"
)

// How much is listed at all: the newest rentals, and more offers than there are.
const (
	most       = 1000
	mostOffers = 10_000
)

// Term is what the list and the detail of a rental have in common.
type Term struct {
	ID        string       `json:"id"`
	Start     time.Time    `json:"rental_start" doc:"When it was ordered, until it is delivered: its time begins then."`
	End       time.Time    `json:"rental_end"`
	Status    string       `json:"status" enum:"active,expired,terminated,failed"`
	Amount    berth.Micros `json:"amount" doc:"Paid for it so far, extensions included."`
	Remaining int          `json:"remaining_days" doc:"Begun ones included."`
	ServerID  string       `json:"server_id"`
	PoolID    string       `json:"pool_id"`
}

// listed is a rental in a list, with more or less of its server.
type listed[S any] struct {
	Term
	Server S `json:"server"`
}

type serverID struct {
	ID string `json:"id"`
}

// detail is a rental with its server and the transaction that bought it.
type detail struct {
	Term
	Hold        int      `json:"hold_days" doc:"For how long a snapshot is kept after its end."`
	Used        int      `json:"usage_days" doc:"Whole days."`
	Server      Server   `json:"server"`
	Transaction *dealing `json:"transaction" doc:"Of the purchase; null where nothing was paid."`
}

// Transaction is a movement of money.
type Transaction struct {
	ID       string      `json:"id"`
	Amount   json.Number `json:"amount"`
	Currency string      `json:"currency"`
}

type dealing struct {
	Transaction
	Created time.Time `json:"created_at"`
}

type rentServer struct {
	PoolID string `json:"pool_id,omitempty" pattern:"^([0-9a-f]{24})?$" patternDescription:"24 hex digits" doc:"Your default pool unless another is named."`
	Days   int    `json:"rental_days" minimum:"1" maximum:"365" doc:"One of the server's durations."`
}

// rented is what renting answers.
type rented struct {
	Rental struct {
		ID       string    `json:"id"`
		ServerID string    `json:"server_id"`
		Start    time.Time `json:"rental_start"`
		End      time.Time `json:"rental_end"`
		Hold     int       `json:"hold_days"`
		Used     int       `json:"actual_usage_days"`
		Status   string    `json:"status"`
	} `json:"rental"`
	Transaction *Transaction `json:"transaction"`
}

type extendRental struct {
	Days int `json:"additional_days" minimum:"1" maximum:"365" doc:"One of the server's durations."`
}

// extended is what extending answers.
type extended struct {
	Rental struct {
		ID        string       `json:"id"`
		End       time.Time    `json:"rental_end"`
		Status    string       `json:"status"`
		Amount    berth.Micros `json:"amount"`
		Remaining int          `json:"remaining_days"`
	} `json:"rental"`
	Transaction *Transaction `json:"transaction"`
}

var (
	rentForm   = ops.NewForm[rentServer]()
	extendForm = ops.NewForm[extendRental]()
)

func rentalRoutes() []api.ContractRoute {
	list := func(path, summary string) api.ContractRoute {
		return api.ContractRoute{Method: "GET", Path: path, Status: http.StatusOK, Summary: summary}
	}
	extend := one("POST", "/rentals/{id}/extend", "Extend a rental; its renter, and admins and the owner of its pool", http.StatusForbidden, http.StatusConflict)
	extend.Body = extendRental{}
	rent := one("POST", "/servers/{id}/rent", "Rent an available server", http.StatusForbidden, http.StatusConflict)
	rent.Status, rent.Body = http.StatusCreated, rentServer{}
	return []api.ContractRoute{
		said("Rentals retrieved successfully", list("/rentals", "List your rentals, those that have ended too"), serveRentals),
		said("Rental retrieved successfully", one("GET", "/rentals/{id}", "Look at a rental, of yours or of a pool of yours"), serveRental),
		said("Rental extended successfully", extend, serveExtend),
		said("Rentals retrieved successfully", list("/servers", "List your rentals with their servers"), serveServers),
		said("Rental details retrieved successfully", one("GET", "/servers/{id}", "Look at a rental, by its id"), serveRental),
		said("Server rented successfully", rent, serveRent),
	}
}

func viewTerm(v ops.ServerView, now time.Time) Term {
	t := Term{
		ID: digits(v.ID), ServerID: digits(v.ID), PoolID: digits(v.PoolID), Start: v.CreatedAt, End: v.PaidUntil,
		Status: standing(v, now), Amount: v.Price, Remaining: whole(v.RemainingDays),
	}
	switch {
	case v.DeliveredAt != nil:
		t.Start = *v.DeliveredAt
	case v.Status == fleet.Failed:
		t.Amount = 0 // what was held has returned
	}
	return t
}

// standing is a rental's status: the server's own state is no part of it.
func standing(v ops.ServerView, now time.Time) string {
	end := now
	if v.EndedAt != nil {
		end = *v.EndedAt
	}
	if status := inPool(v.Status); status != "terminated" || end.Before(v.PaidUntil) {
		return status
	}
	return "expired"
}

// inPool is a rental's status as its server's state alone tells it. Pools do not
// list what has ended.
func inPool(s fleet.Status) string {
	switch s {
	case fleet.Failed:
		return "failed"
	case fleet.Destroying, fleet.Destroyed:
		return "terminated"
	}
	return "active"
}

func whole(days *int) int {
	if days == nil {
		return 0
	}
	return *days
}

// holdDays is for how many days the snapshot of an ended rental is kept.
func holdDays(x *api.Exchange) int { return int(x.Prices().FreeRetention / (24 * time.Hour)) }

// moved is the transaction that a call's receipt is of.
func moved(r *ops.Receipt) *Transaction {
	if r == nil {
		return nil
	}
	t := paid(r.Transaction, r.Amount)
	return &t
}

func paid(id string, amount berth.Micros) Transaction {
	return Transaction{digits(berth.ID(id)), json.Number(amount.Decimal().String()), "USD"}
}

// rentalsOf are the caller's own rentals, newest first.
func rentalsOf(x *api.Exchange) ([]ops.ServerView, error) {
	return api.All(x, "list_servers", map[string]any{"all": true}, most, ops.ServersOut.Page)
}

func serveRentals(x *api.Exchange) ([]listed[serverID], error) {
	found, err := rentalsOf(x)
	list := make([]listed[serverID], len(found))
	for i, v := range found {
		list[i] = listed[serverID]{viewTerm(v, x.Now()), serverID{digits(v.ID)}}
	}
	return list, err
}

func serveServers(x *api.Exchange) ([]listed[Server], error) {
	found, err := rentalsOf(x)
	list, known := make([]listed[Server], len(found)), machines{}
	for i, v := range found {
		list[i].Term = viewTerm(v, x.Now())
		if list[i].Server, err = known.server(x, v); err != nil {
			return nil, err
		}
	}
	return list, err
}

func serveRental(x *api.Exchange) (detail, error) {
	v, err := api.Run[ops.ServerView](x, "get_server", map[string]any{"server_id": x.ID(berth.PrefixServer, "id")})
	if err != nil {
		return detail{}, err
	}
	d := detail{Term: viewTerm(v, x.Now()), Hold: holdDays(x), Used: whole(v.UsageDays)}
	if v.Purchase != nil && d.Amount > 0 {
		d.Transaction = &dealing{paid(v.TransactionID, *v.Purchase), v.CreatedAt}
	}
	d.Server, err = machines{}.server(x, v)
	return d, err
}

func serveRent(x *api.Exchange) (out rented, err error) {
	in, err := api.Body(x, rentForm)
	if err != nil {
		return out, err
	}
	v, receipt, err := api.RunFor[ops.CreateServerOut](x, "create_server", map[string]any{
		"offer_id": x.ID(berth.PrefixOffer, "id"), "lease": "days", "days": in.Days, "pool_id": poolID(in.PoolID),
	}, 0)
	if err != nil {
		return out, renamed(err, "days", "rental_days")
	}
	t, r := viewTerm(v.ServerView, x.Now()), &out.Rental
	r.ID, r.ServerID, r.Start, r.End, r.Status = t.ID, t.ServerID, t.Start, t.End, t.Status
	r.Hold, r.Used = holdDays(x), whole(v.UsageDays)
	out.Transaction = moved(receipt)
	return out, nil
}

// poolID is the input that names a pool; nil for none.
func poolID(digits string) any {
	if digits == "" {
		return nil
	}
	return berth.PrefixPool + "_" + digits
}

func serveExtend(x *api.Exchange) (out extended, err error) {
	in, err := api.Body(x, extendForm)
	if err != nil {
		return out, err
	}
	id := x.ID(berth.PrefixServer, "id")
	_, receipt, err := api.RunFor[ops.ExtendOut](x, "extend", map[string]any{"id": id, "days": in.Days}, 0)
	if err != nil {
		return out, renamed(err, "days", "additional_days")
	}
	v, err := api.Run[ops.ServerView](x, "get_server", map[string]any{"server_id": id})
	t, r := viewTerm(v, x.Now()), &out.Rental
	r.ID, r.End, r.Status, r.Amount, r.Remaining = t.ID, t.End, t.Status, t.Amount, t.Remaining
	out.Transaction = moved(receipt)
	return out, err
}
