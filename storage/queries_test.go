package storage

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// queries reads the generated code and returns the text of each query by its
// name.
func queries(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("db/*.sql.go")
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile("(?s)= `(-- name: (\\w+) :\\w+\n.*?)`")
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range literal.FindAllStringSubmatch(string(text), -1) {
			found[match[2]] = match[1]
		}
	}
	if len(found) < 50 {
		t.Fatalf("only %d queries found", len(found))
	}
	return found
}

// TestAppendOnly holds the promise that what was recorded is never changed.
func TestAppendOnly(t *testing.T) {
	change := regexp.MustCompile(`(?i)\b(UPDATE|DELETE\s+FROM|REPLACE\s+INTO)\s+(transfers|events|audit)\b`)
	for _, pattern := range []string{"queries/*.sql", "migrations/*.sql"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, error %v", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if match := change.FindString(string(text)); match != "" {
				t.Errorf("%s changes an append-only table: %s", file, match)
			}
		}
	}
}

// TestGenerated finds queries that were changed and not generated again. Where
// the query says *, the generated one lists the columns.
func TestGenerated(t *testing.T) {
	generated := queries(t)
	files, err := filepath.Glob("queries/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range strings.Split(string(text), "-- name: ")[1:] {
			written++
			query, _, _ = strings.Cut(query, "\n--") // the next query's comment
			name, _, _ := strings.Cut(query, " ")
			if got, want := skeleton(generated[name]), skeleton("-- name: "+query); got != want {
				t.Errorf("%s: run go generate; the query %s was generated as\n%s\nand reads now\n%s", file, name, got, want)
			}
		}
	}
	if written != len(generated) {
		t.Errorf("%d queries are written, %d generated", written, len(generated))
	}
}

var (
	parameter = regexp.MustCompile(`sqlc\.arg\(\w+\)|\$\d+`)
	selection = regexp.MustCompile(`SELECT (\*|\w+(, \w+)+) FROM`)
)

// skeleton is a query without what generating changes in it.
func skeleton(query string) string {
	query = parameter.ReplaceAllString(query, "?")
	query = selection.ReplaceAllString(query, "SELECT * FROM")
	return strings.TrimRight(strings.TrimSpace(query), ";")
}

// TestPlans asks the engine how it would run each query, and refuses scans of
// whole tables and sorting where an index should do.
func TestPlans(t *testing.T) {
	allowed := map[string]string{
		"LedgerTotals":     "verification reads everything",
		"LedgerAccounts":   "verification reads everything",
		"ActionsOfSubject": "sorts the few actions of one server",
		"EntriesOfAccount": "merges two pages",
	}
	d := open(t)
	for name, query := range queries(t) {
		if allowed[name] != "" {
			continue
		}
		plan := planOf(t, d, query)
		for _, step := range plan {
			scan := strings.HasPrefix(step, "SCAN ") && !strings.Contains(step, "USING INDEX") && !strings.Contains(step, "CONSTANT ROW")
			if scan || strings.Contains(step, "TEMP B-TREE") {
				t.Errorf("%s: %s", name, strings.Join(plan, "; "))
			}
		}
	}
}

func planOf(t *testing.T, d *DB, query string) []string {
	t.Helper()
	most := 0
	for _, p := range regexp.MustCompile(`\$(\d+)`).FindAllStringSubmatch(query, -1) {
		n, err := strconv.Atoi(p[1])
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	rows, err := d.writer.session.conn.QueryContext(bg, "EXPLAIN QUERY PLAN "+query, make([]any, most)...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}
