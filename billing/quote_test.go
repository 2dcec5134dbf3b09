package billing_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"berth"
	"berth/billing"
)

func TestQuote(t *testing.T) {
	price := billing.Price{Total: 35_000}
	const mine, other = berth.ID("acct_mine"), berth.ID("acct_other")
	const terms = `{"size":"small","minutes":60,"region":"nyc1"}`
	q, err := billing.NewQuote(mine, "create_server", json.RawMessage(terms), price, now, 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if string(q.Terms) != `{"minutes":60,"region":"nyc1","size":"small"}` || q.ID.Prefix() != berth.PrefixQuote {
		t.Errorf("quote = %+v", q)
	}
	anybodys := q
	anybodys.Principal = ""
	const last = 10*time.Minute - 1
	for name, c := range map[string]struct {
		quote     billing.Quote
		after     time.Duration
		principal berth.ID
		operation string
		terms     string
		want      berth.Code // empty: it is good
		says      string
	}{
		"as quoted":             {q, last, mine, "create_server", terms, "", ""},
		"in another order":      {q, 0, mine, "create_server", `{ "region":"nyc1", "minutes":60, "size":"small"}`, "", ""},
		"nobody's, by anybody":  {anybodys, 0, other, "create_server", terms, "", ""},
		"expired":               {q, last + 1, mine, "create_server", terms, berth.QuoteExpired, "2026-03-01T12:10:00Z"},
		"somebody else's":       {q, 0, other, "create_server", terms, berth.NotFound, "there is no quote"},
		"mine, by nobody":       {q, 0, "", "create_server", terms, berth.NotFound, "there is no quote"},
		"for something else":    {q, 0, mine, "extend", terms, berth.QuoteMismatch, "for create_server, not for extend"},
		"more minutes":          {q, 0, mine, "create_server", strings.Replace(terms, "60", "61", 1), berth.QuoteMismatch, "minutes was 60 and is 61"},
		"a term left out":       {q, 0, mine, "create_server", `{"size":"small","minutes":60}`, berth.QuoteMismatch, `region was "nyc1" and is none`},
		"a term too many":       {q, 0, mine, "create_server", `{"size":"small","minutes":60,"region":"nyc1","x":1}`, berth.QuoteMismatch, "x was none and is 1"},
		"a large number apart":  {q, 0, mine, "create_server", strings.Replace(terms, "60", "9007199254740993", 1), berth.QuoteMismatch, "9007199254740993"},
		"terms without meaning": {q, 0, mine, "create_server", `[]`, berth.Internal, "no JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.quote.Check(now.Add(c.after), c.principal, c.operation, json.RawMessage(c.terms))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || berth.CodeOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error = %v, want %s that says %q", err, c.want, c.says)
			}
			var e *berth.Error
			if errors.As(err, &e) && e.Foreign != (c.want == berth.NotFound) {
				t.Errorf("foreign = %v", e.Foreign)
			}
		})
	}
}

func TestNewQuoteRefusesTerms(t *testing.T) {
	for _, terms := range []string{"", "null x", `"text"`, "null", "{} {}", `{"a":"` + strings.Repeat("a", 4096) + `"}`} {
		if _, err := billing.NewQuote("", "extend", json.RawMessage(terms), billing.Price{}, now, time.Minute); err == nil {
			t.Errorf("%.20q makes a quote", terms)
		}
	}
}
