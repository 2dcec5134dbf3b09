package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth"
	"berth/ops"
)

// DefaultWait is how long a tool that changes something waits for its action
// where the caller does not say. Hosts give up on a call after 60 seconds.
const DefaultWait = 45 * time.Second

// newTool is an operation as MCP describes it.
func newTool(op *ops.Operation) (mcp.Tool, error) {
	schema, err := json.Marshal(op.FullInput())
	if err != nil {
		return mcp.Tool{}, fmt.Errorf("the schema of %s: %w", op.Name, err)
	}
	t := mcp.NewToolWithRawSchema(op.Name, op.Doc.Text, schema)
	t.Annotations = mcp.ToolAnnotation{
		Title: op.Doc.Title, ReadOnlyHint: &op.Doc.ReadOnly, DestructiveHint: &op.Doc.Destructive,
		IdempotentHint: &op.Doc.Idempotent, OpenWorldHint: &op.Doc.OpenWorld,
	}
	return t, nil
}

// handler carries out one tool's calls through Dispatch.
func handler(sys *ops.System, srv *server.MCPServer, op *ops.Operation) server.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		c := caller(ctx)
		if !c.shows(op) {
			return failure(ctx, refused(op))
		}
		args := req.GetArguments()
		bare := len(args) == 0
		if args == nil {
			args = map[string]any{}
		}
		env, err := op.TakeEnvelope(args)
		if err != nil {
			return failure(ctx, err)
		}
		call := &ops.Call{
			Op: op.Name, Args: args, Bare: bare, Creds: append(slices.Clone(c.Creds), wallets(req.Params.Meta)...), Front: "mcp",
			Key: env.Key, Quote: env.Quote, Sink: newProgress(ctx, srv, req.Params.Meta),
			Origin: ops.Origin{Realm: c.Realm, Resource: "mcp://tool/" + op.Name},
		}
		res, err := sys.Dispatch(ctx, call)
		if err == nil {
			err = sys.Wait(ctx, res, waitOf(op, env), call.Sink)
		}
		if err != nil {
			return failure(ctx, err)
		}
		return success(res)
	}
}

func waitOf(op *ops.Operation, env ops.Envelope) time.Duration {
	switch {
	case env.Wait != nil:
		return *env.Wait
	case op.Changes():
		return DefaultWait
	}
	return 0
}

// success carries the answer twice, as structure and as text, since hosts show
// the one or the other.
func success(res *ops.Result) (*mcp.CallToolResult, error) {
	text, err := json.Marshal(res.Out)
	if err != nil {
		return nil, fmt.Errorf("write the answer of %s: %w", res.Operation.Name, err)
	}
	out := mcp.NewToolResultStructured(json.RawMessage(text), string(text))
	meta := map[string]any{}
	if res.Receipt != nil {
		meta["berth/receipt"] = res.Receipt
		paidMeta(meta, res.Receipt.Payment)
	}
	paidMeta(meta, res.Proof)
	if res.Replayed {
		meta["berth/replayed"] = true
	}
	if len(meta) > 0 {
		out.Meta = mcp.NewMetaFromMap(meta)
	}
	return out, nil
}

// toolError is an error as tools answer it.
type toolError struct {
	Code       berth.Code    `json:"code"`
	Message    string        `json:"message"`
	Hint       string        `json:"hint,omitempty"`
	Fields     []berth.Field `json:"fields,omitempty"`
	RetryAfter int           `json:"retry_after_seconds,omitempty"`
	Payment    *berth.Demand `json:"payment,omitempty"`
}

func problemOf(e *berth.Error) toolError {
	return toolError{
		Code: e.Code, Message: e.Message, Hint: e.Hint, Fields: e.Fields, Payment: e.Payment,
		RetryAfter: int(math.Ceil(e.RetryAfter.Seconds())),
	}
}

// failure answers with an error that the model can read and act on. Only a
// context that has ended is an error of the protocol.
func failure(ctx context.Context, err error) (*mcp.CallToolResult, error) {
	var e *berth.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	if e.Payment != nil && len(e.Payment.Challenges) > 0 {
		return unpaid(ctx, e)
	}
	text, err := json.Marshal(map[string]toolError{"error": problemOf(e)})
	if err != nil {
		return nil, fmt.Errorf("write an error: %w", err)
	}
	out := mcp.NewToolResultStructured(json.RawMessage(text), string(text))
	out.IsError = true
	return out, nil
}
