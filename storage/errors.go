package storage

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"berth"
)

// violation is the kind of constraint that a statement broke.
type violation int

const (
	none    violation = iota
	unique            // another row has that value
	check             // a value is out of its bounds
	missing           // a row that is referred to does not exist
)

// violationOf reads the engine's error code.
func violationOf(err error) violation {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return none
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
		return unique
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return check
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return missing
	}
	return none
}

// conflict is err, or a berth.Conflict with the message where err says that a
// value is taken.
func conflict(err error, format string, args ...any) error {
	if violationOf(err) == unique {
		return berth.Errorf(berth.Conflict, format, args...).Because(err)
	}
	return err
}

// found is the error of a query for one row: nil, a berth.NotFound that names
// what was looked for where there is no row, or err with its context.
func found(err error, format string, args ...any) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return berth.Errorf(berth.NotFound, format, args...)
	}
	return fmt.Errorf("storage: read a row: %w", err)
}

// changed is err, or a berth.NotFound where a statement that should have changed
// one row changed none.
func changed(rows int64, err error, format string, args ...any) error {
	if err == nil && rows == 0 {
		return berth.Errorf(berth.NotFound, format, args...)
	}
	return err
}
