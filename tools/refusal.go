package tools

import (
	"context"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth"
)

// rejectionOf is an error of Berth's as one of JSON-RPC's: under the code where
// it is the caller's fault, else as an internal error. Its data is what a tool's
// error holds, but for the challenges, which only calls can answer.
func rejectionOf(err error, code int) *rejection {
	var e *berth.Error
	if !errors.As(err, &e) {
		return rejectf(mcp.INTERNAL_ERROR, "the request could not be carried out for a reason of Berth's own")
	}
	if e.Code == berth.Internal || e.Code == berth.Unavailable {
		code = mcp.INTERNAL_ERROR
	}
	data := problemOf(e)
	data.Payment = nil
	text := e.Message
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return &rejection{code: code, text: text, data: data}
}

// refuseRead ends the reading of a resource with the error that its operation
// came to. What is not there has a code of its own in the legacy protocol.
func refuseRead(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	code := mcp.INVALID_PARAMS
	if berth.CodeOf(err) == berth.NotFound && !mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)) {
		code = mcp.RESOURCE_NOT_FOUND
	}
	r := rejectionOf(err, code)
	return Refuse(ctx, r.code, r.text, r.data)
}
