package billing

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"berth"
)

// maxProblems bounds how many problems a report lists; Omitted counts the rest.
const maxProblems = 100

// Report is what a verification of the ledger found.
type Report struct {
	Accounts  []Totals     `json:"accounts"` // by name; recomputed from the transfers
	Transfers int64        `json:"transfers"`
	OpenHolds int64        `json:"open_holds"`
	Credited  berth.Micros `json:"credited"` // over all accounts
	Debited   berth.Micros `json:"debited"`
	Held      berth.Micros `json:"held"`
	Problems  []string     `json:"problems"`
	Omitted   int          `json:"omitted"` // problems beyond the first hundred
}

// OK tells whether nothing is wrong.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Verify reads the whole ledger in order and checks what must always be true:
// every transfer is well-formed; each hold is resolved at most once, later, and
// for at most its amount; no customer or escrow was ever below zero; debits
// equal credits; and the stored accounts, and the store's own sums, are what
// the transfers add up to. What is wrong is in the report; an error means that
// the ledger could not be read. It takes memory for the accounts and for the
// open holds. rx must be one consistent view.
func Verify(ctx context.Context, rx Rx) (Report, error) {
	v := verifier{
		report: Report{Accounts: []Totals{}, Problems: []string{}},
		totals: make(map[AccountID]*Totals),
		holds:  make(map[string]Transfer),
	}
	seq := int64(0)
	for e, err := range oldestFirst(ctx, rx) {
		if err != nil {
			return Report{}, fmt.Errorf("verify the ledger: %w", err)
		}
		if e.Seq <= seq {
			v.problem("transfer %s has the number %d after %d", e.ID, e.Seq, seq)
		}
		seq = e.Seq
		v.replay(e.Transfer)
	}
	accounts, err := rx.LedgerAccounts(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("verify the ledger: read its accounts: %w", err)
	}
	sums, err := rx.LedgerTotals(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("verify the ledger: read its totals: %w", err)
	}
	v.sum()
	v.compareAccounts(accounts)
	v.compareTotals(sums)
	return v.report, nil
}

// verifier replays the ledger into totals of its own.
type verifier struct {
	report Report
	totals map[AccountID]*Totals
	holds  map[string]Transfer // those that are open
}

// problem notes what is wrong.
func (v *verifier) problem(format string, args ...any) {
	if len(v.report.Problems) == maxProblems {
		v.report.Omitted++
		return
	}
	v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
}

// of are the totals of an account.
func (v *verifier) of(a AccountID) *Totals {
	if v.totals[a] == nil {
		v.totals[a] = &Totals{Account: a}
	}
	return v.totals[a]
}

// replay checks a transfer and adds it to the totals. A transfer that can't be
// understood is a problem and counts for nothing, which shows in the totals
// too.
func (v *verifier) replay(t Transfer) {
	v.report.Transfers++
	if err := t.check(); err != nil {
		v.problem("transfer %s: %v", t.ID, err)
		return
	}
	debit := v.of(t.Debit)
	switch t.Kind {
	case Direct:
		debit.Debited += t.Amount
		v.of(t.Credit).Credited += t.Amount
	case Pending:
		debit.Held += t.Amount
		v.holds[t.ID] = t
	case Post, Void:
		hold, open := v.holds[t.Pending]
		if !open {
			v.problem("transfer %s: a %s of %s, which is no open hold", t.ID, t.Kind, t.Pending)
			return
		}
		v.resolve(t, hold)
	}
	if left := debit.Credited - debit.Debited - debit.Held; t.Debit.Backed() && left < 0 {
		v.problem("transfer %s: %s falls to %s", t.ID, t.Debit, left)
	}
}

// resolve replays the post or void of an open hold.
func (v *verifier) resolve(t, hold Transfer) {
	if t.Debit != hold.Debit || t.Credit != hold.Credit {
		v.problem("transfer %s: a %s between other accounts than %s", t.ID, t.Kind, hold.ID)
		return
	}
	if t.Amount > hold.Amount || t.Kind == Void && t.Amount != hold.Amount {
		v.problem("transfer %s: a %s of %s for the %s that %s holds", t.ID, t.Kind, t.Amount, hold.Amount, hold.ID)
	}
	delete(v.holds, hold.ID)
	v.of(t.Debit).Held -= hold.Amount
	if t.Kind == Post {
		v.of(t.Debit).Debited += t.Amount
		v.of(t.Credit).Credited += t.Amount
	}
}

// sum fills the report's totals and checks that debits equal credits.
func (v *verifier) sum() {
	r := &v.report
	for _, t := range v.totals {
		r.Accounts = append(r.Accounts, *t)
		r.Credited += t.Credited
		r.Debited += t.Debited
		r.Held += t.Held
	}
	slices.SortFunc(r.Accounts, func(a, b Totals) int { return cmp.Compare(a.Account, b.Account) })
	r.OpenHolds = int64(len(v.holds))
	if r.Credited != r.Debited {
		v.problem("credits of %s are not debits of %s", r.Credited, r.Debited)
	}
}

// compareAccounts holds the stored accounts against the transfers.
func (v *verifier) compareAccounts(stored []Account) {
	found := make(map[AccountID]Totals, len(stored))
	for _, a := range stored {
		if !a.ID.Backed() {
			v.problem("%s is a system account and has a stored balance", a.ID)
			continue
		}
		if a.Available() < 0 || a.Held < 0 {
			v.problem("%s is stored with %s available and %s held", a.ID, a.Available(), a.Held)
		}
		found[a.ID] = Totals{Account: a.ID, Credited: a.Credited, Debited: a.Debited, Held: a.Held}
	}
	v.compare("is stored as", found, AccountID.Backed)
}

// compareTotals holds the store's own sums against the transfers.
func (v *verifier) compareTotals(sums []Totals) {
	found := make(map[AccountID]Totals, len(sums))
	for _, t := range sums {
		found[t.Account] = t
	}
	v.compare("is summed up by the store as", found, func(AccountID) bool { return true })
}

// compare notes every account of interest for which what was found differs from
// what the transfers say. An account without movements may be missing.
func (v *verifier) compare(verb string, found map[AccountID]Totals, of func(AccountID) bool) {
	names := slices.Collect(maps.Keys(found))
	for name := range v.totals {
		if _, ok := found[name]; !ok && of(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		want, is := Totals{Account: name}, found[name]
		if v.totals[name] != nil {
			want = *v.totals[name]
		}
		is.Account = name
		if is != want {
			v.problem("%s %s %s, and its transfers make it %s", name, verb, is, want)
		}
	}
}

// String shows the sums for people.
func (t Totals) String() string {
	return fmt.Sprintf("+%s -%s, %s held", t.Credited, t.Debited, t.Held)
}
