package ops

import (
	"context"
	"log/slog"
	"strings"

	"berth/fleet"
)

// ReconcileOut is what reconcile answers.
type ReconcileOut struct {
	OK        bool          `json:"ok" doc:"There is nothing left that differs, and everything could be looked at."`
	Machines  int           `json:"machines" doc:"Of this deployment at the provider."`
	Servers   int           `json:"servers" doc:"Live ones on which nothing was under way."`
	Snapshots int           `json:"snapshots" doc:"Of this deployment at the provider."`
	Findings  []FindingView `json:"findings"`
	Problems  []string      `json:"problems" doc:"What could not be looked at or settled, and why."`
}

// FindingView is one difference between the provider and the books.
type FindingView struct {
	Kind    fleet.FindingKind `json:"kind" enum:"orphaned_machine,orphaned_snapshot,vanished_machine,turned_on_or_off"`
	Subject string            `json:"subject"`
	Settled bool              `json:"settled" doc:"It lasted, and was seen to now; else it is watched."`
}

// reconcile answers with what could not be looked at instead of failing: the
// rest of the report is wanted then most.
func (s *System) reconcile(ctx context.Context, _ *Request, _ None) (ReconcileOut, error) {
	report, err := s.fleet.Survey(ctx)
	if ctx.Err() != nil {
		return ReconcileOut{}, ctx.Err()
	}
	out := ReconcileOut{
		OK: err == nil, Machines: report.Machines, Servers: report.Servers, Snapshots: report.Snapshots,
		Findings: make([]FindingView, len(report.Findings)), Problems: []string{},
	}
	for i, f := range report.Findings {
		out.Findings[i] = FindingView(f)
		out.OK = out.OK && f.Settled
	}
	if err != nil {
		s.log.WarnContext(ctx, "reconciling met problems", slog.Any("error", err))
		out.Problems = strings.Split(err.Error(), "\n") // one line for each of those that were joined
	}
	return out, nil
}
