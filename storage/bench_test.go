package storage

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"berth"
	"berth/billing"
)

// BenchmarkTransfers records direct transfers: the transfer and the state of a
// customer's account. "raw" does the same statements by hand on a bare
// connection with the same settings, so many to a commit, and is what as many
// callers of the grouping writer are measured against. "record" adds the
// ledger's own reads.
func BenchmarkTransfers(b *testing.B) {
	for _, callers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("raw=%d", callers), func(b *testing.B) { benchmarkRaw(b, callers) })
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { benchmarkGrouped(b, callers, insertAndPut) })
	}
	b.Run("record=64", func(b *testing.B) {
		benchmarkGrouped(b, 64, func(tx *Tx, t billing.Transfer, _ berth.Micros) error {
			_, err := billing.Record(bg, tx, t)
			return err
		})
	})
}

func insertAndPut(tx *Tx, t billing.Transfer, balance berth.Micros) error {
	if err := tx.InsertTransfer(bg, t); err != nil {
		return err
	}
	return tx.PutLedgerAccount(bg, billing.Account{ID: t.Credit, Credited: balance})
}

func benchmarkGrouped(b *testing.B, callers int, record func(*Tx, billing.Transfer, berth.Micros) error) {
	d := open(b)
	var next atomic.Int64
	var done sync.WaitGroup
	b.ResetTimer()
	for range callers {
		done.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				t := benchTransfer(n)
				if err := d.Write(bg, func(tx *Tx) error { return record(tx, t, berth.Micros(n)) }); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
}

// benchTransfer is a grant to one of a thousand customers.
func benchTransfer(n int64) billing.Transfer {
	return testGrant(fmt.Sprintf("txn_%024x", uint64(n)*0x9e3779b97f4a7c15), berth.ID(fmt.Sprintf("acct_%024x", n%1000)), 1)
}

func benchmarkRaw(b *testing.B, group int) {
	path := filepath.Join(b.TempDir(), "berth.db")
	if err := openAt(b, path).Close(); err != nil { // for its schema
		b.Fatal(err)
	}
	pool, err := openPool(path, writePragmas)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Conn(bg)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	insert, err := conn.PrepareContext(bg, queries(b)["InsertTransfer"])
	if err != nil {
		b.Fatal(err)
	}
	defer insert.Close()
	put, err := conn.PrepareContext(bg, queries(b)["PutLedgerAccount"])
	if err != nil {
		b.Fatal(err)
	}
	defer put.Close()
	b.ResetTimer()
	for n := 0; n < b.N; {
		tx, err := conn.BeginTx(bg, nil)
		if err != nil {
			b.Fatal(err)
		}
		for range min(group, b.N-n) {
			n++
			t := benchTransfer(int64(n))
			_, err := insert.ExecContext(bg, t.ID, string(t.Kind), string(t.Debit), string(t.Credit), int64(t.Amount), nil,
				string(t.Reason), "", "", "", "", toMicros(t.At))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := put.ExecContext(bg, string(t.Credit), n, 0, 0); err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "transfers/s")
}

// BenchmarkRead reads one row by its id, in a transaction of its own.
func BenchmarkRead(b *testing.B) {
	d := open(b)
	p := testPrincipal("a@example.com")
	mustWrite(b, d, func(tx *Tx) error { return tx.InsertPrincipal(bg, p) })
	for b.Loop() {
		if err := d.Read(bg, func(rx *Rx) error { _, err := rx.Principal(bg, p.ID); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen opens and closes a database that is up to date, which is a part
// of every cold start.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "berth.db")
	for b.Loop() {
		d, err := Open(bg, Options{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
