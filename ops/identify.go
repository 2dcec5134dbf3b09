package ops

import (
	"context"

	"berth"
	"berth/account"
)

// identify makes a Request from the call's credentials, verifying only. It is
// nil where the operation needs somebody and nobody was named.
func (s *System) identify(ctx context.Context, op *Operation, call *Call) (*Request, error) {
	req := &Request{Operation: op.Name, Sink: call.Sink, Body: call.Body, Open: call.Open}
	if req.Sink == nil {
		req.Sink = noSink{}
	}
	for _, c := range call.Creds {
		if err := s.accept(ctx, req, c); err != nil {
			return nil, err
		}
	}
	switch {
	case op.Access == Operator && !req.Operator:
		return nil, berth.Errorf(berth.Forbidden, "%s is for the operator of this Berth", op.Name).
			Hinted("use the berth command on the machine where Berth runs")
	case op.Access == Identified && req.Principal.ID == "":
		return nil, nil
	}
	return req, nil
}

func (s *System) accept(ctx context.Context, req *Request, c Credential) error {
	return s.store.Read(ctx, func(rx Rx) error {
		var err error
		switch c.Scheme {
		case BearerScheme:
			req.Principal, req.Key, err = account.Authenticate(ctx, rx, c.Token)
		case LocalScheme, OperatorScheme:
			req.Principal, err = rx.LocalPrincipal(ctx)
			req.Operator = c.Scheme == OperatorScheme
		default:
			err = berth.Errorf(berth.Unauthenticated, "%q is no way to identify oneself here", c.Scheme)
		}
		return err
	})
}

// authorise reads the operation's subject and checks that it is the caller's.
// It is the one place where ownership is decided: what belongs to somebody else
// looks exactly like what does not exist.
func (t task) authorise(ctx context.Context, rx Rx) error {
	if t.op.subject == nil {
		return nil
	}
	id := t.op.subject(t.in)
	if id == "" { // an operation whose subject is optional was called without one
		return nil
	}
	owner, err := t.req.load(ctx, rx, id)
	if berth.CodeOf(err) == berth.NotFound && err != nil {
		return missing(id)
	}
	if err != nil {
		return err
	}
	if owner == t.req.Principal.ID {
		return nil
	}
	if t.req.Operator {
		// The operator acts for the owner, whose balance pays.
		t.req.Principal, err = rx.Principal(ctx, owner)
		return err
	}
	e := missing(id)
	e.Foreign = true
	return e
}

// load reads the object with that id into the request and tells its owner.
func (r *Request) load(ctx context.Context, rx Rx, id berth.ID) (owner berth.ID, err error) {
	switch id.Prefix() {
	case berth.PrefixServer:
		r.Server, err = rx.Server(ctx, id)
		return r.Server.Owner, err
	case berth.PrefixSnapshot:
		r.Snapshot, err = rx.Snapshot(ctx, id)
		return r.Snapshot.Owner, err
	case berth.PrefixKey:
		r.SSHKey, err = rx.Key(ctx, id)
		return r.SSHKey.Owner, err
	case berth.PrefixAction:
		r.Action, err = rx.Action(ctx, id)
		return r.Action.Owner, err
	}
	return "", missing(id)
}

func missing(id berth.ID) *berth.Error {
	kinds := map[string]string{
		berth.PrefixServer: "server", berth.PrefixSnapshot: "snapshot", berth.PrefixKey: "SSH key", berth.PrefixAction: "action",
	}
	if kind, ok := kinds[id.Prefix()]; ok {
		return berth.Errorf(berth.NotFound, "no such %s: %s", kind, id).Hinted("list yours to see the ids there are")
	}
	return berth.Errorf(berth.NotFound, "no such thing: %.64s", string(id)).
		Hinted("ids look like srv_…, snap_…, key_… or act_…, with 24 hex digits; list yours to see them")
}
