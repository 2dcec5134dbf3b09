package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"berth"
)

// maxTerms bounds the bytes of a quote's terms.
const maxTerms = 4096

// Line is one part of a price, for people. Amount is exact to the micro-dollar
// or rounded half up for showing; only the total is charged.
type Line struct {
	Item      string       `json:"item" example:"compute"`
	Quantity  string       `json:"quantity" example:"60"`
	Unit      string       `json:"unit" example:"minute"`
	UnitPrice string       `json:"unit_price" example:"0.00025"`
	Amount    berth.Micros `json:"amount"`
}

// Price is what something costs: the exact sum of its lines, rounded up once.
type Price struct {
	Lines   []Line       `json:"lines"`
	Total   berth.Micros `json:"total"`
	Deposit berth.Micros `json:"deposit,omitempty"` // the part of Total that goes into an escrow
}

// Quote is a price that Berth honours until it expires, for one principal and
// for exactly the terms that it was made for.
type Quote struct {
	ID        berth.ID
	Principal berth.ID // who asked; empty where nobody was identified
	Operation string
	Terms     json.RawMessage // canonical JSON of what the price depends on
	Price     Price
	Created   time.Time
	Expires   time.Time
}

// NewQuote makes a quote that expires after lifetime. The terms are a JSON
// object of at most 4096 bytes.
func NewQuote(principal berth.ID, operation string, terms json.RawMessage, p Price, now time.Time, lifetime time.Duration) (Quote, error) {
	canonical, _, err := canonicalTerms(terms)
	if err != nil {
		return Quote{}, fmt.Errorf("quote %s: %w", operation, err)
	}
	return Quote{
		ID: berth.NewID(berth.PrefixQuote, now), Principal: principal, Operation: operation,
		Terms: canonical, Price: p, Created: now, Expires: now.Add(lifetime),
	}, nil
}

// Check refuses the use of the quote by another principal than the one that it
// was made for (berth.NotFound; a quote for nobody serves everybody), for
// another operation or other terms (berth.QuoteMismatch, which names them), and
// once it has expired (berth.QuoteExpired).
func (q Quote) Check(now time.Time, principal berth.ID, operation string, terms json.RawMessage) error {
	if q.Principal != "" && q.Principal != principal {
		e := berth.Errorf(berth.NotFound, "there is no quote %s", q.ID)
		e.Foreign = true
		return e
	}
	if operation != q.Operation {
		return berth.Errorf(berth.QuoteMismatch, "quote %s is for %s, not for %s", q.ID, q.Operation, operation).
			Hinted("Ask for a quote for %s.", operation)
	}
	difference, err := q.difference(terms)
	if err != nil {
		return fmt.Errorf("quote %s: %w", q.ID, err)
	}
	if difference != "" {
		return berth.Errorf(berth.QuoteMismatch, "quote %s is for other terms: %s", q.ID, difference).
			Hinted("Call with the terms that were quoted, or ask for a new quote.")
	}
	if !now.Before(q.Expires) {
		return berth.Errorf(berth.QuoteExpired, "quote %s expired at %s", q.ID, q.Expires.UTC().Format(time.RFC3339)).
			Hinted("Ask for a new quote.")
	}
	return nil
}

// difference names the terms that are not as quoted; it is empty where all are.
func (q Quote) difference(terms json.RawMessage) (string, error) {
	_, quoted, err := canonicalTerms(q.Terms)
	if err != nil {
		return "", err
	}
	_, asked, err := canonicalTerms(terms)
	if err != nil {
		return "", err
	}
	names := maps.Clone(quoted)
	maps.Copy(names, asked)
	var differences []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := orNone(quoted[name]), orNone(asked[name])
		if was != is {
			differences = append(differences, fmt.Sprintf("%s was %.*s and is %.*s", name, shownCharacters, was, shownCharacters, is))
		}
	}
	return strings.Join(differences, "; "), nil
}

// orNone shows a term.
func orNone(term json.RawMessage) string {
	if term == nil {
		return "none"
	}
	return string(term)
}

// canonicalTerms is a JSON object with its names sorted and without spaces, as
// a whole and by name.
func canonicalTerms(terms json.RawMessage) (json.RawMessage, map[string]json.RawMessage, error) {
	if len(terms) > maxTerms {
		return nil, nil, fmt.Errorf("the terms have %d bytes, more than %d", len(terms), maxTerms)
	}
	var values map[string]any
	d := json.NewDecoder(bytes.NewReader(terms))
	d.UseNumber() // a float would change large numbers
	if err := d.Decode(&values); err != nil {
		return nil, nil, fmt.Errorf("the terms are no JSON object: %w", err)
	}
	if values == nil || !json.Valid(terms) { // null, or more than one value
		return nil, nil, errors.New("the terms are no JSON object")
	}
	byName := make(map[string]json.RawMessage, len(values))
	for name, value := range values {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, nil, fmt.Errorf("term %s: %w", name, err)
		}
		byName[name] = text
	}
	whole, err := json.Marshal(byName)
	if err != nil {
		return nil, nil, fmt.Errorf("the terms: %w", err)
	}
	return whole, byName, nil
}
