package ops

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"berth"
)

// MaxWait bounds how long a front may be asked to wait for an action.
const MaxWait = 10 * time.Minute

// Envelope is what accompanies an operation's input and is no part of it.
type Envelope struct {
	Key   string         // idempotency_key
	Quote berth.ID       // quote_id
	Wait  *time.Duration // wait_seconds; nil where the caller left it to the front
}

// The envelope's schemas, as fronts show them beside an operation's input.
var envelopeSchemas = map[string]*huma.Schema{
	"idempotency_key": bounded(&huma.Schema{Type: huma.TypeString, Description: "The same key is done once."}, 1, maxKey),
	"quote_id":        bounded(&huma.Schema{Type: huma.TypeString, Description: "Honour this quote's price."}, 1, 64),
	"wait_seconds": {
		Type: huma.TypeInteger, Minimum: number(0), Maximum: number(MaxWait.Seconds()),
		Description: "Answer by then; the work goes on.",
	},
}

func bounded(s *huma.Schema, least, most int) *huma.Schema {
	s.MinLength, s.MaxLength = &least, &most
	return s
}

func number(f float64) *float64 { return &f }

func init() {
	for _, s := range envelopeSchemas {
		s.PrecomputeMessages()
	}
}

// EnvelopeFields are the envelope's names that the operation takes.
func (o *Operation) EnvelopeFields() []string {
	var names []string
	if o.Changes() {
		names = append(names, "idempotency_key")
	}
	if o.Priced {
		names = append(names, "quote_id")
	}
	if o.Long {
		names = append(names, "wait_seconds")
	}
	return names
}

// EnvelopeSchema is the schema of one name of the envelope.
func EnvelopeSchema(name string) *huma.Schema { return envelopeSchemas[name] }

// FullInput is the operation's input with the envelope beside it and without what
// is not listed, for fronts that send both in one object.
func (o *Operation) FullInput() *huma.Schema {
	s := *o.Input
	s.Properties = maps.Clone(o.Input.Properties)
	if example, ok := s.Examples[0].(map[string]any); ok && len(example) < 2 {
		s.Examples = nil // the types say as much
	}
	for name, p := range s.Properties {
		if p.MinLength != nil && *p.MinLength == 1 { // that an empty text is none goes without saying
			terse := *p
			terse.MinLength, s.Properties[name] = nil, &terse
		}
	}
	for _, name := range o.Doc.Unlisted {
		delete(s.Properties, name)
	}
	for _, name := range o.EnvelopeFields() {
		s.Properties[name] = envelopeSchemas[name]
	}
	return &s
}

// TakeEnvelope removes the envelope's names from args and reads them. A name
// that the operation doesn't take stays, and binding complains of it.
func (o *Operation) TakeEnvelope(args map[string]any) (Envelope, error) {
	var e Envelope
	for _, name := range o.EnvelopeFields() {
		v, ok := args[name]
		delete(args, name)
		if !ok || v == nil {
			continue
		}
		schema := envelopeSchemas[name]
		v = coerce(schema, v)
		res := &huma.ValidateResult{}
		huma.Validate(nil, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, v, res)
		if len(res.Errors) > 0 {
			return e, refused([]berth.Field{{Name: name, Reason: message(res.Errors[0])}}).Hinted("%s", o.ExampleHint())
		}
		switch name {
		case "idempotency_key":
			e.Key = v.(string)
		case "quote_id":
			e.Quote = berth.ID(v.(string))
		case "wait_seconds":
			d := time.Duration(v.(float64) * float64(time.Second))
			e.Wait = &d
		}
	}
	return e, nil
}

func message(err error) string {
	var d *huma.ErrorDetail
	if errors.As(err, &d) {
		return d.Message
	}
	return fmt.Sprint(err)
}
