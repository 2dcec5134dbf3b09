package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/ops"
)

// inserted tells whether a transfer is in the ledger.
func (s suite) inserted(id string) bool {
	s.Helper()
	err := s.store.Read(s.Context(), func(rx ops.Rx) error {
		_, err := rx.Transfer(s.Context(), id)
		return err
	})
	if err != nil && berth.CodeOf(err) != berth.NotFound {
		s.Fatal(err)
	}
	return err == nil
}

// works checks that the store still reads and writes.
func (s suite) works() {
	s.Helper()
	s.insert(grant("after", "acct_1", 1, 0))
	if !s.inserted("after") {
		s.Error("a later transaction was lost")
	}
}

func errorUndoes(s suite) {
	ctx, want := s.Context(), errors.New("no")
	err := s.store.Write(ctx, func(tx ops.Tx) error {
		if err := tx.InsertTransfer(ctx, grant("t", "acct_1", 1, 0)); err != nil {
			return err
		}
		if _, err := tx.Transfer(ctx, "t"); err != nil {
			return fmt.Errorf("a transaction does not see its own work: %w", err)
		}
		return want
	})
	if err != want {
		s.Errorf("got error %v, want the function's own", err)
	}
	if s.inserted("t") {
		s.Error("the work of a failed transaction is there")
	}
	err = s.store.Read(ctx, func(ops.Rx) error { return want })
	if err != want {
		s.Errorf("a read got error %v, want the function's own", err)
	}
	// A refused statement leaves the rest of its transaction intact.
	s.write(func(tx ops.Tx) error {
		t := grant("kept", "acct_1", 1, 0)
		if err := tx.InsertTransfer(ctx, t); err != nil {
			return err
		}
		s.isError(tx.InsertTransfer(ctx, t), berth.Conflict)
		return nil
	})
	if !s.inserted("kept") {
		s.Error("the work beside a refused statement was lost")
	}
	s.works()
}

// panics runs fn and returns what it panicked with.
func panics(fn func()) (value any) {
	defer func() { value = recover() }()
	fn()
	return nil
}

func panicUndoes(s suite) {
	ctx := s.Context()
	got := panics(func() {
		_ = s.store.Write(ctx, func(tx ops.Tx) error {
			if err := tx.InsertTransfer(ctx, grant("t", "acct_1", 1, 0)); err != nil {
				return err
			}
			panic("boom")
		})
	})
	equal(s, "panic", got, any("boom"))
	got = panics(func() { _ = s.store.Read(ctx, func(ops.Rx) error { panic("bang") }) })
	equal(s, "panic in a read", got, any("bang"))
	if s.inserted("t") {
		s.Error("the work of a transaction that panicked is there")
	}
	s.works()
}

func goexitUndoes(s suite) {
	ctx := s.Context()
	var ended sync.WaitGroup
	ended.Go(func() {
		_ = s.store.Write(ctx, func(tx ops.Tx) error {
			if err := tx.InsertTransfer(ctx, grant("t", "acct_1", 1, 0)); err != nil {
				return err
			}
			runtime.Goexit() // as a test's FailNow does
			return nil
		})
	})
	ended.Wait()
	if s.inserted("t") {
		s.Error("the work of a transaction that did not return is there")
	}
	s.works()
}

func failingMembers(s suite) {
	ctx := s.Context()
	const writers = 60
	fail := errors.New("no")
	results := make([]error, writers)
	var done sync.WaitGroup
	held, release := make(chan struct{}), make(chan struct{})
	done.Go(func() {
		_ = s.store.Write(ctx, func(ops.Tx) error { close(held); <-release; return nil })
	})
	<-held // now the others gather behind it
	for i := range writers {
		done.Go(func() {
			panics(func() {
				results[i] = s.store.Write(ctx, func(tx ops.Tx) error {
					if err := tx.InsertTransfer(ctx, grant(fmt.Sprint(i), "acct_1", 1, 0)); err != nil {
						return err
					}
					switch i % 3 {
					case 1:
						return fail
					case 2:
						panic(i)
					}
					return nil
				})
			})
		})
	}
	close(release)
	done.Wait()
	for i, err := range results {
		if i%3 == 0 && err != nil || i%3 == 1 && err != fail {
			s.Errorf("writer %d got error %v", i, err)
		}
		if got, want := s.inserted(fmt.Sprint(i)), i%3 == 0; got != want {
			s.Errorf("writer %d: inserted is %v", i, got)
		}
	}
	equal(s, "entries", len(s.seqs(billing.Filter{Limit: 1000})), writers/3)
	equal(s, "newest sequence", s.seqs(billing.Filter{Limit: 1})[0], writers/3)
}

