package ops_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"berth/ops"
	"berth/ops/opstest"
)

// TestExamples carries out the documented example of every operation: what the
// table shows has to work.
func TestExamples(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	for _, op := range w.System.Table().All() {
		t.Run(op.Name, func(t *testing.T) {
			p := w.Principal()
			args := w.Example(p, op)
			if path, ok := args["path"].(string); ok {
				w.Hands.Put(idOf(args["server_id"]), path, []byte("content"))
			}
			call := &ops.Call{Op: op.Name, Args: args, Creds: p.Creds, Front: "http"}
			if op.Access == ops.Operator {
				call.Creds = opstest.Operator
			}
			if op.Name == "export_ledger" {
				call.Open = func(ops.FileHead) io.Writer { return io.Discard }
			}
			call.Creds = append(call.Creds, w.Signed(op)...)
			res, err := w.System.Dispatch(t.Context(), call)
			if err != nil {
				t.Fatalf("%v: %v", args, err)
			}
			if _, err := json.Marshal(res.Out); err != nil {
				t.Errorf("the answer can't be written: %v", err)
			}
			if (res.Receipt != nil) != (op.Priced || op.Credits) {
				t.Errorf("priced %v, receipt %v", op.Priced, res.Receipt)
			}
			if op.Long && res.Action == "" {
				t.Error("it can be waited for, and there is no action")
			}
		})
	}
	w.Settle()
	w.Verify()
}

// TestTableIsComplete checks what every operation has to tell its readers.
func TestTableIsComplete(t *testing.T) {
	routes := map[string]string{}
	for _, op := range opstest.New(t).System.Table().All() {
		if op.Doc.Title == "" || op.Doc.Text == "" || op.Doc.Tag == "" || len(op.Routes) == 0 {
			t.Errorf("%s lacks a title, a text, a tag or a route", op.Name)
		}
		if op.Doc.ReadOnly == op.Changes() {
			t.Errorf("%s: read only is %v, and it changes something: %v", op.Name, op.Doc.ReadOnly, op.Changes())
		}
		if op.Doc.ReadOnly && op.Doc.Destructive {
			t.Errorf("%s is read only and destructive", op.Name)
		}
		if op.Priced && !strings.Contains(op.Doc.Text, "USD") && op.Name != "create_server" {
			t.Errorf("%s costs something and does not say what", op.Name)
		}
		if !op.Priced && !op.Credits && op.Access == ops.Identified && !strings.Contains(op.Doc.Text, "Free.") {
			t.Errorf("%s is free and does not say so", op.Name)
		}
		for _, r := range op.Routes {
			if other := routes[r.Method+" "+r.Path]; other != "" {
				t.Errorf("%s %s is a route of %s and of %s", r.Method, r.Path, other, op.Name)
			}
			routes[r.Method+" "+r.Path] = op.Name
		}
	}
}
