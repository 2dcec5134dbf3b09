package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"berth/ops"
)

// page is the web page that the demo serves from a server.
type page struct {
	content string // with a random word, so that no other page passes for it
	word    string
}

const (
	pageDir  = "/srv/www"
	pagePath = pageDir + "/index.html"
)

func newPage() page {
	word := rand.Text()
	return page{word: word, content: fmt.Sprintf(`<!doctype html>
<title>Berth</title>
<h1>Hello from a server that an agent bought</h1>
<p>%s</p>
`, word)}
}

// webServer prefers Python's, which most systems have; the sandbox's machines
// have one of their own.
const webServer = `if python3 -c 'import http.server' 2>/dev/null; then exec python3 -m http.server %[1]d; fi; exec berth-httpd -p %[1]d .`

func (s *story) serve(ctx context.Context, c *scene) error {
	s.page = newPage()
	var file ops.FileOut
	in := map[string]any{"server_id": s.server.ID, "path": pagePath, "content": s.page.content, "mkdir": true}
	if err := c.call(ctx, "upload_file", in, &file); err != nil {
		return err
	}
	c.say("%s has %d bytes, mode %s.", file.Path, file.Size, file.Mode)
	port, err := quietPort(ctx, *s.server.IP)
	if err != nil {
		return err
	}
	var run ops.ExecOut
	in = map[string]any{"server_id": s.server.ID, "command": fmt.Sprintf(webServer, port), "cwd": pageDir, "background": true}
	if err := c.call(ctx, "ssh_exec", in, &run); err != nil {
		return err
	}
	c.say("It runs in the background: %s.", run.Handle)
	url := "http://" + net.JoinHostPort(*s.server.IP, strconv.Itoa(port)) + "/"
	by, err := s.page.fetch(ctx, url)
	end := map[string]any{"server_id": s.server.ID, "handle": run.Handle, "stop": true}
	stopErr := c.call(ctx, "ssh_exec", end, &run)
	if err != nil {
		return errors.Join(fmt.Errorf("%w; the web server said: %s%s", err, run.Stdout.Text, run.Stderr.Text), stopErr)
	}
	c.say("This machine fetched %s: the page, served by %s.", url, by)
	c.facts["url"], c.facts["served_by"], c.facts["word"] = url, by, s.page.word
	return stopErr
}

// quietPort is a port of an address at which nobody answers: where something on
// this machine listens on all addresses, it would answer instead of the server.
func quietPort(ctx context.Context, ip string) (int, error) {
	d := net.Dialer{Timeout: time.Second}
	for port := 8080; port < 8100; port++ {
		conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
		if err != nil {
			return port, ctx.Err()
		}
		conn.Close() // only its being there mattered
	}
	return 0, fmt.Errorf("every port from 8080 to 8099 of %s is taken on this machine", ip)
}

// pageTimeout is how long a web server may take to come up.
const pageTimeout = 20 * time.Second

// fetch waits until the page is served at url, and tells by what.
func (p page) fetch(ctx context.Context, url string) (server string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	wire := &http.Transport{DisableKeepAlives: true} // the machine's own address: no proxy
	web := &http.Client{Transport: wire, Timeout: 5 * time.Second}
	for {
		server, err = p.get(ctx, web, url)
		if err == nil {
			return server, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("fetch the page: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p page) get(ctx context.Context, web *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := web.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK || string(body) != p.content {
		return "", fmt.Errorf("%s answered %s with %d bytes that are not the page", url, res.Status, len(body))
	}
	if by := res.Header.Get("Server"); by != "" {
		return by, nil
	}
	return "berth-httpd", nil
}
