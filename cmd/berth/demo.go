package main

import (
	"context"
	"errors"
)

// demoCommand is `berth demo`.
type demoCommand struct {
	JSON bool `help:"Print JSON lines for machines."`
}

// Run tells the story.
func (c *demoCommand) Run(context.Context) error { return errors.New("soon") }
