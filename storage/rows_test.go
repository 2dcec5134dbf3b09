package storage

import (
	"path/filepath"
	"sync"
	"testing"

	"berth"
	"berth/account"
)

// TestRowsAreFresh changes a row again and again, here and as another process
// would: each read sees what was committed before it, and a transaction sees
// one state however often it looks.
func TestRowsAreFresh(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	d := openAt(t, path)
	other, err := openPool(path, writePragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p := testPrincipal("a@example.com")
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, p) })
	changes := map[string]func(limit int){
		"the writer": func(limit int) {
			p.ServerLimit = limit
			mustWrite(t, d, func(tx *Tx) error { return tx.UpdatePrincipal(bg, p) })
		},
		"another process": func(limit int) {
			if _, err := other.ExecContext(bg, "UPDATE principals SET server_limit = $1 WHERE id = $2", limit, string(p.ID)); err != nil {
				t.Fatal(err)
			}
		},
	}
	limit := 0
	for range 3 * cap(d.readers.slots) { // every connection has its own memory
		for who, change := range changes {
			limit++
			change(limit)
			for range 2 {
				if got := mustRead(t, d, func(rx *Rx) (account.Principal, error) { return rx.Principal(bg, p.ID) }); got.ServerLimit != limit {
					t.Fatalf("after %s had written %d, a read sees %d", who, limit, got.ServerLimit)
				}
			}
			mustRead(t, d, func(rx *Rx) (account.Principal, error) {
				first, err := rx.Principal(bg, p.ID)
				if err != nil {
					return first, err
				}
				changes["another process"](limit + 1)
				second, err := rx.PrincipalByEmail(bg, p.Email)
				if first != second {
					t.Errorf("one transaction sees %+v and %+v", first, second)
				}
				return second, err
			})
			limit++
		}
	}
}

// TestRowsOfWriters looks at what a transaction has changed itself, which no
// read may see before the commit, nor after a rollback.
func TestRowsOfWriters(t *testing.T) {
	d := open(t)
	p := testPrincipal("a@example.com")
	mustWrite(t, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, p) })
	seen := func() int {
		return mustRead(t, d, func(rx *Rx) (account.Principal, error) { return rx.Principal(bg, p.ID) }).ServerLimit
	}
	before := seen()
	failed := d.Write(bg, func(tx *Tx) error {
		for limit := 100; limit < 103; limit++ {
			changed := p
			changed.ServerLimit = limit
			if err := tx.UpdatePrincipal(bg, changed); err != nil {
				return err
			}
			got, err := tx.Principal(bg, p.ID)
			if err != nil || got.ServerLimit != limit {
				t.Errorf("the transaction wrote %d and sees %d, %v", limit, got.ServerLimit, err)
			}
		}
		var outside sync.WaitGroup
		var during int
		outside.Go(func() { during = seen() })
		outside.Wait()
		if during != before {
			t.Errorf("a read sees %d, which is not committed", during)
		}
		return ErrClosed
	})
	if failed == nil || seen() != before {
		t.Errorf("after %v, a read sees %d instead of %d", failed, seen(), before)
	}
}

// TestRowsAreBounded reads more rows than one connection remembers, and some
// that are not there.
func TestRowsAreBounded(t *testing.T) {
	d, err := Open(bg, Options{Path: filepath.Join(t.TempDir(), "berth.db"), ReadConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var ids []berth.ID
	mustWrite(t, d, func(tx *Tx) error {
		for range maxRows + 10 {
			p := testPrincipal("")
			ids = append(ids, p.ID)
			if err := tx.InsertPrincipal(bg, p); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range append(ids, ids...) {
		if got := mustRead(t, d, func(rx *Rx) (account.Principal, error) { return rx.Principal(bg, id) }); got.ID != id {
			t.Fatalf("asked for %s, got %s", id, got.ID)
		}
	}
	for range 2 {
		err := d.Read(bg, func(rx *Rx) error { _, err := rx.APIKey(bg, ids[0]); return err })
		if berth.CodeOf(err) != berth.NotFound {
			t.Fatalf("an account's id is an API key's as well: %v", err)
		}
	}
	s := <-d.readers.slots
	if n := len(s.rows.found); n == 0 || n > maxRows {
		t.Errorf("%d rows are remembered, at most %d may be", n, maxRows)
	}
	d.readers.slots <- s
}

func mustRead[T any](t *testing.T, d *DB, read func(*Rx) (T, error)) (out T) {
	t.Helper()
	err := d.Read(bg, func(rx *Rx) (err error) {
		out, err = read(rx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
