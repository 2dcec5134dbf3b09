package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"berth"
	"berth/ops"
)

const serverURI = "berth://servers/"

// addResources offers what agents read rather than call: each resource is the
// answer of operations.
func addResources(srv *server.MCPServer, sys *ops.System) {
	srv.AddResource(
		mcp.NewResource("berth://llms.txt", "Guide", mcp.WithResourceDescription("How to buy, use and end a server"), mcp.WithMIMEType("text/plain")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: "berth://llms.txt", MIMEType: "text/plain", Text: berth.LLMs}}, nil
		})
	srv.AddResource(
		mcp.NewResource("berth://catalog", "Catalog", mcp.WithResourceDescription("Regions, sizes with prices, images"), mcp.WithMIMEType("application/json")),
		reader(sys, func(string) []ops.Call {
			return []ops.Call{{Op: "list_regions"}, {Op: "list_sizes"}, {Op: "list_images"}, {Op: "get_snapshot_pricing"}}
		}))
	srv.AddResource(
		mcp.NewResource("berth://servers", "Servers", mcp.WithResourceDescription("Your servers"), mcp.WithMIMEType("application/json")),
		reader(sys, func(string) []ops.Call { return []ops.Call{{Op: "list_servers"}} }))
	srv.AddResource(
		mcp.NewResource("berth://statement", "Statement", mcp.WithResourceDescription("What happened to your money"), mcp.WithMIMEType("application/json")),
		reader(sys, func(string) []ops.Call { return []ops.Call{{Op: "get_statement"}} }))
	srv.AddResourceTemplate(
		mcp.NewResourceTemplate(serverURI+"{id}", "Server", mcp.WithTemplateDescription("One of your servers"), mcp.WithTemplateMIMEType("application/json")),
		server.ResourceTemplateHandlerFunc(reader(sys, func(uri string) []ops.Call {
			return []ops.Call{{Op: "get_server", Args: map[string]any{"server_id": strings.TrimPrefix(uri, serverURI)}}}
		})))
}

// reader answers a resource by operations; the objects that several of them
// answer are put side by side in one.
func reader(sys *ops.System, calls func(uri string) []ops.Call) server.ResourceHandlerFunc {
	return func(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		all := map[string]json.RawMessage{}
		for _, call := range calls(req.Params.URI) {
			call.Creds, call.Front = caller(ctx).Creds, "mcp"
			res, err := sys.Dispatch(ctx, &call)
			if err != nil {
				return nil, refuseRead(ctx, err)
			}
			text, err := json.Marshal(res.Out)
			if err == nil {
				err = json.Unmarshal(text, &all)
			}
			if err != nil {
				return nil, fmt.Errorf("write %s: %w", req.Params.URI, err)
			}
		}
		text, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", req.Params.URI, err)
		}
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: "application/json", Text: string(text)}}, nil
	}
}
