package billing_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/billing"
)

func TestWriteCSV(t *testing.T) {
	m, customer, _ := lived(t)
	_, err := record(t.Context(), m, billing.Transfer{
		ID: "trick", Kind: billing.Direct, Debit: billing.Grants, Credit: billing.CustomerAccount(customer),
		Amount: berth.Dollar, Reason: billing.ReasonGrant, Memo: `=HYPERLINK("x", "y")`,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := billing.WriteCSV(t.Context(), &out, m); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 1+len(m.entries) {
		t.Fatalf("%d lines for %d entries", len(records), len(m.entries))
	}
	purse := "customer:" + string(customer)
	for i, want := range map[int][]string{
		0: {"seq", "id", "at", "kind", "debit", "credit", "amount", "pending", "reason", "ref", "operation", "memo", "key"},
		1: {"1", "funds", "2026-03-01T12:00:00Z", "direct", "grants", purse, "0.0001", "", "grant", "", "", "", ""},
		3: {"4", "part", "2026-03-03T12:00:00Z", "post", purse, "revenue", "0.000045", "hold", "purchase", "srv_1", "", "", ""},
		8: {"11", "trick", "2026-03-01T12:00:00Z", "direct", "grants", purse, "1.00", "", "grant", "", "", `'=HYPERLINK("x", "y")`, ""},
	} {
		if diff := cmp.Diff(want, records[i]); diff != "" {
			t.Errorf("line %d: %s", i, diff)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	m, _, _ := lived(t)
	var out bytes.Buffer
	if err := billing.WriteJSON(t.Context(), &out, m); err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(m.entries) || rows[0]["amount"] != "0.0001" || rows[2]["id"] != "part" || rows[2]["pending"] != "hold" {
		t.Errorf("rows = %v", rows)
	}
	out.Reset()
	if err := billing.WriteJSON(t.Context(), &out, newMemory()); err != nil || strings.TrimSpace(out.String()) != "[]" {
		t.Errorf("an empty ledger is %q, %v", &out, err)
	}
}

// TestExportPages exports more than one page, each entry once and in order.
func TestExportPages(t *testing.T) {
	for _, entries := range []int{999, 1000, 1001, 2500} {
		m, customer := funded(t, 100)
		for i := len(m.entries); i < entries; i++ {
			err := m.InsertTransfer(t.Context(), billing.Transfer{
				ID: strconv.Itoa(i), Kind: billing.Direct, Debit: billing.Grants, Credit: billing.CustomerAccount(customer), At: now,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := billing.WriteJSON(t.Context(), &out, m); err != nil {
			t.Fatal(err)
		}
		var rows []struct{ Seq int64 }
		if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
			t.Fatal(err)
		}
		if len(rows) != entries {
			t.Errorf("%d of %d entries", len(rows), entries)
		}
		for i := range rows[1:] {
			if rows[i].Seq >= rows[i+1].Seq {
				t.Fatalf("entry %d comes before %d", rows[i].Seq, rows[i+1].Seq)
			}
		}
	}
}

// full is a disk without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestExportPropagatesFailures(t *testing.T) {
	m, _, _ := lived(t)
	if err := billing.WriteCSV(t.Context(), full{}, m); !errors.Is(err, errFull) {
		t.Errorf("CSV to a full disk: %v", err)
	}
	if err := billing.WriteJSON(t.Context(), full{}, m); !errors.Is(err, errFull) {
		t.Errorf("JSON to a full disk: %v", err)
	}
	m.failing = errors.New("disk on fire")
	if err := billing.WriteCSV(t.Context(), io.Discard, m); !errors.Is(err, m.failing) {
		t.Errorf("CSV from a failing store: %v", err)
	}
	if err := billing.WriteJSON(t.Context(), io.Discard, m); !errors.Is(err, m.failing) {
		t.Errorf("JSON from a failing store: %v", err)
	}
}
