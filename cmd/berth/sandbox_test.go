package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestSandboxCommand runs the cloud in a box as a program would that reads where
// it is: it answers with the token, takes faults, and keeps its folder to itself.
func TestSandboxCommand(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	c := &sandboxCommand{where: where{Data: dir}, Listen: "127.0.0.1:0", Token: "secret", Control: true, JSON: true}
	go func() {
		err := c.serve(ctx, w)
		ended <- errors.Join(err, w.CloseWithError(io.EOF))
	}()
	var at struct {
		URL, Token string
		SSHPort    int `json:"ssh_port"`
	}
	if err := json.NewDecoder(r).Decode(&at); err != nil {
		t.Fatal(errors.Join(err, <-ended))
	}
	if at.Token != "secret" || at.SSHPort == 0 {
		t.Errorf("it says %+v", at)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, path, body string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, at.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+at.Token)
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s %s answered %d, want %d", method, path, res.StatusCode, want)
		}
	}
	ask("GET", "/v2/account", "", http.StatusOK)
	ask("POST", "/sandbox/faults", `{"fault":"server_error","op":"account_get"}`, http.StatusCreated)
	ask("GET", "/v2/account", "", http.StatusServiceUnavailable)
	ask("GET", "/v2/account", "", http.StatusOK)

	second := &sandboxCommand{where: where{Data: dir}, Listen: "127.0.0.1:0"}
	if err := second.serve(ctx, io.Discard); !errors.Is(err, errSandboxHeld) {
		t.Errorf("a second one in the same folder: %v", err)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestSandboxCommandTellsPeople(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	c := &sandboxCommand{where: where{Data: t.TempDir()}, Listen: "127.0.0.1:0"}
	go func() {
		err := c.serve(ctx, w)
		ended <- errors.Join(err, w.CloseWithError(io.EOF))
	}()
	told := make([]byte, 4096)
	n, err := r.Read(told)
	cancel()
	if err := errors.Join(err, <-ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, want := range []string{"URL    http://127.0.0.1:", "TOKEN  dop_v1_", "SSH    port ", "doctl --api-url http://"} {
		if !strings.Contains(string(told[:n]), want) {
			t.Errorf("it says %q, without %q", told[:n], want)
		}
	}
}
