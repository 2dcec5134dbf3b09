package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
)

// shop is a Berth that serves, an account on it with credit, and a server that
// the account has bought.
type shop struct {
	*process
	dir    string
	key    string // the account's API key
	server string // the server's id
}

// open returns the shop, which is opened when it is first asked for.
func (l *lab) open(ctx context.Context) (*shop, error) {
	if l.shop != nil {
		return l.shop, nil
	}
	berth, err := l.program(ctx, "cmd/berth")
	if err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, berth, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--rate-limit", "0", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	s := &shop{process: p, dir: dir}
	if err := s.stock(ctx, berth); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	l.shop = s
	return s, nil
}

// stock makes the account and buys the server.
func (s *shop) stock(ctx context.Context, berth string) error {
	var err error
	if s.key, err = createAccount(ctx, berth, s.dir, "25.00"); err != nil {
		return err
	}
	return s.buy(ctx)
}

// customer is the account's e-mail address.
const customer = "bench@example.com"

// createAccount makes an account with credit in a data directory, and returns
// its API key.
func createAccount(ctx context.Context, berth, dir, credit string) (string, error) {
	out, err := exec.CommandContext(ctx, berth, "account", "create", "--data", dir, "--json", "--email", customer, "--credit", credit).Output()
	if err != nil {
		return "", fmt.Errorf("create an account: %w", err)
	}
	var made struct {
		APIKey string `json:"api_key"`
	}
	err = json.Unmarshal(out, &made)
	return made.APIKey, err
}

func (s *shop) buy(ctx context.Context) error {
	order := []byte(`{"size":"small","region":"nyc1","minutes":60,"wait_seconds":60}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/servers", bytes.NewReader(order))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var bought struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	if err := json.Unmarshal(body, &bought); err != nil || bought.Status != "active" {
		return fmt.Errorf("no server could be bought: %s %.300s", res.Status, body)
	}
	s.server = bought.ID
	return nil
}
