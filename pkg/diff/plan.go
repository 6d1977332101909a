package diff

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Action says what applying does to one object.
type Action string

const (
	// Create: the object is not there.
	Create Action = "create"
	// Update: a field of the object differs.
	Update Action = "change"
	// Replace: the object can't become what is wanted, so it is deleted and made anew.
	Replace Action = "replace"
	// Delete: the release no longer has the object.
	Delete Action = "delete"
	// Adopt: the object is there and belongs to nobody.
	Adopt Action = "adopt"
	// TakeOver: the object is there and belongs to another release, or to another tool.
	TakeOver Action = "take over"
	// Unchanged: the object is as it is wanted.
	Unchanged Action = "unchanged"
)

// ReleaseAction says what applying does to one release.
type ReleaseAction string

const (
	// Install: the release was never deployed.
	Install ReleaseAction = "install"
	// Upgrade: the release gets a new revision.
	Upgrade ReleaseAction = "upgrade"
	// Uninstall: the release goes away.
	Uninstall ReleaseAction = "uninstall"
	// Same: the release is as it is wanted, or is not there and not wanted. Nothing is written.
	Same ReleaseAction = "unchanged"
)

// Plan is everything that applying would do, in order. It holds no secret: what it shows of Secrets is masked, and the
// rendered releases that apply needs are left out of its JSON.
type Plan struct {
	// Cluster is the name of the cluster in the registry, CLOUD/NAME.
	Cluster string `json:"cluster,omitempty"`
	// Context is the kubeconfig context that the cluster was reached by.
	Context string `json:"context,omitempty"`
	// Levels are the runlevels in the order in which apply takes them. A plan made by Teardown has them reversed.
	Levels []Level `json:"levels"`
	// Warnings are what the API server warned of while the plan was made: deprecated API versions and the like.
	Warnings []string `json:"warnings,omitempty"`
	// Notes are sentences about what the plan leaves as it is although it may be unwanted.
	Notes []string `json:"notes,omitempty"`
	// Inventory and Commit are those of Input.
	Inventory string `json:"inventory,omitempty"`
	Commit    string `json:"commit,omitempty"`
}

// Level is one runlevel of a plan.
type Level struct {
	Name string `json:"name"`
	// Releases are those of the runlevel, in its order, the unchanged ones included.
	Releases []Release `json:"releases"`
}

// Release is what applying would do to one release.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Level     string `json:"level"`
	// Chart is NAME-VERSION of the chart, as helm list shows it.
	Chart  string        `json:"chart,omitempty"`
	Action ReleaseAction `json:"action"`
	// Reason says in a few words why the action is needed.
	Reason string `json:"reason,omitempty"`
	// Invalid says why the release can't be applied; apply stops at its runlevel. The objects have their own reasons.
	Invalid string `json:"invalid,omitempty"`
	// Revision is the one that apply creates; of an unchanged release the deployed one, of an uninstalled one the last.
	Revision int `json:"revision,omitempty"`
	// Objects are the changes in the order in which they are carried out; those to delete come last. It is empty for an
	// unchanged release.
	Objects []Change `json:"objects,omitempty"`
	// Hooks are those that run, in the order of their definition.
	Hooks []Hook `json:"hooks,omitempty"`
	// Group counts from 0 within the level: the releases of one group are applied side by side.
	Group int  `json:"group"`
	Wait  bool `json:"wait"`
	// Timeout bounds each wait; in JSON it is timeoutSeconds.
	Timeout         time.Duration `json:"-"`
	CreateNamespace bool          `json:"createNamespace,omitempty"`
	// AsHelm is that of Options, and WaitForJobs what the release says for it.
	AsHelm, WaitForJobs bool `json:"-"`
	// Atomic undoes the release when it fails: an upgrade goes back to what was deployed, an install goes away.
	// CleanupOnFail deletes what a failed upgrade made.
	Atomic, CleanupOnFail bool `json:"-"`
	// History is how many records of the release are kept: 0 is Helm's default, negative all.
	History int `json:"-"`
	// Labels are put on the release's record. Cascade is how what belongs to the objects of an uninstalled release goes.
	Labels  map[string]string `json:"-"`
	Cascade string            `json:"-"`
	// Context is the context of the release, where the runlevels have one.
	Context string `json:"-"`
	// Hidden are regular expressions of lines whose differences are not shown; Silent says that none of the release is.
	Hidden []string `json:"-"`
	Silent bool     `json:"-"`
	// Wanted is the release as it is to be applied; of an uninstalled one, as its last record has it.
	Wanted manifest.Release `json:"-"`
	// Former are the values of the release's records that had to be read: of the deployed one, and of those after it that did not
	// get so far. What any of them holds may be in the cluster.
	Former []map[string]any `json:"-"`
	// Held are the texts that the Secrets of those records held.
	Held []string `json:"-"`
	// TakesOver is a revision that helm left unfinished long ago and that apply closes; 0 where there is none.
	TakesOver int `json:"takesOver,omitempty"`
	// Back is the revision that a rollback goes back to, whose hooks run; 0 of anything else.
	Back int `json:"back,omitempty"`
	// Stale says that the release is as it is wanted, and the labels of its record do not say so: they are written anew when
	// apply writes anything at all. Owned is then what they say of its objects. It is empty where fields of the objects are
	// some other party's that wrote them and wrote them back: the objects of Upkeep are applied first, so that they are ours
	// again, or what that party does to them next would not be seen.
	Stale  bool     `json:"-"`
	Owned  string   `json:"-"`
	Upkeep []Change `json:"-"`
	// Digest is the digest of Wanted.
	Digest string `json:"-"`
	// Record is the newest record that the release was compared with; zero where there is none.
	Record Record `json:"record,omitzero"`
	// Seen is a digest of the records of the release that were compared: revisions, states, and when each was written.
	Seen string `json:"-"`
}

