package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mark3labs/mcp-go/mcp"
)

// message is one JSON-RPC message from a client, read only as far as a
// transport must: what it is, which request it belongs to, and its era.
type message struct {
	raw     json.RawMessage
	id      json.RawMessage // nil for a notification
	method  string          // empty for the client's answer to a request of ours
	version string          // the protocol version in _meta, if there is one
	cancels json.RawMessage // notifications/cancelled: the id of the request to cancel
	params  json.RawMessage
	result  json.RawMessage
	failure json.RawMessage
}

// rejection is a JSON-RPC error that a transport itself answers with.
type rejection struct {
	code int
	text string
	data any // nil, or what a program can act on
}

func (r *rejection) Error() string { return r.text }

// rejectf builds a rejection with a formatted text.
func rejectf(code int, format string, args ...any) *rejection {
	return &rejection{code: code, text: fmt.Sprintf(format, args...)}
}

// parse reads the envelope of one JSON-RPC message. The error is always a
// *rejection; the message returned beside it carries the id as far as it is known.
func parse(raw []byte) (message, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '[' {
		if !json.Valid(raw) {
			return message{}, rejectf(mcp.PARSE_ERROR, "the message is not valid JSON")
		}
		return message{}, rejectf(mcp.INVALID_REQUEST, "batches are not supported; send one message at a time")
	}
	var wire struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  json.RawMessage `json:"params"`
		Result  json.RawMessage `json:"result"`
		Error   json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(raw, &wire); err != nil {
		if wrongType := new(json.UnmarshalTypeError); errors.As(err, &wrongType) {
			return message{}, rejectf(mcp.INVALID_REQUEST, "not a JSON-RPC message: %s must not be a %s", place(wrongType), wrongType.Value)
		}
		return message{}, rejectf(mcp.PARSE_ERROR, "the message is not valid JSON: %v", err)
	}
	m := message{raw: raw, method: wire.Method, params: wire.Params, result: wire.Result, failure: wire.Error}
	m.id = wire.ID
	if m.isAnswer() {
		return m, nil
	}
	if m.id != nil && !validID(m.id) {
		return message{}, rejectf(mcp.INVALID_REQUEST, "the id of a request must be a string or a number")
	}
	if wire.JSONRPC != mcp.JSONRPC_VERSION {
		return m, rejectf(mcp.INVALID_REQUEST, `"jsonrpc" must be "2.0"`)
	}
	if m.method == "" {
		return m, rejectf(mcp.INVALID_REQUEST, "the message has no method")
	}
	m.readParams()
	return m, nil
}

// isAnswer reports whether the client answers a request of ours. An answer is
// never answered, not even a wrong one.
func (m *message) isAnswer() bool {
	return m.method == "" && (m.result != nil || m.failure != nil)
}

// place names the field of a type error, or the message itself.
func place(e *json.UnmarshalTypeError) string {
	if e.Field == "" {
		return "the message"
	}
	return `"` + e.Field + `"`
}

// readParams picks the two parameters that transports act on. Parameters of
// another shape are left for the method itself to refuse.
func (m *message) readParams() {
	if len(m.params) == 0 || m.params[0] != '{' {
		return
	}
	var p struct {
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	}
	// The JSON is valid, so the only error can be a mistyped field. It stays
	// empty here, and the method that wants it refuses it with a better text.
	_ = json.Unmarshal(m.params, &p)
	m.version = p.Meta.Version
	if m.method == string(mcp.MethodNotificationCancelled) {
		m.cancels = p.RequestID
	}
}

// modern reports whether the message declares protocol version 2026-07-28 or
// later, which knows no sessions.
func (m *message) modern() bool { return mcp.IsModernProtocol(m.version) }

// listens reports whether the message opens a modern subscription stream, a
// request that stays open until its client goes.
func (m *message) listens() bool {
	return m.modern() && m.id != nil && m.method == string(mcp.MethodSubscriptionsListen)
}

// validID reports whether raw is a string or a number, the only ids MCP allows.
func validID(raw json.RawMessage) bool {
	switch c := raw[0]; {
	case c == '"', c == '-':
		return true
	default:
		return c >= '0' && c <= '9'
	}
}

// encode renders a message as one line of JSON that ends in a newline. It
// leaves <, > and & as they are: command output is full of them.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return b.Bytes(), nil
}

// encodeRejection renders the error response to the request with this id; a
// nil id becomes null.
func encodeRejection(id json.RawMessage, err error) []byte {
	details := mcp.NewJSONRPCErrorDetails(mcp.INTERNAL_ERROR, err.Error(), nil)
	if r := new(rejection); errors.As(err, &r) {
		details.Code, details.Data = r.code, r.data
	}
	return encodeError(id, details)
}

// encodeError renders an error response. Details that can't be encoded are
// answered with their code and text alone.
func encodeError(id json.RawMessage, details mcp.JSONRPCErrorDetails) []byte {
	reply := mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, ID: requestID(id), Error: details}
	line, err := encode(reply)
	if err != nil {
		reply.Error.Data = nil
		line, _ = encode(reply) // text and numbers always encode
	}
	return line
}

// requestID wraps an id so that it is answered exactly as it was sent.
func requestID(id json.RawMessage) mcp.RequestId {
	if id == nil {
		return mcp.NewRequestId(nil)
	}
	return mcp.NewRequestId(id)
}