func nesting(s suite) {
	ctx := s.Context()
	read := func() { _ = s.store.Read(ctx, func(ops.Rx) error { return nil }) }
	write := func() { _ = s.store.Write(ctx, func(ops.Tx) error { return nil }) }
	for name, inner := range map[string]func(){"read": read, "write": write} {
		insideRead := func() { _ = s.store.Read(ctx, func(ops.Rx) error { inner(); return nil }) }
		insideWrite := func() { _ = s.store.Write(ctx, func(ops.Tx) error { deep(100, inner); return nil }) }
		for outer, fn := range map[string]func(){"read": insideRead, "write": insideWrite} {
			if got := fmt.Sprint(panics(fn)); !strings.Contains(got, "transaction inside a transaction") {
				s.Errorf("a %s inside a %s: panic %s", name, outer, got)
			}
		}
	}
	s.works()
}

// deep calls fn at the bottom of a deep stack.
func deep(n int, fn func()) {
	if n == 0 {
		fn()
		return
	}
	deep(n-1, fn)
}

func afterEnd(s suite) {
	ctx := s.Context()
	var rx ops.Rx
	var tx ops.Tx
	s.read(func(r ops.Rx) error { rx = r; return nil })
	s.write(func(w ops.Tx) error { tx = w; return nil })
	for name, use := range map[string]func(){
		"a read":      func() { _, _ = rx.Principal(ctx, "acct_1") },
		"a list":      func() { _, _ = rx.LedgerAccounts(ctx) },
		"a statement": func() { _ = tx.LockPrincipal(ctx, "acct_1") },
	} {
		if panics(use) == nil {
			s.Errorf("%s after the end was let through", name)
		}
	}
}

func endedContext(s suite) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	for name, err := range map[string]error{
		"write": s.store.Write(ctx, func(ops.Tx) error { s.Error("a write ran"); return nil }),
		"read":  s.store.Read(ctx, func(ops.Rx) error { s.Error("a read ran"); return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			s.Errorf("%s: error %v", name, err)
		}
	}
}

