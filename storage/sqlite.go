package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Settings of every connection. Another process may hold the database for a
// moment (a backup, an operator's command), so it is waited for.
var (
	writePragmas = url.Values{
		"_pragma": {
			"busy_timeout(10000)", // milliseconds
			"journal_mode(WAL)",
			"synchronous(FULL)", // a commit is on the disk when it returns
			"foreign_keys(ON)",
			"trusted_schema(OFF)",
			"cache_size(-16384)", // KiB
		},
		"_dqs": {"0"},
	}
	readPragmas = url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(10000)", "query_only(ON)", "trusted_schema(OFF)"},
		"_dqs":    {"0"},
	}
)

// openPool makes a pool of connections to the file, none of which is opened yet.
func openPool(path string, settings url.Values) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: settings.Encode()}
	return sql.Open("sqlite", u.String())
}

// createFile makes the file where there is none, readable by its owner alone;
// SQLite gives its companions the same mode.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Backup writes a consistent copy of the database to a new file, readable by
// its owner alone, while reads and writes go on. It refuses a file that exists.
func (d *DB) Backup(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("storage: back up to %s: %w", path, err)
		}
	}()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	// Not a reader's connection: query_only forbids to write the copy as well.
	pool, err := openPool(d.path, url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"}})
	if err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, "VACUUM INTO $1", path); err != nil {
		return errors.Join(err, pool.Close())
	}
	return errors.Join(pool.Close(), f.Sync())
}
