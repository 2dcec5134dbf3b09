package evm_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"berth/billing/evm"
)

// node is a node that answers every request with a status and a body, in which
// ID stands for the request's id.
func node(t *testing.T, status int, body string) *evm.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ID", "1"))
	}))
	t.Cleanup(server.Close)
	c, err := evm.NewClient(server.URL+"/v1/secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestAnswers tells a node's no from no answer.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"a result", `{"jsonrpc":"2.0","id":ID,"result":"0x14a34"}`, 200, "84532"},
		{"a refusal", `{"jsonrpc":"2.0","id":ID,"error":{"code":3,"message":"execution reverted"}}`, 200, "refused"},
		{"a refusal with status 400", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"nonce too low"}}`, 400, "refused"},
		{"too many requests", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"slow down"}}`, 429, "unknown"},
		{"limit exceeded", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32005,"message":"limit exceeded"}}`, 200, "unknown"},
		{"internal error", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"internal"}}`, 200, "unknown"},
		{"a revert by that code", `{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"execution reverted"}}`, 200, "refused"},
		{"a page", `<html>busy</html>`, 200, "unknown"},
		{"bad gateway", `{}`, 502, "unknown"},
		{"neither", `{"jsonrpc":"2.0","id":ID}`, 200, "unknown"},
		{"another's", `{"jsonrpc":"2.0","id":7,"result":"0x1"}`, 200, "unknown"},
		{"of another type", `{"jsonrpc":"2.0","id":ID,"result":{}}`, 200, "unknown"},
		{"a redirect", `{"jsonrpc":"2.0","id":ID,"result":"0x1"}`, 302, "unknown"},
		{"too long", `{"jsonrpc":"2.0","id":ID,"result":"` + strings.Repeat("0", 4<<20) + `"}`, 200, "unknown"},
	} {
		id, err := node(t, c.status, c.body).ChainID(t.Context())
		got := fmt.Sprint(id)
		var unknown *evm.Unknown
		switch {
		case evm.IsRefused(err):
			got = "refused"
		case errors.As(err, &unknown):
			got = "unknown"
		}
		if got != c.want {
			t.Errorf("%s: %s (%v), want %s", c.name, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the URL: %v", c.name, err)
		}
	}
}

// TestNobodyThere: the URL, which can hold a key, is in no error.
func TestNobodyThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	url := server.URL
	server.Close()
	c, err := evm.NewClient(url+"/secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var unknown *evm.Unknown
	if _, err := c.ChainID(t.Context()); !errors.As(err, &unknown) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "secret", "ftp://secret", "http://", "http://secret:%zz"} {
		if _, err := evm.NewClient(bad, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestNothingThere: JSON's null is no receipt and no block, and no error.
func TestNothingThere(t *testing.T) {
	c := node(t, 200, `{"jsonrpc":"2.0","id":ID,"result":null}`)
	if r, err := c.Receipt(t.Context(), evm.Hash{}); r != nil || err != nil {
		t.Errorf("%v %v", r, err)
	}
	c = node(t, 200, `{"jsonrpc":"2.0","id":ID,"result":null}`)
	if b, err := c.Block(t.Context(), evm.AtBlock(7)); b != nil || err != nil {
		t.Errorf("%v %v", b, err)
	}
}

// TestSendsOnce: that the node has a transaction already is no error.
func TestSendsOnce(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"already known"}}`:      true,
		`{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"nonce too low"}}`:      false,
		`{"jsonrpc":"2.0","id":ID,"result":"` + evm.Keccak([]byte{2, 1}).Hex() + `"}`:      true,
		`{"jsonrpc":"2.0","id":ID,"result":"` + evm.Keccak([]byte("another")).Hex() + `"}`: false,
	} {
		if err := node(t, 200, body).Send(t.Context(), []byte{2, 1}); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"jsonrpc":"2.0","id":1,"result":{"number":"0x1","hash":"0x00","timestamp":"0x2"}}`)
	f.Add(`{"jsonrpc":"2.0","id":1,"error":{"code":3,"data":"0x08c379a0"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, call := range []func(*evm.Client) error{
			func(c *evm.Client) error { _, err := c.Block(t.Context(), evm.Latest); return err },
			func(c *evm.Client) error { _, err := c.Receipt(t.Context(), evm.Hash{}); return err },
			func(c *evm.Client) error { _, err := c.Logs(t.Context(), evm.Address{}, 0, 1); return err },
		} {
			c, err := evm.NewClient("http://node.example", fixed(body))
			if err != nil {
				t.Fatal(err)
			}
			var unknown *evm.Unknown
			if err := call(c); err != nil && !evm.IsRefused(err) && !errors.As(err, &unknown) {
				t.Errorf("neither refused nor unknown: %v", err)
			}
		}
	})
}

// fixed answers everything with one body.
type fixed string

func (f fixed) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(f)))}, nil
}
