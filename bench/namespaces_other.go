//go:build !linux

package main

import (
	"context"
	"errors"
)

// startApart is never reached: droplets are measured first, and only Linux has
// any.
func startApart(context.Context, string) (*process, error) {
	return nil, errors.New("this system has no namespaces")
}
