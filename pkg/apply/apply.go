// Package apply carries out a plan, level by level.
//
// It knows what comes after what when a release is applied: its record, its CRDs, its hooks, its objects, the wait, the
// record again. It compares nothing (package diff does), prints nothing, and reaches a cluster only through the interfaces
// declared here.
package apply

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Records keeps Helm's storage.
type Records interface {
	// Revisions lists the revisions of one release, the oldest first.
	Revisions(ctx context.Context, namespace, name string) ([]manifest.Record, error)
	// Stored reads one revision.
	Stored(ctx context.Context, namespace, name string, revision int) (manifest.Stored, error)
	RecordWriter
}

// RecordWriter writes Helm's storage.
type RecordWriter interface {
	// CreateRecord makes the record of a new revision. It fails where the revision is there already: creating is the
	// lock on a revision.
	CreateRecord(ctx context.Context, s manifest.Stored) error
	// UpdateRecord writes a record anew. The error is a *manifest.Refusal where the cluster declined; with the reason
	// RefusedConflict where s.Seen is not the record's state any more.
	UpdateRecord(ctx context.Context, s manifest.Stored) error
	// DeleteRecord removes a record; one that is not there is fine.
	DeleteRecord(ctx context.Context, namespace, name string, revision int) error
}

// Objects writes the objects of a cluster. All but Place take placed objects.
type Objects interface {
	// Place gives each object the namespace it lands in; known says which kinds the cluster serves.
	Place(ctx context.Context, namespace string, objects []manifest.Object) (placed []manifest.Object, known []bool, err error)
	// TakeFields makes the fields of the object ours that helm or kubectl wrote before our first apply, and returns what is
	// its Seen then.
	TakeFields(ctx context.Context, object manifest.Object) (seen string, err error)
	// Apply makes the object what is wanted, and returns the print of its fields. It and TakeFields refuse with the reason
	// RefusedConflict where the live object is not the one that Seen and UID name.
	Apply(ctx context.Context, object manifest.Object, owner manifest.Owner) (print string, err error)
	ObjectReader
	ObjectMaker
}

// ObjectReader asks about objects.
type ObjectReader interface {
	// Get reads the object as it is.
	Get(ctx context.Context, object manifest.Object) (data map[string]any, found bool, err error)
	// DryRun asks what Apply would make of the object.
	DryRun(ctx context.Context, object manifest.Object, owner manifest.Owner) (map[string]any, error)
}

// ObjectMaker makes and deletes objects that are not applied: hooks, namespaces, leavers.
type ObjectMaker interface {
	// Create makes the object, without ownership metadata. It fails where the object is there already.
	Create(ctx context.Context, object manifest.Object) error
	// Delete begins to delete the object, and says whether it did. With an owner, an object that does not belong to it, or
	// that asks to be kept, stays. One that is not there is fine; one with another UID is refused (RefusedConflict).
	Delete(ctx context.Context, object manifest.Object, owner manifest.Owner) (begun bool, err error)
	// CreateNamespace makes a namespace where it is not there.
	CreateNamespace(ctx context.Context, name string) error
}

// Waiter waits until a condition holds or ctx ends; then the error says what is missing.
type Waiter interface {
	// WaitReady waits until the objects are ready, and tells progress what it still waits for whenever that changes.
	// Jobs must be complete. An object that failed for good ends the wait at once.
	WaitReady(ctx context.Context, objects []manifest.Object, progress func(message string)) error
	// WaitDone waits until Jobs are complete and Pods have succeeded; other kinds are done when they are there.
	WaitDone(ctx context.Context, objects []manifest.Object, progress func(message string)) error
	// WaitGone waits until none of the objects is there.
	WaitGone(ctx context.Context, objects []manifest.Object) error
}

// Cluster is a cluster as apply sees it.
type Cluster interface {
	Records
	Objects
	Waiter
	LogReader
	// Refresh forgets which kinds the cluster serves, since new ones were made.
	Refresh()
	// Warnings are what the cluster warned of so far, each once.
	Warnings() []string
}

