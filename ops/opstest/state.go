package opstest

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	_ "modernc.org/sqlite" // to count rows beside the store

	"berth"
	"berth/billing"
	"berth/ops"
)

// State is what a refused call must leave as it was: how many rows there are,
// but in the audit trail and the counters of tries, and what is in every account of the ledger.
type State struct {
	Rows     map[string]int64
	Accounts []billing.Account
}

// State is the present state.
func (w *World) State() (s State) {
	w.t.Helper()
	w.Read(func(ctx context.Context, rx ops.Rx) (err error) {
		s.Accounts, err = rx.LedgerAccounts(ctx)
		return err
	})
	s.Rows = map[string]int64{}
	w.query(func(db *sql.DB) error {
		var counts []string
		rows, err := db.Query(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('audit', 'counters') ORDER BY name`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return errors.Join(err, rows.Close())
			}
			counts = append(counts, fmt.Sprintf(`SELECT '%s' AS name, count(*) AS n FROM "%s"`, name, name))
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		return w.count(db, strings.Join(counts, " UNION ALL "), s.Rows)
	})
	return s
}

func (w *World) count(db *sql.DB, query string, into map[string]int64) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return err
		}
		into[name] = n
	}
	return rows.Err()
}

// Audit is the whole audit trail, oldest first, without times.
func (w *World) Audit() (list []ops.Audit) {
	w.t.Helper()
	w.query(func(db *sql.DB) error {
		rows, err := db.Query(`SELECT principal, "key", operation, subject, front, outcome FROM audit ORDER BY rowid`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a ops.Audit
			if err := rows.Scan(&a.Principal, &a.Key, &a.Operation, &a.Subject, &a.Front, &a.Outcome); err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	return list
}

// Contains tells whether a text stands in any stored answer.
func (w *World) Contains(text string) (found bool) {
	w.t.Helper()
	w.query(func(db *sql.DB) error {
		return db.QueryRow(`SELECT count(*) > 0 FROM answers WHERE instr(out, ?) > 0`, text).Scan(&found)
	})
	return found
}

// query reads the database beside the store, over a connection of its own.
func (w *World) query(fn func(*sql.DB) error) {
	w.t.Helper()
	if w.beside == nil {
		db, err := sql.Open("sqlite", "file:"+w.path+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			w.t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		w.beside = db
		w.t.Cleanup(func() {
			if err := db.Close(); err != nil {
				w.t.Error(err)
			}
		})
	}
	if err := fn(w.beside); err != nil {
		w.t.Fatal(err)
	}
}

// Verify fails the test where the ledger or the servers' charges contradict
// each other.
func (w *World) Verify() {
	w.t.Helper()
	if _, err := w.System.SettleLocal(context.Background(), 0, false); err != nil {
		w.t.Fatal(err)
	}
	out := w.Must(Operator, "verify_ledger", nil).Out.(ops.VerifyOut)
	if !out.OK {
		w.t.Errorf("the ledger does not add up: %s", strings.Join(out.Problems, "; "))
	}
}

// PublicKey is a new SSH public key.
func PublicKey() string {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// Deadline is how long a test waits for what must happen.
const Deadline = 10 * time.Second

// Unknown is an id of the kind that nothing has.
func Unknown(prefix string) berth.ID { return berth.ID(prefix + "_00000000000000000000dead") }
