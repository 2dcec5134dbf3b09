package main

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"berth"
	"berth/account"
	"berth/fleet"
	"berth/ops"
	"berth/storage"
)

// TestIdleSandbox lets a detached node with the sandbox be alone. It stays while
// a host is connected and for a while after, and then ends.
func TestIdleSandbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := &node{app: &app{cloud: &cloud{}}, hosts: newHosts(time.Now), detached: true, quitting: context.Background()}
		idle := n.idle(ctx)
		stays := func(why string, d time.Duration) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			select {
			case <-idle:
				t.Fatalf("it ended %s", why)
			default:
			}
		}
		host := io.NopCloser(nil)
		stays("before its first host came", sandboxLinger-time.Minute)
		n.hosts.add(host)
		stays("while a host was connected", 24*time.Hour)
		n.hosts.remove(host)
		stays("as soon as the host had gone", sandboxLinger-time.Minute)
		n.hosts.touch()
		stays("just after a command", sandboxLinger)
		left := time.Now()
		<-idle
		if late := time.Since(left); late > 2*idleCheck {
			t.Errorf("it ended %s after it could", late)
		}
	})
}

// TestNotDetached never ends by itself.
func TestNotDetached(t *testing.T) {
	t.Parallel()
	n := &node{hosts: newHosts(time.Now)}
	if n.idle(t.Context()) != nil {
		t.Error("a node that was started by hand watches whether it is idle")
	}
}

// TestIdleCloud asks whether a node with a real provider may end: only when
// nobody is connected and nothing lives, since leases must end on time.
func TestIdleCloud(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := storage.Open(ctx, storage.Options{Path: filepath.Join(t.TempDir(), "berth.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	n := &node{app: &app{db: db}, hosts: newHosts(func() time.Time { return now }), detached: true}
	want := func(when string, over bool) {
		t.Helper()
		if n.over(ctx) != over {
			t.Errorf("%s: over is %v", when, !over)
		}
	}
	write := func(fn func(ops.Tx) error) {
		t.Helper()
		if err := db.Ops().Write(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	want("at once", false)
	now = now.Add(realLinger + time.Second)
	want("alone, with nothing alive", true)

	owner, err := account.NewEmailPrincipal("dev@example.com", account.Budget{}, now)
	if err != nil {
		t.Fatal(err)
	}
	server := fleet.Server{
		ID: berth.NewID(berth.PrefixServer, now), Owner: owner.ID, Status: fleet.Active,
		Lease: fleet.Lease{Period: fleet.Minute}, Created: now,
	}
	write(func(tx ops.Tx) error { return tx.InsertPrincipal(ctx, owner) })
	write(func(tx ops.Tx) error { return tx.InsertServer(ctx, server) })
	want("with a live server", false)

	server.Status = fleet.Destroyed
	work := fleet.Action{
		ID: berth.NewID(berth.PrefixAction, now), Owner: owner.ID, Kind: fleet.ActionDestroy, Status: fleet.ActionRunning,
		Server: server.ID, StageAt: now, NextAt: now, Created: now,
	}
	write(func(tx ops.Tx) error { return tx.UpdateServer(ctx, server) })
	write(func(tx ops.Tx) error { return tx.InsertAction(ctx, work) })
	want("with work under way", false)

	work.Status = fleet.ActionDone
	write(func(tx ops.Tx) error { return tx.UpdateAction(ctx, work) })
	want("when all of it has ended", true)

	host := io.NopCloser(nil)
	n.hosts.add(host)
	now = now.Add(time.Hour)
	want("with a host connected", false)
	n.hosts.remove(host)
	want("just after the host has gone", false)
}