// Options say how a run goes. The zero value is useful.
type Options struct {
	// Run names the run in the records, as the value of a label: letters, digits, '-', '_', '.', at most 63. Empty means
	// a name made by chance.
	Run string
	// Emit takes the events. It is called from one goroutine at a time, in order; the run waits for it.
	Emit func(Event)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Parallel is how many releases of a group, and objects of a kind's rank, are applied side by side; 0 means 8.
	Parallel int
	// Holder is who runs this, USER@HOST; it is recorded.
	Holder string
	// OmitValues leaves the values, and the defaults of the chart, out of the records.
	OmitValues bool
	// History is how many revisions of each release are kept; 0 means what its plan says, and where that says nothing 10, as in
	// Helm.
	History int
	// Worked says that another run changed the cluster since the plan was made, so that what the cluster refused then it may take
	// now, or in a moment.
	Worked bool
	// Atomic says that the caller takes back what a run did that fails, with Return.
	Atomic bool
	// Before is called before a release is touched; its error keeps the release from being applied. After is called with what
	// came of it. What they return as said becomes an event. They are called for several releases side by side; nil where
	// there is nothing to do.
	Before func(ctx context.Context, release diff.Release) (said string, err error)
	After  func(ctx context.Context, release diff.Release, failure error) (said string, err error)
}

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	LevelStarted   EventKind = "level-started"
	LevelDone      EventKind = "level-done"
	ReleaseStarted EventKind = "release-started"
	HookStarted    EventKind = "hook-started"
	HookDone       EventKind = "hook-done"
	// HookLog: the Pods of a hook wrote the message.
	HookLog       EventKind = "hook-log"
	ObjectApplied EventKind = "object-applied"
	ObjectDeleted EventKind = "object-deleted"
	Waiting       EventKind = "waiting"
	ReleaseDone   EventKind = "release-done"
	// ReleaseReturned: what the run did to the release was taken back; the message says how.
	ReleaseReturned EventKind = "release-returned"
	ReleaseFailed   EventKind = "release-failed"
	ReleaseSkipped  EventKind = "release-skipped"
	// LockWaiting: another run has the cluster; the message says which.
	LockWaiting EventKind = "lock-waiting"
	// ProgramSaid: a program of the user's wrote the message.
	ProgramSaid EventKind = "program-said"
)

// Event is one thing that happened in a run. The fields that its kind does not need are zero.
type Event struct {
	Kind      EventKind          `json:"kind"`
	Level     string             `json:"level"`
	Release   string             `json:"release,omitempty"`
	Namespace string             `json:"namespace,omitempty"`
	Action    diff.ReleaseAction `json:"action,omitempty"`
	Revision  int                `json:"revision,omitempty"`
	Object    manifest.ID        `json:"object,omitzero"`
	// Message says what is waited for, or what went wrong.
	Message string `json:"message,omitempty"`
	// Elapsed is the time since the level or the release began; in JSON it is elapsedSeconds.
	Elapsed time.Duration `json:"-"`
}

// MarshalJSON writes times in seconds.
func (e Event) MarshalJSON() ([]byte, error) {
	type event Event
	return json.Marshal(struct {
		event
		ElapsedSeconds float64 `json:"elapsedSeconds"`
	}{event(e), e.Elapsed.Seconds()})
}

// Outcome says how a release ended.
type Outcome string

// The outcomes.
const (
	Applied     Outcome = "applied"
	Uninstalled Outcome = "uninstalled"
	Failed      Outcome = "failed"
	// Returned: the release was applied, and taken back since the run failed.
	Returned Outcome = "returned"
	// NotStarted: the run stopped before the release.
	NotStarted Outcome = "not-started"
)

// Result is what a run did.
type Result struct {
	// Releases are those of the plan that were not unchanged, in its order.
	Releases []ReleaseResult `json:"releases"`
	// Warnings are what the API server warned of that the plan does not have.
	Warnings []string `json:"warnings,omitempty"`
	// Untouched are the releases of the plan that were unchanged, for Verify: they are wanted as well.
	Untouched []diff.Release `json:"-"`
}

// ReleaseResult is what happened to one release.
type ReleaseResult struct {
	Name      string             `json:"name"`
	Namespace string             `json:"namespace"`
	Level     string             `json:"level"`
	Action    diff.ReleaseAction `json:"action"`
	Outcome   Outcome            `json:"outcome"`
	Revision  int                `json:"revision,omitempty"`
	Error     string             `json:"error,omitempty"`
	// Former is the last revision that was deployed before; 0 where none was.
	Former int `json:"former,omitempty"`
	// Elapsed is how long it took; in JSON it is elapsedSeconds.
	Elapsed time.Duration `json:"-"`
	// Objects are the objects that were applied, and Prints their prints: what Verify looks for.
	Objects []manifest.Object      `json:"-"`
	Prints  map[manifest.ID]string `json:"-"`
}

// MarshalJSON writes times in seconds.
func (r ReleaseResult) MarshalJSON() ([]byte, error) {
	type result ReleaseResult
	return json.Marshal(struct {
		result
		ElapsedSeconds float64 `json:"elapsedSeconds"`
	}{result(r), r.Elapsed.Seconds()})
}

// Count returns how many releases ended so.
func (r Result) Count(outcome Outcome) int {
	n := 0
	for _, rel := range r.Releases {
		if rel.Outcome == outcome {
			n++
		}
	}
	return n
}
