package main

import (
	"time"

	"berth/api"
	"berth/api/deposit"
	"berth/api/hourly"
	"berth/api/instances"
	"berth/api/rentals"
)

// contracts are those that are served beside the native one, in the order in
// which they are listed.
func contracts(since time.Time) []api.Contract {
	return []api.Contract{
		hourly.Contract(),
		instances.Contract(),
		rentals.Contract(),
		deposit.Contract(since),
	}
}
