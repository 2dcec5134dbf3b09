package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"berth/ops"
)

// serversCommands are `berth servers …`.
type serversCommands struct {
	List    serversList    `cmd:"" default:"withargs" help:"All live servers."`
	Destroy serversDestroy `cmd:"" help:"Destroy a server, with a snapshot first."`
}

type serversList struct {
	where
	output
}

// Run lists all live servers.
func (c *serversList) Run(ctx context.Context) error {
	list := []ops.OwnedServer{}
	for after := ""; ; {
		var page ops.AllServersOut
		if err := c.ask(ctx, http.MethodGet, "/v1/operator/servers?after="+url.QueryEscape(after), nil, &page); err != nil {
			return err
		}
		list = append(list, page.Servers...)
		if after = page.Next; after == "" {
			break
		}
	}
	return c.show(list, func(w io.Writer) {
		fmt.Fprintln(w, "SERVER\tOWNER\tLABEL\tSTATUS\tSIZE\tREGION\tADDRESS\tPAID UNTIL")
		for _, s := range list {
			ip := ""
			if s.IP != nil {
				ip = *s.IP
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Owner, s.Label, s.Status, s.Size, s.Region, ip, s.PaidUntil.Local().Format(time.DateTime))
		}
	})
}

type serversDestroy struct {
	where
	output
	Server string `arg:"" help:"Its id (srv_…)."`
	Wait   int    `help:"Seconds to wait for the end." default:"60"`
}

// Run destroys the server.
func (c *serversDestroy) Run(ctx context.Context) error {
	var out ops.DestroyOut
	path := fmt.Sprintf("/v1/servers/%s?wait_seconds=%d", url.PathEscape(c.Server), c.Wait)
	if err := c.ask(ctx, http.MethodDelete, path, nil, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is %s\n", out.ID, out.Status)
		if out.Snapshot != nil {
			fmt.Fprintf(w, "Its snapshot is %s, kept for %d hours\n", out.Snapshot.ID, out.Snapshot.ExpiresIn)
		}
	})
}
