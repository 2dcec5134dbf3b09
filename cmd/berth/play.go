package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"berth/ops"
)

// playCredit is what a newcomer's account on the sandbox is given, in USD.
const playCredit = "25.00"

// playKey is an API key of an account with play money, for whoever tries Berth
// on the sandbox. It is kept beside the sandbox, so that each start shows the
// same.
func (a *app) playKey(ctx context.Context) (string, error) {
	path := filepath.Join(a.dir, "sandbox", "play.key")
	text, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(text)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the key: %w", err)
	}
	operator := []ops.Credential{{Scheme: ops.OperatorScheme}}
	key, err := a.makePlayKey(ctx, operator)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the key: %w", err)
	}
	return key, nil
}

const playEmail = "play@sandbox.invalid"

func (a *app) makePlayKey(ctx context.Context, operator []ops.Credential) (string, error) {
	res, err := a.system.Dispatch(ctx, &ops.Call{
		Op: "create_account", Creds: operator, Front: "cli",
		Args: map[string]any{"email": playEmail, "credit": playCredit},
	})
	if err == nil {
		return res.Out.(ops.AccountView).APIKey, nil
	}
	// A crash between the account and the file leaves the account: it gets
	// another key.
	res, err = a.system.Dispatch(ctx, &ops.Call{
		Op: "create_api_key", Creds: operator, Front: "cli", Args: map[string]any{"account": playEmail},
	})
	if err != nil {
		return "", err
	}
	return res.Out.(ops.APIKeyView).Secret, nil
}
