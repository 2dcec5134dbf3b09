package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"berth"
	"berth/billing"
	"berth/storage"
)

// measureLedger records transfers for many callers at once. The baseline does
// the same two statements by hand, on one bare connection with the same
// settings and schema, as many to a commit as there are callers.
func measureLedger(ctx context.Context, l *lab) ([]result, error) {
	var list []result
	for _, callers := range []int{64, 256} {
		r, err := measureTransfers(ctx, l, callers)
		if err != nil {
			return nil, err
		}
		list = append(list, r...)
	}
	return list, nil
}

func measureTransfers(ctx context.Context, l *lab, callers int) ([]result, error) {
	count := l.pick(12_000, 3_000)
	grouped := func(write func(context.Context, *storage.Tx, int) error) take {
		return func(ctx context.Context) ([]float64, error) { return groupedRate(ctx, l, count, callers, write) }
	}
	seen, err := interleave(ctx, l.pick(5, 2),
		grouped(insertAndPut),
		grouped(record),
		func(ctx context.Context) ([]float64, error) { return rawRate(ctx, l, count, callers) },
	)
	if err != nil {
		return nil, err
	}
	against := fmt.Sprintf("bare inserts, %d to a commit", callers)
	return []result{
		newResult(fmt.Sprintf("ledger writes, %d callers", callers), "/s", compare(seen[0], seen[2], median), against, atLeast(0.7)),
		newResult(fmt.Sprintf("ledger transfers checked and written, %d callers", callers), "/s", compare(seen[1], seen[2], median), against, atLeast(0.7)),
	}, nil
}

// customers is how many accounts the transfers go to.
const customers = 1000

// grant is the nth transfer. Its id is spread as random ones are, over the
// whole index.
func grant(n int) billing.Transfer {
	return billing.Transfer{
		ID: fmt.Sprintf("txn_%024x", uint64(n)*0x9e3779b97f4a7c15), Kind: billing.Direct, Debit: billing.Grants,
		Credit: billing.CustomerAccount(berth.ID(fmt.Sprintf("acct_%024x", n%customers))), Amount: 1,
		Reason: billing.ReasonGrant, At: time.Unix(1_800_000_000, 0),
	}
}

// insertAndPut is what the baseline does, through the grouping writer.
func insertAndPut(ctx context.Context, tx *storage.Tx, n int) error {
	t := grant(n)
	if err := tx.InsertTransfer(ctx, t); err != nil {
		return err
	}
	return tx.PutLedgerAccount(ctx, billing.Account{ID: t.Credit, Credited: berth.Micros(n)})
}

// record is insertAndPut with everything that the ledger checks and reads first.
func record(ctx context.Context, tx *storage.Tx, n int) error {
	_, err := billing.Record(ctx, tx, grant(n))
	return err
}

// groupedRate is how many transfers a second the storage's writer takes.
func groupedRate(ctx context.Context, l *lab, count, callers int, write func(context.Context, *storage.Tx, int) error) (_ []float64, err error) {
	path, err := newDatabase(ctx, l)
	if err != nil {
		return nil, err
	}
	db, err := openStorage(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	numbers := make(chan int)
	go func() {
		defer close(numbers)
		for n := range count {
			numbers <- n + 1
		}
	}()
	began := time.Now()
	_, err = calls(ctx, count, callers, func(ctx context.Context, _ int) error {
		n := <-numbers
		return db.Write(ctx, func(tx *storage.Tx) error { return write(ctx, tx, n) })
	})
	for range numbers { // those that an error left over
	}
	return []float64{float64(count) / time.Since(began).Seconds()}, err
}

func openStorage(ctx context.Context, path string) (*storage.DB, error) {
	return storage.Open(ctx, storage.Options{Path: path, Log: discard})
}

// newDatabase makes a database with Berth's schema and nothing in it.
func newDatabase(ctx context.Context, l *lab) (string, error) {
	dir, err := l.folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "berth.db")
	db, err := openStorage(ctx, path)
	if err != nil {
		return "", err
	}
	return path, db.Close()
}

// The statements that a transfer comes to.
const (
	rawInsert = `INSERT INTO transfers (seq, id, kind, debit, credit, amount, pending, reason, ref, operation, memo, key, at)
VALUES ((SELECT COALESCE(MAX(seq), 0) + 1 FROM transfers), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	rawPut = `INSERT INTO ledger_accounts (id, credited, debited, held) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET credited = excluded.credited, debited = excluded.debited, held = excluded.held`
)

// rawRate is how many transfers a second a bare connection takes.
func rawRate(ctx context.Context, l *lab, count, group int) (_ []float64, err error) {
	path, err := newDatabase(ctx, l)
	if err != nil {
		return nil, err
	}
	settings := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)", "cache_size(-16384)",
	}}
	pool, err := sql.Open("sqlite", "file:"+path+"?"+settings.Encode())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	pool.SetMaxOpenConns(1)
	insert, err := pool.PrepareContext(ctx, rawInsert)
	if err != nil {
		return nil, err
	}
	put, err := pool.PrepareContext(ctx, rawPut)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for done := 0; done < count; done += group {
		if err := rawGroup(ctx, pool, insert, put, done, min(group, count-done)); err != nil {
			return nil, err
		}
	}
	return []float64{float64(count) / time.Since(began).Seconds()}, nil
}

// rawGroup writes size transfers in one commit.
func rawGroup(ctx context.Context, pool *sql.DB, insert, put *sql.Stmt, done, size int) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	insert, put = tx.StmtContext(ctx, insert), tx.StmtContext(ctx, put)
	for n := done + 1; n <= done+size; n++ {
		t := grant(n)
		if _, err := insert.ExecContext(ctx, t.ID, string(t.Kind), string(t.Debit), string(t.Credit), int64(t.Amount), nil,
			string(t.Reason), "", "", "", "", t.At.UnixMicro()); err != nil {
			return err
		}
		if _, err := put.ExecContext(ctx, string(t.Credit), n, 0, 0); err != nil {
			return err
		}
	}
	return tx.Commit()
}