// Record is a record of a release as it was listed.
type Record struct {
	Revision int             `json:"revision"`
	Status   manifest.Status `json:"status"`
	// Seen names its state: the resource version.
	Seen string `json:"-"`
}

// Key is NAMESPACE/NAME.
func (r Release) Key() string { return manifest.Key(r.Namespace, r.Name) }

// Owner is the release as the owner of its objects.
func (r Release) Owner() manifest.Owner {
	return manifest.Owner{Namespace: r.Namespace, Name: r.Name}
}

// MarshalJSON adds the counts, so that nobody needs to count.
func (p Plan) MarshalJSON() ([]byte, error) {
	type plan Plan
	return json.Marshal(struct {
		plan
		Counts Counts `json:"counts"`
	}{plan(p), p.Counts()})
}

// MarshalJSON writes times in seconds.
func (r Release) MarshalJSON() ([]byte, error) {
	type release Release
	return json.Marshal(struct {
		release
		TimeoutSeconds float64 `json:"timeoutSeconds"`
	}{release(r), r.Timeout.Seconds()})
}

// Change is what applying would do to one object.
type Change struct {
	manifest.ID
	Version string `json:"version"`
	Action  Action `json:"action"`
	// Source is the template that made the object; of an object to delete, the one that made it once.
	Source string `json:"source,omitempty"`
	// Reason says why, where the action alone does not: "moves from release a/b".
	Reason string `json:"reason,omitempty"`
	// Invalid says why the object can't be applied; apply stops at its runlevel. It ends in what to do.
	Invalid string `json:"invalid,omitempty"`
	// Unknown says why nobody could tell what the cluster makes of the object: its kind is not served yet, its namespace is not
	// there, a webhook takes no dry run, or it is deferred. After is then what is sent, without what admission and defaults make
	// of it, and Before is nil.
	Unknown string `json:"unknown,omitempty"`
	// Immutable are the fields, as the cluster names them, for which an object has to be replaced.
	Immutable []string `json:"immutable,omitempty"`
	// Deferred is why the cluster would not take the object now, where that may change before the run gets to it: the
	// CustomResourceDefinition of its kind does.
	Deferred string `json:"deferred,omitempty"`
	// Before and After are the object as it is and as it would be, without what the server keeps for itself (managed
	// fields, status, revision numbers, times) and without ownership metadata. Values of a Secret are "(secret)", and in
	// After "(secret, changed)" where they differ. Nil where there is none, and both where nothing changes or the cluster
	// refused to say what becomes of the object that is there. Of a deferred one, After is what is sent, and Before is nil.
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
	// Fields are the fields that differ between Before and After, where both are there. Before has its lists in the order of
	// After.
	Fields []Field `json:"fields,omitempty"`
	// Conflicts are the fields that others wrote and that are wanted otherwise.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	// Ignored are the paths that are left as they are in the cluster, and not compared.
	Ignored []string `json:"ignored,omitempty"`
	// live is the object as it was read, while it is compared.
	live map[string]any
	// CRD marks an object of the chart's crds/ folder: it is applied first and never deleted.
	CRD bool `json:"crd,omitempty"`
	// Refused says that Invalid or Deferred is the cluster's own answer, which may be another one once earlier runlevels are
	// there: apply asks again before it starts the object's runlevel.
	Refused bool `json:"-"`
	// Seen is the resource version of the live object that was compared, manifest.Absent where there was none, and UID is its
	// UID. Live is LiveDigest of it. Apply writes to that object only. They are empty where the write is not guarded: several
	// releases write the object, or the cluster makes it by itself.
	Seen string `json:"-"`
	UID  string `json:"-"`
	Live string `json:"-"`
	// From is the release of the run, NAMESPACE/NAME, that the object moves from; empty where it does not.
	From string `json:"-"`
	// By is the field manager, other than otomi, that wrote to the live object last, and At is when, as RFC 3339; empty where none did.
	By string `json:"-"`
	At string `json:"-"`
}

