package storage

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxList bounds the lists that have no bound of their own.
const maxList = 1000

// How Go values look in columns: times and durations in microseconds, the zero
// time as 0, absent bytes as empty ones.

func toMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func fromDuration(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

func toBlob(b []byte) []byte {
	if b == nil {
		return []byte{} // nil would be NULL
	}
	return b
}

func fromBlob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// fromJSON is a document that the database holds as it was given.
func fromJSON(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// toText writes a value of ours as JSON; nil lists look like empty ones.
func toText[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func fromText[T any](s string) ([]T, error) {
	var list []T
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, nil
}

// limit is n as a query's limit, where it is within 1 and most.
func limit(n, most int) (int32, error) {
	if n < 1 || n > most {
		return 0, fmt.Errorf("storage: a limit of %d is not within 1 and %d", n, most)
	}
	return int32(n), nil
}

// one maps a row that was looked for to the domain. The format names the thing
// for the error where there is none.
func one[Row, Thing any](row Row, err error, from func(Row) (Thing, error), format string, args ...any) (Thing, error) {
	if err != nil {
		var zero Thing
		return zero, found(err, format, args...)
	}
	return from(row)
}

// all maps rows to the domain.
func all[Row, Thing any](rows []Row, err error, from func(Row) (Thing, error)) ([]Thing, error) {
	if err != nil {
		return nil, err
	}
	things := make([]Thing, len(rows))
	for i, row := range rows {
		if things[i], err = from(row); err != nil {
			return nil, err
		}
	}
	return things, nil
}
