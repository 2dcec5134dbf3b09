package ops

import (
	"maps"
	"reflect"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"berth"
)

// Form is what a front asks for in other words than an operation's: a struct
// with json tags, by whose schema a request is coerced and checked. It may be
// used concurrently.
type Form[T any] struct {
	schema func() *huma.Schema
}

// NewForm is the form of a struct. Its schema is made when it is first needed.
func NewForm[T any]() Form[T] {
	return Form[T]{sync.OnceValue(func() *huma.Schema { return SchemaOf(reflect.TypeFor[T]()) })}
}

// Has tells whether the form has a place for a value of that name.
func (f Form[T]) Has(name string) bool { return f.schema().Properties[name] != nil }

// Read checks values and decodes them. Its errors are berth.InvalidInput and name
// what is wrong as the form does.
func (f Form[T]) Read(values map[string]any) (T, error) {
	var none T
	s := f.schema()
	values = maps.Clone(values)
	if values == nil {
		values = map[string]any{}
	}
	complete(s, values)
	if fields := complaints(s, values); len(fields) > 0 {
		return none, refused(fields)
	}
	in, err := decodeAs[T](values)
	if err != nil {
		return none, refused([]berth.Field{{Reason: err.Error()}})
	}
	return in.(T), nil
}
