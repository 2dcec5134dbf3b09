package evm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Bounds of the client.
const (
	maxAnswer      = 4 << 20 // bytes of one answer
	requestTimeout = 15 * time.Second
)

// Refused is a node's clear no: it understood the request and answered with an
// error, such as a reverted call or a transaction that it doesn't take.
type Refused struct {
	Method  string
	Code    int
	Message string // at most 200 bytes
	Data    []byte // what a reverted call returned; at most 1 KiB
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("%s: the chain's node refused: %s (%d)", r.Method, r.Message, r.Code)
}

// Unknown is no answer that could be used: nobody knows whether the node did
// what it was asked.
type Unknown struct {
	Method string
	Err    error // never with the node's URL, which can hold a secret
}

// Error implements error.
func (u *Unknown) Error() string {
	return fmt.Sprintf("%s: no answer from the chain's node: %v", u.Method, u.Err)
}

// Unwrap is the cause.
func (u *Unknown) Unwrap() error { return u.Err }

// IsRefused tells of an error that is a node's clear no.
func IsRefused(err error) bool {
	var r *Refused
	return errors.As(err, &r)
}

// Client speaks JSON-RPC with a node over HTTP. It may be used concurrently.
type Client struct {
	url    string
	http   *http.Client
	lastID atomic.Uint64
}

// NewClient speaks with the node at an http or https URL, and asks it nothing
// yet. A nil transport is one of its own.
func NewClient(node string, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(node)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("a chain's node has an http or https URL") // which may hold a secret
	}
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = 16
		transport = own
	}
	return &Client{url: node, http: &http.Client{
		Transport: transport,
		Timeout:   requestTimeout,
		// A POST that is sent elsewhere would become a GET, or carry the
		// credentials in the URL away.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type request struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type answer struct {
	ID     uint64          `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

// Do calls a method and reads its result. Its errors are *Refused or *Unknown.
func (c *Client) Do(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	id := c.lastID.Add(1)
	body, err := json.Marshal(request{"2.0", id, method, params})
	if err != nil {
		return &Unknown{method, err}
	}
	got, err := c.post(ctx, body)
	switch {
	case err != nil:
		return &Unknown{method, err}
	case got.Error != nil:
		return refused(method, got)
	case got.ID != id:
		return &Unknown{method, errors.New("it answered another request")}
	case got.Result == nil:
		return &Unknown{method, errors.New("neither a result nor an error")}
	}
	if err := json.Unmarshal(got.Result, result); err != nil {
		return &Unknown{method, fmt.Errorf("read the result: %w", err)}
	}
	return nil
}

func (c *Client) post(ctx context.Context, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its URL is unusable")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) { // without the URL
			err = with.Err
		}
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	// Nodes send errors of JSON-RPC with other statuses too, but an answer
	// that only says "busy" or "gone" says nothing of the request.
	var got answer
	if err := json.Unmarshal(text, &got); err != nil || (got.Error == nil && res.StatusCode != http.StatusOK) {
		return nil, fmt.Errorf("status %d without an answer to the request", res.StatusCode)
	}
	if got.Error != nil && (res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests) {
		return nil, fmt.Errorf("status %d: %.200s", res.StatusCode, got.Error.Message)
	}
	return &got, nil
}

// internal are the codes with which nodes say that they failed or are busy,
// which is no answer: -32603 internal error, -32005 limit exceeded, -32002
// resource unavailable, -32700 parse error.
var internal = map[int]bool{-32603: true, -32005: true, -32002: true, -32700: true}

func refused(method string, got *answer) error {
	e := got.Error
	if internal[e.Code] && !strings.Contains(e.Message, "revert") {
		return &Unknown{method, fmt.Errorf("%.200s (%d)", e.Message, e.Code)}
	}
	r := &Refused{Method: method, Code: e.Code, Message: fmt.Sprintf("%.200s", e.Message)}
	var data string
	if json.Unmarshal(e.Data, &data) == nil { // other shapes are for people
		if b, err := ParseHex(data, 1024); err == nil {
			r.Data = b
		}
	}
	return r
}
