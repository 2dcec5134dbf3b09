package storage

import "context"

// maxRows bounds how many rows one connection remembers: with servers' of about
// a kilobyte, a megabyte.
const maxRows = 1024

// rows are what one read connection has found by id since the last commit. Most
// calls begin with the same few: the API key's, its principal's, the server's.
//
// Nothing has to be told of changes: SQLite's data_version differs as soon as
// any other connection, of this process or another one, has committed, and it
// is read inside the transaction that the rows are for. So a remembered row is
// exactly the one that this transaction would read.
type rows struct {
	version int64
	found   map[rowID]any
}

// rowID names a row: the type of its struct, by a nil pointer to it, and its
// primary key.
type rowID struct {
	table any
	id    string
}

func newRows() *rows { return &rows{found: make(map[rowID]any)} }

// at begins a transaction that sees a version of the database, and forgets what
// was read of another one.
func (r *rows) at(version int64) {
	if r.version != version {
		clear(r.found)
		r.version = version
	}
}

// byID is the row with that id, remembered or queried. Callers don't change the
// bytes in it. The writer remembers nothing: it reads what it has just changed.
func byID[Row any](ctx context.Context, rx *Rx, id string, query func(context.Context, string) (Row, error)) (Row, error) {
	if rx.rows == nil || ctx.Err() != nil {
		return query(ctx, id)
	}
	key := rowID{(*Row)(nil), id}
	if row, ok := rx.rows.found[key].(Row); ok {
		return row, nil
	}
	row, err := query(ctx, id)
	if err != nil {
		return row, err
	}
	if len(rx.rows.found) >= maxRows {
		clear(rx.rows.found)
	}
	rx.rows.found[key] = row
	return row, nil
}
