package billing

import (
	"context"
	"fmt"
	"iter"
	"slices"
)

// page is how many entries are read at once.
const page = 1000

// newestFirst are the entries that f chooses, from the newest one. It ends
// after the first error.
func newestFirst(ctx context.Context, rx Rx, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f.Limit = page
		for {
			entries, err := rx.Entries(ctx, f)
			if err != nil {
				yield(Entry{}, fmt.Errorf("read entries before %d: %w", f.Before, err))
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
			if len(entries) < page {
				return
			}
			f.Before = entries[page-1].Seq
		}
	}
}

// oldestFirst are all entries of the ledger in their order. It ends after the
// first error.
//
// Entries answers newest first, so this asks for windows of the sequence: a
// window of as many numbers as a page has entries always fits into one page,
// and what is older than the window came before.
func oldestFirst(ctx context.Context, rx Rx) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		newest, err := rx.Entries(ctx, Filter{Limit: 1})
		if err != nil {
			yield(Entry{}, fmt.Errorf("read the newest entry: %w", err))
			return
		}
		if len(newest) == 0 {
			return
		}
		for first := int64(1); first <= newest[0].Seq; first += page {
			entries, err := rx.Entries(ctx, Filter{Before: first + page, Limit: page})
			if err != nil {
				yield(Entry{}, fmt.Errorf("read entries from %d: %w", first, err))
				return
			}
			for _, e := range slices.Backward(entries) {
				if e.Seq >= first && !yield(e, nil) {
					return
				}
			}
		}
	}
}
