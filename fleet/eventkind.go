package fleet

// EventKind names what an event tells. The list is closed.
type EventKind string

// The kinds of events.
const (
	EventBalanceToppedUp       EventKind = "balance.topped_up"
	EventServerCreated         EventKind = "server.created"
	EventServerReady           EventKind = "server.ready"
	EventServerFailed          EventKind = "server.failed"
	EventServerActive          EventKind = "server.active"
	EventServerOff             EventKind = "server.off"
	EventServerResized         EventKind = "server.resized"
	EventServerRebuilt         EventKind = "server.rebuilt"
	EventServerMoved           EventKind = "server.moved"
	EventServerSuspended       EventKind = "server.suspended"
	EventServerRevived         EventKind = "server.revived"
	EventServerKept            EventKind = "server.kept"
	EventServerLostSnapshot    EventKind = "server.lost_snapshot"
	EventServerDestroyed       EventKind = "server.destroyed"
	EventServerOrphanDestroyed EventKind = "server.orphan_destroyed"
	EventLeaseWarning          EventKind = "lease.warning"
	EventLeaseExtended         EventKind = "lease.extended"
	EventLeaseRenewed          EventKind = "lease.renewed"
	EventLeaseRenewalFailed    EventKind = "lease.renewal_failed"
	EventLeaseAutoRenew        EventKind = "lease.auto_renew"
	EventLeaseEnded            EventKind = "lease.ended"
	EventLeaseSettled          EventKind = "lease.settled"
	EventSnapshotAvailable     EventKind = "snapshot.available"
	EventSnapshotExtended      EventKind = "snapshot.extended"
	EventSnapshotFailed        EventKind = "snapshot.failed"
	EventSnapshotDeleted       EventKind = "snapshot.deleted"
	EventSnapshotExpired       EventKind = "snapshot.expired"
	EventKeyAdded              EventKind = "key.added"
	EventKeyRemoved            EventKind = "key.removed"
	EventPoolInvited           EventKind = "pool.invited"
	EventPoolWithdrawn         EventKind = "pool.withdrawn"
	EventPoolJoined            EventKind = "pool.joined"
	EventPoolRejected          EventKind = "pool.rejected"
	EventPoolRole              EventKind = "pool.role"
	EventPoolLeft              EventKind = "pool.left"
	EventPoolRemoved           EventKind = "pool.removed"
	EventPoolDeleted           EventKind = "pool.deleted"
	EventActionStarted         EventKind = "action.started"
	EventActionStage           EventKind = "action.stage"
	EventActionDelayed         EventKind = "action.delayed"
	EventActionCompleted       EventKind = "action.completed"
	EventActionFailed          EventKind = "action.failed"
)

// EventDoc says what a kind of event tells.
type EventDoc struct {
	Kind EventKind
	Text string
}

// EventDocs are all kinds of events, with what they tell their principal.
var EventDocs = []EventDoc{
	{EventBalanceToppedUp, "A payment credited the balance."},
	{EventServerCreated, "A server was bought; it is being made."},
	{EventServerReady, "A server was delivered: it answers, and its time has begun."},
	{EventServerFailed, "A server never came up, or its machine vanished; what it cost returned."},
	{EventServerActive, "A server is on."},
	{EventServerOff, "A server is off."},
	{EventServerResized, "A server has another size."},
	{EventServerRebuilt, "A server's disk was replaced."},
	{EventServerMoved, "A server is in another pool."},
	{EventServerSuspended, "An hourly server was turned off for want of money."},
	{EventServerRevived, "A suspended server is on again, an hour was paid."},
	{EventServerKept, "A server was to be destroyed and stays: its snapshot failed."},
	{EventServerLostSnapshot, "A server ends without its last snapshot, which could not be taken."},
	{EventServerDestroyed, "A server is gone."},
	{EventServerOrphanDestroyed, "A machine was removed that no server had."},
	{EventLeaseWarning, "A lease ends soon: in `minutes`."},
	{EventLeaseExtended, "A lease was extended."},
	{EventLeaseRenewed, "A lease renewed itself."},
	{EventLeaseRenewalFailed, "A lease could not renew itself; `code` and `reason` say why."},
	{EventLeaseAutoRenew, "Renewal was turned on or off."},
	{EventLeaseEnded, "A lease has run out; its server is snapshotted and destroyed."},
	{EventLeaseSettled, "A deposit has ended; the rest of it returned."},
	{EventSnapshotAvailable, "A snapshot is complete; its retention begins."},
	{EventSnapshotExtended, "A snapshot is kept longer."},
	{EventSnapshotFailed, "A snapshot could not be taken."},
	{EventSnapshotDeleted, "A snapshot was deleted."},
	{EventSnapshotExpired, "A snapshot's retention has run out."},
	{EventKeyAdded, "An SSH key was registered."},
	{EventKeyRemoved, "An SSH key was removed."},
	{EventPoolInvited, "You were invited to a pool."},
	{EventPoolWithdrawn, "An invitation to you was withdrawn."},
	{EventPoolJoined, "Somebody accepted your pool's invitation."},
	{EventPoolRejected, "Somebody declined your pool's invitation."},
	{EventPoolRole, "You have another role in a pool."},
	{EventPoolLeft, "Somebody left your pool."},
	{EventPoolRemoved, "You were removed from a pool."},
	{EventPoolDeleted, "A pool that you were in was deleted."},
	{EventActionStarted, "Long work began."},
	{EventActionStage, "Long work reached its next stage."},
	{EventActionDelayed, "Long work keeps meeting errors and goes on trying."},
	{EventActionCompleted, "Long work is done."},
	{EventActionFailed, "Long work failed; what it cost returned."},
}
