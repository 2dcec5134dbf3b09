package main

import (
	"time"

	"berth/api"
	"berth/api/deposit"
)

// contracts are those that are served beside the native one, in the order in
// which they are listed.
func contracts(since time.Time) []api.Contract {
	return []api.Contract{
		deposit.Contract(since),
	}
}