func contextEndsWaiting(s suite) {
	held, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- s.store.Write(s.Context(), func(ops.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	ctx, cancel := context.WithCancel(s.Context())
	waiting := make(chan error)
	go func() {
		waiting <- s.store.Write(ctx, func(ops.Tx) error { s.Error("it ran"); return nil })
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		s.Errorf("the one that waited got error %v", err)
	}
	close(release)
	if err := <-done; err != nil {
		s.Errorf("the one that held got error %v", err)
	}
}

func contextEndsInside(s suite) {
	ctx, cancel := context.WithCancel(s.Context())
	err := s.store.Write(ctx, func(tx ops.Tx) error {
		if err := tx.InsertTransfer(ctx, grant("t", "acct_1", 1, 0)); err != nil {
			return err
		}
		cancel()
		return tx.InsertTransfer(ctx, grant("u", "acct_1", 1, 0))
	})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("got error %v", err)
	}
	if s.inserted("t") || s.inserted("u") {
		s.Error("a part of the transaction is there")
	}
	ctx, cancel = context.WithCancel(s.Context())
	err = s.store.Read(ctx, func(rx ops.Rx) error {
		cancel()
		_, err := rx.Transfer(ctx, "t")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("a read got error %v", err)
	}
	s.works()
}

func oneState(s suite) {
	ctx := s.Context()
	p := account.Principal{ID: s.principal("a@example.com"), Kind: account.Email, Tariff: account.Retail}
	s.read(func(rx ops.Rx) error {
		before, err := rx.Principal(ctx, p.ID)
		if err != nil {
			return err
		}
		written := make(chan error)
		go func() {
			written <- s.store.Write(ctx, func(tx ops.Tx) error {
				if err := tx.InsertTransfer(ctx, grant("t", p.ID, 1, 0)); err != nil {
					return err
				}
				return tx.UpdatePrincipal(ctx, p)
			})
		}()
		if err := <-written; err != nil {
			return err
		}
		after, err := rx.Principal(ctx, p.ID)
		equal(s, "second look", after, before)
		if _, err := rx.Transfer(ctx, "t"); berth.CodeOf(err) != berth.NotFound {
			s.Errorf("a later transfer: error %v", err)
		}
		return err
	})
}

func readYourWrites(s suite) {
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for n := range 10 {
				id := fmt.Sprint(i, "/", n)
				err := s.store.Write(s.Context(), func(tx ops.Tx) error {
					return tx.InsertTransfer(s.Context(), grant(id, "acct_1", 1, 0))
				})
				if err != nil {
					s.Errorf("write %s: %v", id, err)
					return
				}
				err = s.store.Read(s.Context(), func(rx ops.Rx) error {
					_, err := rx.Transfer(s.Context(), id)
					return err
				})
				if err != nil {
					s.Errorf("read %s: %v", id, err)
				}
			}
		})
	}
	done.Wait()
}

// manyWriters moves money concurrently by the ledger's own rules and compares
// what the accounts say with what the transfers add up to.
func manyWriters(s suite) {
	const customers, writers, each = 4, 16, 20
	ctx := s.Context()
	owners := make([]berth.ID, customers)
	for i := range owners {
		owners[i] = s.principal(fmt.Sprintf("c%d@example.com", i))
		s.write(func(tx ops.Tx) error {
			_, err := billing.Record(ctx, tx, grant(fmt.Sprint("grant ", i), owners[i], 500, 0))
			return err
		})
	}
	var done sync.WaitGroup
	var mu sync.Mutex
	recorded := customers
	for w := range writers {
		done.Go(func() {
			for n := range each {
				owner := owners[(w+n)%customers]
				// Each customer can afford 50 of these, and is asked for 80.
				t := spend(fmt.Sprint(w, "/", n), billing.Direct, owner, 10, 1)
				err := s.store.Write(ctx, func(tx ops.Tx) error {
					if err := tx.LockPrincipal(ctx, owner); err != nil {
						return err
					}
					_, err := billing.Record(ctx, tx, t)
					return err
				})
				switch {
				case err == nil:
					mu.Lock()
					recorded++
					mu.Unlock()
				case berth.CodeOf(err) != berth.InsufficientBalance:
					s.Errorf("transfer %s: %v", t.ID, err)
				}
			}
		})
	}
	done.Wait()
	equal(s, "transfers recorded", recorded, customers+customers*50)
	equal(s, "newest sequence", s.seqs(billing.Filter{Limit: 1})[0], int64(recorded))
	equal(s, "entries", len(s.seqs(billing.Filter{Limit: 1000})), recorded)
	s.read(func(rx ops.Rx) error {
		accounts, err := rx.LedgerAccounts(ctx)
		if err != nil {
			return err
		}
		equal(s, "accounts", len(accounts), customers)
		totals, err := rx.LedgerTotals(ctx)
		if err != nil {
			return err
		}
		sums := map[billing.AccountID]billing.Totals{}
		for _, t := range totals {
			sums[t.Account] = t
		}
		for _, a := range accounts {
			equal(s, "totals", sums[a.ID], billing.Totals{Account: a.ID, Credited: a.Credited, Debited: a.Debited, Held: a.Held})
			equal(s, "available", a.Available(), 0)
		}
		equal(s, "revenue", sums[billing.Revenue].Credited, customers*500)
		return nil
	})
}
