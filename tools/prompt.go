package tools

import (
	"context"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth/prompts"
)

func addPrompt(srv *server.MCPServer, p prompts.Prompt) {
	out := mcp.NewPrompt(p.Name, mcp.WithPromptDescription(p.Description))
	out.Title = p.Title
	for _, a := range p.Arguments {
		out.Arguments = append(out.Arguments, mcp.PromptArgument{Name: a.Name, Description: a.Description, Required: a.Required})
	}
	srv.AddPrompt(out, func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		text, err := p.Render(req.Params.Arguments)
		if wrong := new(prompts.ArgumentError); errors.As(err, &wrong) {
			return nil, Refuse(ctx, mcp.INVALID_PARAMS, err.Error(), nil)
		}
		if err != nil {
			return nil, err
		}
		return mcp.NewGetPromptResult(p.Description, []mcp.PromptMessage{
			mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text)),
		}), nil
	})
}
