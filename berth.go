// Package berth holds what all of Berth shares and nothing more: identifiers,
// money, typed errors and the clock. It imports nothing else of Berth.
package berth

import (
	_ "embed"
	"time"
)

// LLMs is the guide for agents that Berth serves as /llms.txt.
//
//go:embed llms.txt
var LLMs string

// Clock tells the time. Production passes time.Now; tests run under
// testing/synctest or pass a clock of their own.
type Clock func() time.Time
