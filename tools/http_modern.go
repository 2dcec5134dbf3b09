package tools

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
)

// serveModern serves a request of protocol version 2026-07-28 or later, which
// stands for itself. When its client closes the stream, the call is cancelled.
func (f *Front) serveModern(w http.ResponseWriter, r *http.Request, m message) {
	if m.isAnswer() {
		f.reject(w, http.StatusBadRequest, m.id, rejectf(mcp.INVALID_REQUEST, "this protocol version has no requests from the server to answer"))
		return
	}
	if err := f.checkHeaders(r.Header, m); err != nil {
		f.reject(w, http.StatusBadRequest, m.id, err)
		return
	}
	if m.id == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	stream := newEventStream(w, f.opts.KeepAlive, accepts(r, "text/event-stream"))
	defer stream.close()
	x, err := f.newExchange(r.Context(), nil, m, stream.send)
	if err != nil {
		stream.close()
		f.refuse(w, m.id, err)
		return
	}
	defer x.end()
	reply := x.run()
	f.answer(stream, reply, modernStatus(x.code))
}

// checkHeaders compares the headers of a modern request with its body, which
// they repeat for those in between who don't read bodies.
func (f *Front) checkHeaders(h http.Header, m message) error {
	version := h.Get(mcp.HeaderProtocolVersion)
	switch {
	case h.Get(mcp.HeaderLastEventID) != "":
		return rejectf(mcp.HEADER_MISMATCH, "streams can't be resumed in this protocol version; send the request again with a new id")
	case version == "":
		return rejectf(mcp.HEADER_MISMATCH, "the header %s is missing", mcp.HeaderProtocolVersion)
	case m.version == "":
		return rejectf(mcp.INVALID_PARAMS, "params._meta lacks %s", mcp.MetaKeyProtocolVersion)
	case version != m.version:
		return rejectf(mcp.HEADER_MISMATCH, "the header %s says %s and params._meta says %s", mcp.HeaderProtocolVersion, version, m.version)
	case !mcp.IsValidProtocolVersion(version):
		return nil // the server answers with the versions it knows
	}
	err := mcp.ValidateStandardHeaders(h.Get, version, mcp.MCPMethod(m.method), m.params)
	if err == nil && m.method == string(mcp.MethodToolsCall) {
		err = f.checkParamHeaders(h, m.params)
	}
	if mismatch := new(mcp.HeaderMismatchError); errors.As(err, mismatch) {
		return rejectf(mcp.HEADER_MISMATCH, "%s", mismatch.Error())
	}
	return err
}

// checkParamHeaders compares the headers that repeat a tool's parameters, if
// the tool asks for any, with the call.
func (f *Front) checkParamHeaders(h http.Header, params json.RawMessage) error {
	var call struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(params, &call); err != nil {
		return nil // the method refuses such parameters with a better text
	}
	tool := f.server.GetTool(call.Name)
	if tool == nil {
		return nil
	}
	return mcp.ValidateParamHeadersLookup(func(name string) (string, bool) {
		values := h.Values(name)
		if len(values) == 0 {
			return "", false
		}
		return values[0], true
	}, &tool.Tool, params)
}

// modernStatus maps the code of a response, 0 for success, to the HTTP status
// that lets those in between see a failure.
func modernStatus(code int) int {
	switch code {
	case mcp.METHOD_NOT_FOUND:
		return http.StatusNotFound
	case mcp.PARSE_ERROR, mcp.INVALID_REQUEST, mcp.INVALID_PARAMS, mcp.HEADER_MISMATCH,
		mcp.MISSING_REQUIRED_CLIENT_CAPABILITY, mcp.UNSUPPORTED_PROTOCOL_VERSION:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}
