package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"berth"
	"berth/account"
)

// Table is the list of all operations, in a stable order.
type Table struct {
	choices Choices
	list    []*Operation
	byName  map[string]*Operation
}

// NewTable is an empty table whose schemas publish the given choices.
func NewTable(choices Choices) *Table {
	return &Table{choices: choices, byName: map[string]*Operation{}}
}

// All are the operations in the order in which they were added.
func (t *Table) All() []*Operation { return t.list }

// Lookup is the operation with that name, or nil.
func (t *Table) Lookup(name string) *Operation { return t.byName[name] }

// Add puts an operation into the table and compiles its schemas. It panics on a
// definition that can't work, which the tests of the table would find.
func Add[In, Out any](t *Table, op Op[In, Out]) {
	if t.byName[op.Name] != nil {
		panic("ops: two operations named " + op.Name)
	}
	if n := count(op.Read != nil, op.Commit != nil, op.Run != nil); n != 1 {
		panic(fmt.Sprintf("ops: %s has %d handlers, want one", op.Name, n))
	}
	in := reflect.TypeFor[In]()
	o := &Operation{
		Name: op.Name, Doc: op.Doc, Routes: op.Routes, Access: op.Access,
		Priced:  op.Priced,
		Fee:     op.Fee,
		Credits: op.Credits,
		Signed:  op.Signed,
		Long:    op.Fresh != nil,
		checked: SchemaOf(in),
		Output:  sync.OnceValue(func() *huma.Schema { return AnswerSchemaOf(reflect.TypeFor[Out]()) }),
		decode:  decodeAs[In],
	}
	o.Input = publish(in, o.checked, t.choices)
	exemplify(o.Input, op.Doc.Example)
	erase(o, op)
	for f := range fieldsOf(in) {
		o.InputOrder = append(o.InputOrder, jsonName(f))
		if kinds := f.Tag.Get("subject"); kinds != "" {
			o.subjectField, o.subjectKinds = jsonName(f), strings.Split(kinds, ",")
		}
	}
	if (op.Subject != nil) != (o.subjectField != "") {
		panic("ops: " + op.Name + " needs both Subject and a field tagged subject, or neither")
	}
	if op.Role != nil && op.Subject == nil {
		panic("ops: " + op.Name + " needs a role of no subject")
	}
	t.list = append(t.list, o)
	t.byName[o.Name] = o
}

// exemplify puts the operation's example on its input schema.
func exemplify(s *huma.Schema, example string) {
	var v any
	if err := json.Unmarshal([]byte(example), &v); err != nil {
		panic("ops: a malformed example: " + example)
	}
	s.Examples = []any{v}
}

func erase[In, Out any](o *Operation, op Op[In, Out]) {
	if op.Subject != nil {
		o.subject = func(in any) berth.ID { return op.Subject(in.(In)) }
	}
	if op.Role != nil {
		o.role = func(in any) account.Role { return op.Role(in.(In)) }
	}
	if op.Plan != nil {
		o.plan = func(ctx context.Context, rx Rx, r *Request, in any) (Plan, error) {
			return op.Plan(ctx, rx, r, in.(In))
		}
	}
	if op.Read != nil {
		o.read = func(ctx context.Context, rx Rx, r *Request, in any) (any, error) {
			return op.Read(ctx, rx, r, in.(In))
		}
	}
	if op.Commit != nil {
		o.commit = func(ctx context.Context, tx Tx, r *Request, in any, p Plan) (any, Effect, error) {
			return op.Commit(ctx, tx, r, in.(In), p)
		}
	}
	if op.Run != nil {
		o.run = func(ctx context.Context, r *Request, in any) (any, error) { return op.Run(ctx, r, in.(In)) }
	}
	o.revive = func(raw json.RawMessage) (any, error) {
		var out Out
		err := json.Unmarshal(raw, &out)
		return out, err
	}
	if op.Reveal != nil {
		o.reveal = func(ctx context.Context, rx Rx, r *Request, in, out any) (any, error) {
			return op.Reveal(ctx, rx, r, in.(In), out.(Out))
		}
	}
	if op.Fresh != nil {
		o.fresh = func(ctx context.Context, rx Rx, r *Request, out any) (any, error) {
			return op.Fresh(ctx, rx, r, out.(Out))
		}
	}
}

func count(flags ...bool) (n int) {
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}
