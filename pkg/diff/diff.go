// Package diff compares what is wanted with what is, and makes a plan of the difference.
//
// It decides, from the records of Helm's storage and the field ownership of the live objects, which releases need nothing;
// asks the cluster what the objects of the others would become; and finds the objects that a release no longer has. It
// writes nothing, shows nothing, and reaches a cluster only through the interfaces declared here.
package diff

import (
	"context"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// Records reads Helm's storage.
type Records interface {
	// Records lists every revision of every release of the cluster, from its labels.
	Records(ctx context.Context) ([]manifest.Record, error)
	// Stored reads one revision.
	Stored(ctx context.Context, namespace, name string, revision int) (manifest.Stored, error)
}

// Objects reads the objects of a cluster.
type Objects interface {
	// Place gives each object the namespace it would land in: the given one where it names none, none where its kind has
	// none. Known says which kinds the cluster serves; an object of another kind stays as it is.
	Place(ctx context.Context, namespace string, objects []manifest.Object) (placed []manifest.Object, known []bool, err error)
	// Prints returns, for each of the placed objects that is there and that otomi applied, a digest of its identity and
	// of the fields that otomi owns in it.
	Prints(ctx context.Context, objects []manifest.Object) (map[manifest.ID]string, error)
	// Versions returns the resource version and the UID of those of the placed objects that are there and belong to a release,
	// from one request for each kind. An object that it does not return may be there all the same.
	Versions(ctx context.Context, objects []manifest.Object) (map[manifest.ID]manifest.Version, error)
	// Get reads a placed object.
	Get(ctx context.Context, object manifest.Object) (data map[string]any, found bool, err error)
}

// Rehearsal asks what an object would become.
type Rehearsal interface {
	// DryRun applies a placed object without writing it, and returns what it would become. The error is a
	// *manifest.Refusal where the cluster would not take the object; with the reason RefusedImmutable, what the object
	// would be if it were made anew is returned beside it.
	DryRun(ctx context.Context, object manifest.Object, owner manifest.Owner) (map[string]any, error)
	// Warnings are what the cluster warned of so far, each once.
	Warnings() []string
}

// Live is a cluster as diff sees it.
type Live interface {
	Records
	Objects
	Rehearsal
	Population
}

// Rendered is a rendered release and the digest of everything that is wanted of it.
type Rendered struct {
	manifest.Release
	Digest string
}

// Render renders a release as its given revision, as an upgrade or as an install. Calls are concurrent.
type Render func(ctx context.Context, r runlevel.Release, revision int, upgrade bool) (Rendered, diag.Diagnostics, error)

// Input is what is wanted.
type Input struct {
	// Cluster and Context are only carried into the plan.
	Cluster string
	Context string
	// Levels are the runlevels in their order.
	Levels []runlevel.Level
	// Inventory is the Inventory of the run; empty where its releases are in none.
	Inventory string
	// Commit is that of the values; empty where it is not known.
	Commit string
	// Whole says that the levels have every release of the inventory: one that is recorded in it and is not among them, nor
	// among the disabled, left, and is uninstalled.
	Whole bool
	// Unnamed says why the run has no inventory, although it has all releases of a values repository: what left can't be told.
	Unnamed string
	// Render is not needed by Teardown.
	Render Render
}

// Options change how the comparison judges. The zero value is the careful one.
type Options struct {
	// Parallel is how many requests or renderings run side by side; 0 means 8.
	Parallel int
	// TakeOwnership allows objects that are there and belong to no release of this run.
	TakeOwnership bool
	// Force allows objects to be replaced that can't be changed in place. Jobs always may.
	Force bool
	// DeleteNamespaces lets uninstalled releases take their Namespace objects with them.
	DeleteNamespaces bool
	// Every upgrades also the releases that are as they are wanted.
	Every bool
	// AsHelm orders a release as Helm does: its last hooks run after the wait, and the wait leaves out Jobs unless the release
	// says waitForJobs. Else a run's own order counts, in which hooks may make a release ready.
	AsHelm bool
	// Foreign lets Teardown take the releases that helm made, too.
	Foreign bool
	// NoPrune leaves in the cluster what releases no longer have, and the releases that left. Those with installed: false go.
	NoPrune bool
	// Back is the revision that a rollback goes back to; 0 where it is none.
	Back int
	// Now is the time; the zero time is that of a clock by which nothing is old.
	Now time.Time
	// Unlocked says that nothing keeps other runs away: what helm left unfinished is never taken over.
	Unlocked bool
	// Conflicts says what becomes of fields that others wrote and that are wanted otherwise; empty means Take.
	Conflicts ConflictPolicy
	// CRDDowngrade lets CustomResourceDefinitions lose versions, scope and fields that objects of their kinds have.
	CRDDowngrade bool
	// Reveal shows the values of Secrets.
	Reveal bool
	// Ignore leaves fields of objects as they are in the cluster, beside what the releases and the objects themselves say.
	Ignore []Ignore
	// Shapes says how lists are compared; nil compares them place by place.
	Shapes Shapes
}
