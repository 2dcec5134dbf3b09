package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth"
	"berth/account"
)

func TestFilesArePrivate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a folder?with#signs%20")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	d := openAt(t, filepath.Join(folder, "berth.db"))
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, testPrincipal("a@example.com")) })
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 3 {
		t.Errorf("files: %v; want the database, its log and the log's index", files)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", file.Name(), mode)
		}
	}
}

func TestSettings(t *testing.T) {
	d := open(t)
	settings := func(conn *sql.Conn, want map[string]string) {
		t.Helper()
		for name, value := range want {
			var got string
			if err := conn.QueryRowContext(bg, "PRAGMA "+name).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != value {
				t.Errorf("%s is %s, want %s", name, got, value)
			}
		}
	}
	settings(d.writer.session.conn, map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000",
	})
	err := d.readers.do(bg, func(s *scope) error {
		settings(s.session.conn, map[string]string{"query_only": "1", "busy_timeout": "10000"})
		_, err := s.ExecContext(bg, "DELETE FROM keys")
		return err
	})
	if err == nil {
		t.Error("a read connection could write")
	}
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	newer := filepath.Join(folder, "newer.db")
	d := openAt(t, newer)
	if err := d.writer.session.exec(bg, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(folder, "text.db")
	if err := os.WriteFile(text, bytes.Repeat([]byte("no database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		options Options
		want    string
	}{
		"a newer schema": {Options{Path: newer}, "newer Berth"},
		"another file":   {Options{Path: text}, "not a database"},
		"no folder":      {Options{Path: filepath.Join(folder, "none", "berth.db")}, "no such file"},
		"a folder":       {Options{Path: folder}, "is a directory"},
		"no readers":     {Options{Path: filepath.Join(folder, "berth.db"), ReadConns: -1}, "-1 read connections"},
	} {
		d, err := Open(bg, tt.options)
		if err == nil {
			t.Errorf("%s was opened", name)
			d.Close()
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q says nothing of %q", name, err, tt.want)
		}
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	p := testPrincipal("a@example.com")
	d := openAt(t, path)
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, p) })
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openAt(t, path)
	if got := principalIn(t, d, p.ID); got != p {
		t.Errorf("got %+v, want %+v", got, p)
	}
}

func principalIn(t *testing.T, d *DB, id berth.ID) account.Principal {
	t.Helper()
	var p account.Principal
	err := d.Read(bg, func(rx *Rx) (err error) { p, err = rx.Principal(bg, id); return err })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBackup(t *testing.T) {
	d := open(t)
	p := testPrincipal("a@example.com")
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, p) })
	path := filepath.Join(t.TempDir(), "it's a copy.db")
	if err := d.Backup(bg, path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %o", info.Mode().Perm())
	}
	mustWrite(t, d, func(tx *Tx) error { p := p; p.Suspended = true; return tx.UpdatePrincipal(bg, p) })
	if got := principalIn(t, openAt(t, path), p.ID); got != p {
		t.Errorf("got %+v, want %+v", got, p)
	}
	if err := d.Backup(bg, path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second backup to the same file: %v", err)
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	other := filepath.Join(t.TempDir(), "other.db")
	if err := d.Backup(ended, other); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup with a context that has ended: %v", err)
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a failed backup left its file: %v", err)
	}
}

func TestClosed(t *testing.T) {
	d := open(t)
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	p := testPrincipal("a@example.com")
	go func() {
		done <- d.Write(bg, func(tx *Tx) error {
			close(held)
			<-release
			return tx.InsertPrincipal(bg, p)
		})
	}()
	<-held
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	<-d.writer.stop // it has begun to close
	if err := d.Write(bg, func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("a write got error %v", err)
	}
	if err := d.Read(bg, func(*Rx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("a read got error %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the write that ran got error %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if got := principalIn(t, openAt(t, d.path), p.ID); got != p {
		t.Errorf("got %+v, want %+v", got, p)
	}
}

// TestBrokenGroup checks that a group which can't be committed fails for all of
// its members, and that the writer goes on.
func TestBrokenGroup(t *testing.T) {
	var log bytes.Buffer
	d, err := Open(bg, Options{Path: filepath.Join(t.TempDir(), "berth.db"), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first, second := testPrincipal("a@example.com"), testPrincipal("b@example.com")
	held, release, results := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		results <- d.Write(bg, func(tx *Tx) error {
			close(held)
			<-release
			return tx.InsertPrincipal(bg, first)
		})
	}()
	<-held
	go func() {
		results <- d.Write(bg, func(tx *Tx) error {
			if err := tx.InsertPrincipal(bg, second); err != nil {
				return err
			}
			// As the engine does when the disk is full.
			return d.writer.session.exec(bg, "ROLLBACK")
		})
	}()
	close(release)
	failed := 0
	for range 2 {
		err := <-results
		if err == nil {
			continue // it committed before the other took its turn
		}
		failed++
		if berth.CodeOf(err) != berth.Unavailable {
			t.Errorf("got error %v", err)
		}
	}
	if failed == 0 || !strings.Contains(log.String(), "undone") {
		t.Errorf("%d failed; the log has %q", failed, log.String())
	}
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, second) })
	if got := principalIn(t, d, second.ID); got != second {
		t.Errorf("got %+v, want %+v", got, second)
	}
}
