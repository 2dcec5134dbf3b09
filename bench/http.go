package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// measureHTTP asks for one server over HTTP. The baseline is an empty handler
// behind the same net/http server, in a process of its own.
func measureHTTP(ctx context.Context, l *lab) (_ []result, err error) {
	s, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	bare, err := l.program(ctx, "bench/bare")
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, bare, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var list []result
	for _, inFlight := range []int{1, 32} {
		count := l.pick(1_000, 300) * min(inFlight, 4)
		client := newClient(inFlight)
		seen, err := interleave(ctx, l.pick(11, 3),
			get(client, count, inFlight, s.url+"/v1/servers/"+s.server, s.key),
			get(client, count, inFlight, p.url+"/v1/servers/"+s.server, s.key),
		)
		client.CloseIdleConnections()
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("get_server over HTTP, %d in flight, ", inFlight)
		list = append(list,
			newResult(what+"p50", "µs", compare(seen[0], seen[1], median), "empty handler", atMost(1.5)),
			newResult(what+"p99", "µs", compare(seen[0], seen[1], p99), "empty handler", nil),
		)
	}
	return list, nil
}

// newClient keeps as many connections alive as there are requests at once.
func newClient(inFlight int) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConns: 2 * inFlight, MaxIdleConnsPerHost: inFlight}}
}

// get takes the latency of requests, in microseconds.
func get(client *http.Client, count, inFlight int, url, key string) take {
	return func(ctx context.Context) ([]float64, error) {
		return calls(ctx, count, inFlight, func(ctx context.Context, _ int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+key)
			return exchange(client, req, http.StatusOK)
		})
	}
}

// exchange sends a request and reads the whole answer, of which only the status
// matters.
func exchange(client *http.Client, req *http.Request, status int) error {
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode != status {
		return fmt.Errorf("%s %s answered %s", req.Method, req.URL, res.Status)
	}
	return nil
}
