package fleet

// Survey is what one round of the sweeper looked at and found.
type Survey struct {
	Machines  int // of this deployment at the provider
	Servers   int // live ones on which nothing is under way
	Snapshots int // of this deployment at the provider
	Findings  []Finding
}

// Finding is one difference between the provider and the rows.
type Finding struct {
	Kind    FindingKind
	Subject string // the server's id; of what no row accounts for, the provider's id or name
	Settled bool   // it has lasted for the grace period, and this round saw to it
}

// FindingKind says how the provider and the rows differ.
type FindingKind string

// The kinds of findings, with what settles them.
const (
	OrphanedMachine  FindingKind = "orphaned_machine"  // no live server has it: it is destroyed
	OrphanedSnapshot FindingKind = "orphaned_snapshot" // no snapshot's row has it: it is deleted
	VanishedMachine  FindingKind = "vanished_machine"  // a live server's is gone: the server ends and unused time is refunded
	TurnedOnOrOff    FindingKind = "turned_on_or_off"  // from elsewhere: the server's status follows, or a suspended one is turned off again
)

// round is one round of the sweeper.
type round struct {
	*Fleet
	Survey
}

// confirmed notes a finding, and tells whether it has lasted long enough to be
// acted on.
func (r *round) confirmed(kind FindingKind, subject string) bool {
	settled := r.suspects.confirmed(string(kind)+":"+subject, r.Now(), r.Pace.Grace)
	r.Findings = append(r.Findings, Finding{kind, subject, settled})
	return settled
}
