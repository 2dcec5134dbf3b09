package storage

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"berth"
	"berth/billing"
)

const (
	// childPath names the environment variable that makes the test binary a
	// child which writes to that database until it is killed.
	childPath = "STORAGE_TEST_CHILD"

	// acknowledged is how many commits the parent waits for.
	acknowledged = 400

	// crashOwner is whose account the child credits, a micro-dollar at a time.
	crashOwner berth.ID = "acct_000000000000000000000001"
)

// beTheChild never returns in a child.
func beTheChild() {
	if path := os.Getenv(childPath); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
}

// writeForever records transfers from several goroutines and prints the id of
// each when it is committed. It returns only with an error.
func writeForever(path string) error {
	d, err := Open(bg, Options{Path: path})
	if err != nil {
		return err
	}
	var out sync.Mutex
	failed := make(chan error)
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d/%d/%d", os.Getpid(), w, n)
				err := d.Write(bg, func(tx *Tx) error {
					_, err := billing.Record(bg, tx, testGrant(id, crashOwner, 1))
					return err
				})
				if err != nil {
					failed <- err
					return
				}
				out.Lock()
				fmt.Println(id)
				out.Unlock()
			}
		}()
	}
	return <-failed
}

// TestCrash kills processes in the middle of their writing and looks for what
// they had acknowledged.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "berth.db")
	var ids []string
	for range 3 { // each but the first finds what the one before left behind
		ids = append(ids, killedChild(t, path)...)
	}
	d := openAt(t, path)
	err := d.Read(bg, func(rx *Rx) error {
		for _, id := range ids {
			if _, err := rx.Transfer(bg, id); err != nil {
				t.Errorf("acknowledged and lost: %v", err)
			}
		}
		return checkLedger(t, rx, len(ids))
	})
	if err != nil {
		t.Fatal(err)
	}
	checkFile(t, path)
}

// killedChild starts a child, kills it when it has acknowledged enough, and
// returns all that it acknowledged.
func killedChild(t *testing.T, path string) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childPath+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if ids = append(ids, lines.Text()); len(ids) == acknowledged {
			if err := child.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := child.Wait(); err == nil || child.ProcessState.Exited() {
		t.Fatalf("the child was to be killed, and ended with %v", child.ProcessState)
	}
	if len(ids) < acknowledged {
		t.Fatalf("the child acknowledged %d commits", len(ids))
	}
	return ids
}

// checkLedger compares the owner's account with the transfers, of which there
// are at least so many, and looks for gaps in their sequence.
func checkLedger(t *testing.T, rx *Rx, least int) error {
	t.Helper()
	account, err := rx.LedgerAccount(bg, billing.CustomerAccount(crashOwner))
	if err != nil {
		return err
	}
	totals, err := rx.LedgerTotals(bg)
	if err != nil {
		return err
	}
	newest, err := rx.Entries(bg, billing.Filter{Limit: 1})
	if err != nil {
		return err
	}
	for _, total := range totals {
		sum := total.Credited + total.Debited
		if sum != account.Credited || int64(sum) != newest[0].Seq || int(sum) < least {
			t.Errorf("%s adds up to %d, the account says %d, the sequence %d; acknowledged are %d",
				total.Account, sum, account.Credited, newest[0].Seq, least)
		}
	}
	return nil
}

// checkFile runs the engine's own check of the file.
func checkFile(t *testing.T, path string) {
	t.Helper()
	pool, err := openPool(path, readPragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, check := range []string{"PRAGMA integrity_check", "SELECT COALESCE((SELECT 'broken: ' || \"table\" FROM pragma_foreign_key_check), 'ok')"} {
		var verdict string
		if err := pool.QueryRow(check).Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("%s: %s, error %v", check, verdict, err)
		}
	}
}