// Hook is a hook that runs when the release is applied.
type Hook struct {
	manifest.ID
	Events []manifest.Event `json:"events"`
	Weight int              `json:"weight"`
	Source string           `json:"source,omitempty"`
}

// Counts says how many releases and objects each action touches.
type Counts struct {
	Install   int `json:"install"`
	Upgrade   int `json:"upgrade"`
	Uninstall int `json:"uninstall"`
	Unchanged int `json:"unchanged"`
	// Objects counts the changes by their action, without the unchanged.
	Objects map[Action]int `json:"objects"`
	// Hooks counts the hooks that would run.
	Hooks int `json:"hooks"`
	// Unknown counts the objects of which nobody could tell what the cluster makes of them.
	Unknown int `json:"unknown"`
	// Invalid counts the releases that can't be applied.
	Invalid int `json:"invalid"`
}

// Counts counts the releases and objects of the plan.
func (p Plan) Counts() Counts {
	c := Counts{Objects: map[Action]int{}}
	for _, level := range p.Levels {
		for _, r := range level.Releases {
			switch r.Action {
			case Install:
				c.Install++
			case Upgrade:
				c.Upgrade++
			case Uninstall:
				c.Uninstall++
			default:
				c.Unchanged++
			}
			if len(r.Problems()) > 0 {
				c.Invalid++
			}
			c.Hooks += len(r.Hooks)
			for _, o := range r.Objects {
				if o.Unknown != "" {
					c.Unknown++
				}
				if o.Action != Unchanged {
					c.Objects[o.Action]++
				}
			}
		}
	}
	return c
}

// Empty reports whether applying the plan would write nothing.
func (p Plan) Empty() bool {
	for _, level := range p.Levels {
		for _, r := range level.Releases {
			if r.Action != Same || r.Invalid != "" {
				return false
			}
		}
	}
	return true
}

// Stale reports whether records are to be written anew of releases that are as they are wanted.
func (p Plan) Stale() bool {
	return slices.ContainsFunc(p.Levels, func(l Level) bool {
		return slices.ContainsFunc(l.Releases, func(r Release) bool { return r.Stale })
	})
}

// Problems lists why the release can't be applied: a sentence each, naming the object and its template.
func (r Release) Problems() []string {
	var problems []string
	if r.Invalid != "" {
		problems = append(problems, r.Invalid)
	}
	for _, o := range r.Objects {
		if o.Invalid != "" {
			problems = append(problems, o.Problem())
		}
	}
	return problems
}

// Problem is Invalid with the object and its template before it.
func (c Change) Problem() string {
	if c.Source == "" {
		return c.ID.String() + ": " + c.Invalid
	}
	return c.ID.String() + " (" + c.Source + "): " + c.Invalid
}
