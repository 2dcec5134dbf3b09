// Package storagetest is the conformance suite of Berth's storage: whatever
// implements ops.Store passes Run, on whichever engine.
package storagetest

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/account"
	"berth/ops"
)

// Run tests the stores that open makes. Each call of open returns a new and
// empty store, which open closes by itself when its test ends.
func Run(t *testing.T, open func(t *testing.T) ops.Store) {
	tests := []struct {
		name string
		run  func(suite)
	}{
		{"principals", principals},
		{"API keys", apiKeys},
		{"managed keys", managedKeys},
		{"transfers", transfers},
		{"ledger bounds", ledgerBounds},
		{"ledger accounts", ledgerAccounts},
		{"ledger totals", ledgerTotals},
		{"entries", entries},
		{"spent", spent},
		{"quotes", quotes},
		{"wallets", wallets},
		{"payments", payments},
		{"refused payments", refusedPayments},
		{"proofs", proofs},
		{"servers", servers},
		{"server lists", serverLists},
		{"due servers", dueServers},
		{"revivable servers", revivable},
		{"snapshots", snapshots},
		{"snapshot lists", snapshotLists},
		{"keys", keys},
		{"actions", actions},
		{"action lists", actionLists},
		{"events", events},
		{"answers", answers},
		{"audit", audit},
		{"passwords", passwords},
		{"moved wallets", movedWallets},
		{"pools", pools},
		{"pool members", members},
		{"pool servers", poolServers},
		{"open payments", openPayments},
		{"counters", counters},
		{"limits", limits},
		{"an error undoes", errorUndoes},
		{"a panic undoes", panicUndoes},
		{"an ended goroutine undoes", goexitUndoes},
		{"failing members leave the others alone", failingMembers},
		{"a transaction inside a transaction", nesting},
		{"a transaction after its end", afterEnd},
		{"a context that has ended", endedContext},
		{"a context that ends while waiting", contextEndsWaiting},
		{"a context that ends inside", contextEndsInside},
		{"a read sees one state", oneState},
		{"a read sees what was written before", readYourWrites},
		{"many writers", manyWriters},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(suite{T: t, store: open(t)}) })
	}
}

// suite is one test with its store.
type suite struct {
	*testing.T
	store ops.Store
}

// write runs a transaction that has to succeed.
func (s suite) write(fn func(ops.Tx) error) {
	s.Helper()
	if err := s.store.Write(s.Context(), fn); err != nil {
		s.Fatalf("write: %v", err)
	}
}

// read runs a read that has to succeed.
func (s suite) read(fn func(ops.Rx) error) {
	s.Helper()
	if err := s.store.Read(s.Context(), fn); err != nil {
		s.Fatalf("read: %v", err)
	}
}

// refuses checks that a transaction fails with a code, and with a message that
// has all of the given parts.
func (s suite) refuses(code berth.Code, fn func(ops.Tx) error, parts ...string) {
	s.Helper()
	err := s.store.Write(s.Context(), fn)
	s.isError(err, code, parts...)
}

func (s suite) isError(err error, code berth.Code, parts ...string) {
	s.Helper()
	var e *berth.Error
	if !errors.As(err, &e) || e.Code != code {
		s.Fatalf("got error %v, want the code %s", err, code)
	}
	for _, part := range parts {
		if !strings.Contains(e.Message, part) {
			s.Errorf("message %q says nothing of %q", e.Message, part)
		}
	}
}

// equal compares what was got with what is wanted.
func equal[T any](s suite, what string, got, want T) {
	s.Helper()
	addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff(want, got, addrs); diff != "" {
		s.Errorf("%s: -want +got:\n%s", what, diff)
	}
}

// fetch reads one thing and compares it.
func fetch[T any](s suite, what string, want T, get func(ops.Rx) (T, error)) {
	s.Helper()
	s.read(func(rx ops.Rx) error {
		got, err := get(rx)
		if err != nil {
			return err
		}
		equal(s, what, got, want)
		return nil
	})
}

// absent checks that reading one thing is refused as not found.
func absent[T any](s suite, get func(ops.Rx) (T, error), parts ...string) {
	s.Helper()
	err := s.store.Read(s.Context(), func(rx ops.Rx) error {
		_, err := get(rx)
		return err
	})
	s.isError(err, berth.NotFound, parts...)
}

// filled checks that a sample has no zero field, so that a field which is added
// later and not stored makes its round trip fail.
func filled(s suite, sample any) {
	s.Helper()
	v := reflect.ValueOf(sample)
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Name, v.Field(i)
		if field.IsZero() {
			s.Errorf("the sample %T leaves %s empty", sample, name)
		}
		if field.Kind() == reflect.Struct && field.Type().PkgPath() != "time" && field.Type().PkgPath() != "net/netip" {
			filled(s, field.Interface())
		}
	}
}

// start is the time of everything in the suite. Microseconds survive.
var start = time.Date(2026, 3, 4, 5, 6, 7, 891234000, time.UTC)

// at is a time some seconds after the start.
func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// newID makes ids that sort in the order of seconds.
func newID(prefix string, seconds int) berth.ID { return berth.NewID(prefix, at(seconds)) }

// principal inserts an account for things to belong to.
func (s suite) principal(email string) berth.ID {
	s.Helper()
	p := account.Principal{
		ID: newID(berth.PrefixAccount, 0), Kind: account.Email, Email: email, Tariff: account.Retail, Created: start,
	}
	s.write(func(tx ops.Tx) error { return tx.InsertPrincipal(s.Context(), p) })
	return p.ID
}

// ids are the ids of things, for comparing lists.
func ids[T any](things []T, id func(T) berth.ID) []berth.ID {
	out := make([]berth.ID, len(things))
	for i, thing := range things {
		out[i] = id(thing)
	}
	return out
}
