package fleet

import (
	"context"
	"fmt"

	"berth"
	"berth/billing"
)

// VerifyServers compares servers and actions with their charges and returns the
// contradictions in words, none when all is well: every server that was
// delivered has a captured charge or was free, every one that is being made an
// open one, none that failed or is destroyed holds money, the escrow of each is
// what its lease says, and no action that has ended holds money. rx must be one consistent view.
func VerifyServers(ctx context.Context, rx Rx) (problems []string, err error) {
	const batch = 200
	for after := berth.ID(""); ; {
		principals, err := rx.Principals(ctx, after, batch)
		if err != nil {
			return nil, fmt.Errorf("list principals: %w", err)
		}
		for _, p := range principals {
			found, err := verifyOwner(ctx, rx, p.ID)
			if err != nil {
				return nil, err
			}
			problems = append(problems, found...)
			after = p.ID
		}
		if len(principals) < batch {
			return problems, nil
		}
	}
}

// verifyOwner verifies the servers of one principal.
func verifyOwner(ctx context.Context, rx Rx, owner berth.ID) (problems []string, err error) {
	const batch = 200
	for after := berth.ID(""); ; {
		servers, err := rx.Servers(ctx, owner, ServerFilter{All: true, After: after, Limit: batch})
		if err != nil {
			return nil, fmt.Errorf("list servers of %s: %w", owner, err)
		}
		for _, s := range servers {
			found, err := verifyServer(ctx, rx, s)
			if err != nil {
				return nil, err
			}
			problems = append(problems, found...)
			after = s.ID
		}
		if len(servers) < batch {
			return problems, nil
		}
	}
}

// verifyServer verifies one server's charge, and those of its latest actions.
func verifyServer(ctx context.Context, rx Rx, s Server) (problems []string, err error) {
	charge, err := chargeState(ctx, rx, s.Charge)
	if err != nil {
		return nil, err
	}
	escrow, err := rx.LedgerAccount(ctx, billing.EscrowAccount(s.ID))
	if err != nil {
		return nil, fmt.Errorf("read the escrow of %s: %w", s.ID, err)
	}
	for _, wrong := range []string{contradiction(s, charge), escrowContradiction(s, escrow.Available())} {
		if wrong != "" {
			problems = append(problems, fmt.Sprintf("server %s is %s and %s", s.ID, s.Status, wrong))
		}
	}
	actions, err := rx.Actions(ctx, ActionFilter{Owner: s.Owner, Subject: s.ID, Limit: 200})
	if err != nil {
		return nil, fmt.Errorf("list actions of %s: %w", s.ID, err)
	}
	for _, a := range actions {
		charge, err := chargeState(ctx, rx, a.Charge)
		if err != nil {
			return nil, err
		}
		wanted := map[ActionStatus]string{ActionDone: chargeCaptured, ActionFailed: chargeReleased}[a.Status]
		// An action that fails lets go of its money before it has cleaned up.
		if a.Status == ActionRunning && a.Reason == "" {
			wanted = chargeOpen
		} else if a.Status == ActionRunning {
			wanted = chargeReleased
		}
		if charge != chargeFree && charge != wanted {
			problems = append(problems, fmt.Sprintf("action %s (%s) is %s and its charge is %s", a.ID, a.Kind, a.Status, charge))
		}
	}
	return problems, nil
}

// The states of a charge.
const (
	chargeFree     = "free" // there is none
	chargeMissing  = "missing"
	chargeOpen     = "open"
	chargeCaptured = "captured"
	chargeReleased = "released"
)

// chargeState is what became of a pending transfer.
func chargeState(ctx context.Context, rx Rx, hold string) (string, error) {
	if hold == "" {
		return chargeFree, nil
	}
	if _, err := rx.Transfer(ctx, hold); err != nil {
		if berth.CodeOf(err) == berth.NotFound {
			return chargeMissing, nil
		}
		return "", fmt.Errorf("read transfer %s: %w", hold, err)
	}
	resolution, err := rx.Resolution(ctx, hold)
	switch {
	case err == nil && resolution.Kind == billing.Post:
		return chargeCaptured, nil
	case err == nil:
		return chargeReleased, nil
	case berth.CodeOf(err) == berth.NotFound:
		return chargeOpen, nil
	}
	return "", fmt.Errorf("read the resolution of %s: %w", hold, err)
}

// contradiction is what is wrong between a server's state and its charge.
func contradiction(s Server, charge string) string {
	delivered := !s.Delivered.IsZero()
	switch {
	case charge == chargeFree && s.Price > 0 && s.Charge == "":
		return "has a price and no charge"
	case charge == chargeFree:
		return ""
	case delivered && charge != chargeCaptured:
		return "was delivered, and its charge is " + charge
	case s.Status == Provisioning && charge != chargeOpen:
		return "its charge is " + charge
	case !delivered && s.Status != Provisioning && charge != chargeReleased:
		return "was never delivered, and its charge is " + charge
	}
	return ""
}

// escrowContradiction is what is wrong between a server's lease and its escrow.
func escrowContradiction(s Server, escrow berth.Micros) string {
	l := s.Lease
	switch {
	case escrow != l.Deposit-l.Metered:
		return fmt.Sprintf("its escrow has %s, and by its lease %s", escrow, l.Deposit-l.Metered)
	case !s.Status.Live() && escrow != 0:
		return fmt.Sprintf("its escrow still has %s", escrow)
	case l.Period != Deposit || s.Delivered.IsZero() || s.Status == Destroying || !s.Status.Live():
		return ""
	case l.MeteredFrom.IsZero():
		return "is not metered"
	case !l.PaidUntil.Equal(l.MeteredFrom.Add(billing.Lasts(l.Rate, l.Deposit))):
		return "is paid until another time than its deposit lasts"
	}
	return ""
}
