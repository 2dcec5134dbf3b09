package billing

import (
	"encoding/json"
	"time"

	"berth"
)

// Line is one part of a price, for people. Amount is exact to the micro-dollar
// or rounded half up for showing; only the total is charged.
type Line struct {
	Item      string       `json:"item" example:"compute"`
	Quantity  string       `json:"quantity" example:"60"`
	Unit      string       `json:"unit" example:"minute"`
	UnitPrice string       `json:"unit_price" example:"0.00025"`
	Amount    berth.Micros `json:"amount"`
}

// Price is what something costs: the exact sum of its lines, rounded up once.
type Price struct {
	Lines []Line       `json:"lines"`
	Total berth.Micros `json:"total"`
}

// Quote is a price that Berth honours until it expires, for one principal and
// for exactly the terms that it was made for.
type Quote struct {
	ID        berth.ID
	Principal berth.ID // who asked; empty where nobody was identified
	Operation string
	Terms     json.RawMessage // canonical JSON of what the price depends on
	Price     Price
	Created   time.Time
	Expires   time.Time
}
