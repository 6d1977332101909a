package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// apply installs or upgrades a release. Whatever happens after its record was made, the record ends deployed or failed.
func (r *run) apply(ctx context.Context, s *step) error {
	if s.release.CreateNamespace {
		if err := r.createNamespace(ctx, s); err != nil {
			return err
		}
	}
	former, err := r.cluster.Revisions(ctx, s.release.Namespace, s.release.Name)
	if err != nil {
		return err
	}
	s.result.Former = lastGood(former)
	record, err := r.begin(ctx, s, former)
	if err != nil {
		return err
	}
	if err := r.trim(ctx, s, former); err != nil {
		return r.fail(ctx, record, err)
	}
	applied, err := r.carryOut(ctx, s, &record)
	if err != nil {
		return r.undo(ctx, s, r.fail(ctx, record, err))
	}
	s.result.Objects, s.result.Prints = applied.objects, applied.all
	return r.finish(ctx, s, record, applied.all)
}

// createNamespace makes the release's namespace. A former one that is still being deleted is awaited.
func (r *run) createNamespace(ctx context.Context, s *step) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return r.cluster.CreateNamespace(ctx, s.release.Namespace)
}

// carryOut makes the objects what is wanted, and returns them with their prints. The order is the design's: what the release no longer
// has goes only when what replaces it is ready; and hooks run before the wait, as Helm's do where nobody asked it to wait,
// since that is how charts are tried out. A release that goes as with Helm is awaited before its last hooks.
func (r *run) carryOut(ctx context.Context, s *step, record *manifest.Stored) (*printed, error) {
	prints := newPrints()
	release := s.release.Wanted
	if err := r.applyCRDs(ctx, s, release.CRDs, prints); err != nil {
		return nil, err
	}
	before, after := manifest.PreInstall, manifest.PostInstall
	if s.release.Action == diff.Upgrade {
		before, after = manifest.PreUpgrade, manifest.PostUpgrade
	}
	if s.back > 0 {
		before, after = manifest.PreRollback, manifest.PostRollback
	}
	if err := r.hooks(ctx, s, before, record); err != nil {
		return nil, err
	}
	// Hooks and waits may take long. A run that lost its record meanwhile must not write or delete what the other one wants.
	if len(s.release.Hooks) > 0 {
		if _, err := r.own(ctx, *record); err != nil {
			return nil, err
		}
	}
	objects, err := r.applyObjects(ctx, s, release.Objects, prints)
	if err != nil {
		return nil, err
	}
	await := func() error {
		if !s.release.Wait {
			return nil
		}
		return r.wait(ctx, s, s.awaited(objects))
	}
	finally := []func() error{func() error { return r.hooks(ctx, s, after, record) }, await}
	if s.release.AsHelm {
		slices.Reverse(finally)
	}
	for _, last := range finally {
		if err := last(); err != nil {
			return nil, err
		}
	}
	if len(s.leaving()) > 0 {
		if _, err := r.own(ctx, *record); err != nil {
			return nil, err
		}
		if err := r.prune(ctx, s); err != nil {
			return nil, err
		}
	}
	return prints, nil
}

// awaited are the objects that a release waits for: with Helm, Jobs only where the release says so.
func (s *step) awaited(objects []manifest.Object) []manifest.Object {
	if !s.release.AsHelm || s.release.WaitForJobs {
		return objects
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o manifest.Object) bool { return o.Kind == "Job" && o.Group == "batch" })
}

// printed collects applied objects and their prints.
type printed struct {
	mu      sync.Mutex
	all     map[manifest.ID]string
	objects []manifest.Object
}

func newPrints() *printed { return &printed{all: map[manifest.ID]string{}} }

func (p *printed) add(o manifest.Object, print string, change diff.Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[o.ID] = print
	if slices.ContainsFunc(change.Conflicts, func(c diff.Conflict) bool { return c.Policy == diff.Keep }) {
		p.all[o.ID] = string(diff.Keep) // it is not as it is wanted: the next run looks at it again
	}
	if len(change.Ignored) > 0 {
		return // others write to it, and may have done so meanwhile
	}
	p.objects = append(p.objects, manifest.Object{ID: o.ID, Version: o.Version, Source: o.Source, Shared: o.Shared})
}

// applyCRDs applies the objects of crds/ and waits until the cluster serves their kinds.
func (r *run) applyCRDs(ctx context.Context, s *step, crds []manifest.Object, prints *printed) error {
	if len(crds) == 0 {
		return nil
	}
	placed, _, err := r.cluster.Place(ctx, s.release.Namespace, manifest.Shared(crds))
	if err != nil {
		return err
	}
	// Charts share CRDs, so those of crds/ belong to no release.
	if err := r.applyAll(ctx, s, placed, manifest.Owner{}, prints); err != nil {
		return err
	}
	return r.established(ctx, s, placed)
}

// established waits until CRDs are there and the cluster serves their kinds, which it may say a moment later.
func (r *run) established(ctx context.Context, s *step, crds []manifest.Object) error {
	if err := r.wait(ctx, s, crds); err != nil {
		return err
	}
	var kinds []manifest.Object
	for _, crd := range crds {
		kinds = append(kinds, served(crd)...)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	for {
		r.cluster.Refresh()
		_, known, err := r.cluster.Place(ctx, s.release.Namespace, kinds)
		if err != nil {
			return err
		}
		i := slices.Index(known, false)
		if i < 0 {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("waiting until the cluster serves %s %s: %w", kinds[i].APIVersion(), kinds[i].Kind, err)
		}
	}
}

// served are stand-ins for the kinds that a CustomResourceDefinition defines, one for each version that is served.
func served(crd manifest.Object) []manifest.Object {
	spec, _ := crd.Data["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	group, _ := spec["group"].(string)
	kind, _ := names["kind"].(string)
	versions, _ := spec["versions"].([]any)
	var kinds []manifest.Object
	for _, v := range versions {
		version, _ := v.(map[string]any)
		name, _ := version["name"].(string)
		if version["served"] == true && name != "" && kind != "" {
			kinds = append(kinds, manifest.Object{ID: manifest.ID{Group: group, Kind: kind}, Version: name})
		}
	}
	return kinds
}

// applyObjects applies the objects of the manifest rank by rank, in Helm's order of kinds. Objects of kinds that the release
// itself brings are placed once these are there.
func (r *run) applyObjects(
	ctx context.Context, s *step, objects []manifest.Object, prints *printed,
) ([]manifest.Object, error) {
	placed, known, err := r.cluster.Place(ctx, s.release.Namespace, objects)
	if err != nil {
		return nil, err
	}
	if slices.Contains(known, false) {
		// An earlier release of this run may have brought the kind since the kinds were last asked for.
		r.cluster.Refresh()
		if placed, _, err = r.cluster.Place(ctx, s.release.Namespace, objects); err != nil {
			return nil, err
		}
	}
	done := make([]manifest.Object, 0, len(placed))
	for rest := placed; len(rest) > 0; {
		n := 1
		for n < len(rest) && manifest.Rank(rest[n].Kind) == manifest.Rank(rest[0].Kind) {
			n++
		}
		rank := rest[:n]
		if err := r.applyAll(ctx, s, rank, s.release.Owner(), prints); err != nil {
			return nil, err
		}
		done = append(done, rank...)
		rest = rest[n:]
		crds := slices.DeleteFunc(slices.Clone(rank), func(o manifest.Object) bool { return o.Kind != "CustomResourceDefinition" })
		if len(crds) == 0 || len(rest) == 0 {
			continue
		}
		if err := r.established(ctx, s, crds); err != nil {
			return nil, err
		}
		if rest, _, err = r.cluster.Place(ctx, s.release.Namespace, rest); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// applyAll applies objects side by side, and returns the errors of all in their order. Once ctx ended no other one is begun.
func (r *run) applyAll(
	ctx context.Context, s *step, objects []manifest.Object, owner manifest.Owner, prints *printed,
) error {
	var group parallel.Group
	group.SetLimit(r.o.Parallel)
	errs := make([]error, len(objects))
	for i, o := range objects {
		group.Go(func() error {
			if ctx.Err() == nil {
				errs[i] = r.applyOne(ctx, s, o, owner, prints)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// applyOne applies an object, deleting it first where the plan says so. What was begun is finished also after ctx ended.
func (r *run) applyOne(ctx context.Context, s *step, o manifest.Object, owner manifest.Owner, prints *printed) error {
	ctx, done := finishing(ctx)
	defer done()
	change, planned := s.change(o.ID)
	o.Seen, o.UID = change.Seen, change.UID
	if change.Action == diff.Replace {
		if err := r.deleteAndWait(ctx, s, []manifest.Object{o}, manifest.Owner{}); err != nil {
			return from(o, err)
		}
		o.Seen, o.UID = manifest.Absent, ""
	}
	for try := 1; ; try++ {
		print, err := r.write(ctx, o, owner, change)
		if err == nil {
			prints.add(o, print, change)
			r.tell(s, Event{Kind: ObjectApplied, Object: o.ID})
			return nil
		}
		if !planned || o.Seen == "" || !conflict(err) || try == tries {
			return from(o, err)
		}
		if o.Seen, o.UID, err = r.again(ctx, s, o, owner, change, err); err != nil {
			return from(o, err)
		}
	}
}

// write takes the fields of an object that is there, and applies it.
func (r *run) write(ctx context.Context, o manifest.Object, owner manifest.Owner, change diff.Change) (print string, err error) {
	switch change.Action {
	case diff.Create, diff.Replace:
		// Nobody can own fields of what is not there.
	default:
		if len(change.Ignored) > 0 {
			live, found, err := r.cluster.Get(ctx, o)
			if err != nil {
				return "", err
			}
			if found {
				o.Data = diff.Unforced(o.Data, live, change.Ignored)
			}
		}
		if o.Seen, err = r.cluster.TakeFields(ctx, o); err != nil {
			return "", err
		}
	}
	return r.cluster.Apply(ctx, o, owner)
}

// from adds the template to an error about an object, which names the object itself.
func from(o manifest.Object, err error) error {
	if o.Source == "" {
		return err
	}
	return fmt.Errorf("%s: %w", o.Source, err)
}

// change is what the plan does to an object; false where it says nothing of it.
func (s *step) change(id manifest.ID) (diff.Change, bool) {
	for _, change := range s.release.Objects {
		if change.ID == id {
			return change, true
		}
	}
	return diff.Change{}, false
}

// leaving are the objects that the plan deletes, in its order.
func (s *step) leaving() []manifest.Object {
	var objects []manifest.Object
	for _, change := range s.release.Objects {
		if change.Action == diff.Delete {
			o := manifest.Object{ID: change.ID, Version: change.Version, Source: change.Source, UID: change.UID}
			if s.release.Action == diff.Uninstall {
				o.Cascade = s.release.Cascade
			}
			objects = append(objects, o)
		}
	}
	return objects
}

// prune deletes what the release no longer has. Where the release waits, it is over when all of it is gone, in which it differs
// from Helm: an object that a finalizer holds would be there still, and nobody would have said so.
func (r *run) prune(ctx context.Context, s *step) error {
	var going []manifest.Object
	for _, o := range s.leaving() {
		begun, err := r.remove(ctx, o, s.release.Owner())
		if err != nil {
			return from(o, err)
		}
		if begun {
			going = append(going, o)
			r.tell(s, Event{Kind: ObjectDeleted, Object: o.ID})
		}
	}
	if !s.release.Wait {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return r.cluster.WaitGone(ctx, going)
}

// wait waits until objects are ready, no longer than the release's timeout.
func (r *run) wait(ctx context.Context, s *step, objects []manifest.Object) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return r.cluster.WaitReady(ctx, objects, func(message string) {
		r.tell(s, Event{Kind: Waiting, Message: message})
	})
}

// remove begins to delete an object, unless ctx has ended. What was begun is finished also after that.
func (r *run) remove(ctx context.Context, o manifest.Object, owner manifest.Owner) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	ctx, done := finishing(ctx)
	defer done()
	return r.cluster.Delete(ctx, o, owner)
}

// deleteAndWait deletes objects and waits until they are gone.
func (r *run) deleteAndWait(ctx context.Context, s *step, objects []manifest.Object, owner manifest.Owner) error {
	var going []manifest.Object
	for _, o := range objects {
		begun, err := r.remove(ctx, o, owner)
		if err != nil {
			return from(o, err)
		}
		if begun {
			going = append(going, o)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return r.cluster.WaitGone(ctx, going)
}

// uninstall removes a release: its hooks, its objects in the reverse of Helm's order of kinds, its records.
func (r *run) uninstall(ctx context.Context, s *step) error {
	records, err := r.cluster.Revisions(ctx, s.release.Namespace, s.release.Name)
	if err != nil || len(records) == 0 {
		return err
	}
	last := records[len(records)-1]
	record, err := r.cluster.Stored(ctx, last.Namespace, last.Name, last.Revision)
	if err != nil {
		return err
	}
	record.Status, record.Description = manifest.Uninstalling, "Deletion in progress (or silently failed)"
	// A run that still works on the release finds that its record is not its own any more.
	record.Labels = with(record.Labels, diff.RunLabel, r.o.Run)
	if interrupted(last) {
		s.done = last.Labels[diff.HooksLabel]
	}
	if err := r.put(ctx, record); err != nil {
		if r.arrived(ctx, record) {
			return r.failUninstall(ctx, record, err)
		}
		return err
	}
	if err := r.takeDown(ctx, s, &record); err != nil {
		return r.failUninstall(ctx, record, err)
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	// The oldest go first, so that what is left after a crash is still the release's newest state.
	for _, old := range records {
		if err := r.cluster.DeleteRecord(late, old.Namespace, old.Name, old.Revision); err != nil {
			return r.failUninstall(ctx, record, err)
		}
	}
	return nil
}

// takeDown runs the delete hooks and deletes the objects between them.
func (r *run) takeDown(ctx context.Context, s *step, record *manifest.Stored) error {
	if err := r.hooks(ctx, s, manifest.PreDelete, record); err != nil {
		return err
	}
	for rest := s.leaving(); len(rest) > 0; {
		n := 1
		for n < len(rest) && manifest.Rank(rest[n].Kind) == manifest.Rank(rest[0].Kind) {
			n++
		}
		if err := r.deleteAndWait(ctx, s, rest[:n], s.release.Owner()); err != nil {
			return err
		}
		for _, o := range rest[:n] {
			r.tell(s, Event{Kind: ObjectDeleted, Object: o.ID})
		}
		rest = rest[n:]
	}
	return r.hooks(ctx, s, manifest.PostDelete, record)
}

// policy reports whether a hook is deleted once it succeeded or failed.
func policy(h manifest.Hook, p manifest.DeletePolicy) bool {
	// Deleting a CustomResourceDefinition takes every object of its kind along (helm.sh/helm/v3/pkg/action/hooks.go).
	return h.Kind != "CustomResourceDefinition" && slices.Contains(h.DeletePolicies, p)
}

// hooks runs the hooks of an event one after the other, by weight and then by name, as Helm does.
func (r *run) hooks(ctx context.Context, s *step, event manifest.Event, record *manifest.Stored) error {
	type numbered struct {
		manifest.Hook
		place int
	}
	var due []numbered
	for i, h := range record.Hooks {
		if h.Runs(event) {
			due = append(due, numbered{Hook: h, place: i})
		}
	}
	slices.SortStableFunc(due, func(a, b numbered) int {
		if a.Weight != b.Weight {
			return a.Weight - b.Weight
		}
		return strings.Compare(a.Name, b.Name)
	})
	ran := s.ran(event)
	for i := range due {
		if err := r.placeHook(ctx, s, &due[i].Object); err != nil {
			return err
		}
		h := due[i]
		if i < ran {
			continue // an interrupted run ran it for the same content
		}
		s.hooked = true
		run := manifest.HookRun{Started: r.o.Now(), Phase: "Unknown"}
		r.tell(s, Event{Kind: HookStarted, Object: h.ID, Message: string(event)})
		err := r.hook(ctx, s, h.Hook)
		said := r.hookLogs(ctx, s, h.Hook, err != nil)
		run.Completed, run.Phase = r.o.Now(), "Succeeded"
		if err != nil {
			run.Phase = "Failed"
		}
		record.Runs[h.place] = run
		if err == nil {
			if event == manifest.Test {
				r.tell(s, Event{Kind: HookDone, Object: h.ID, Message: string(event)})
				continue // what tests did is told by their caller
			}
			if err := r.progressed(ctx, event, i+1, record); err != nil {
				return fmt.Errorf("recording that the %s hook is done: %w", event, err)
			}
			r.tell(s, Event{Kind: HookDone, Object: h.ID, Message: string(event)})
			continue
		}
		err = fmt.Errorf("%s hook: %w", event, from(h.Object, err))
		if said != "" {
			err = &logged{err, said}
		}
		// What the policies ask for after a failure is done also after ctx was cancelled, and its own errors come second.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if policy(h.Hook, manifest.HookFailed) {
			err = errors.Join(err, r.deleteHook(late, s, h.Hook))
		}
		for _, done := range due[:i] {
			if policy(done.Hook, manifest.HookSucceeded) {
				err = errors.Join(err, r.deleteHook(late, s, done.Hook))
			}
		}
		return err
	}
	for _, h := range slices.Backward(due) {
		if policy(h.Hook, manifest.HookSucceeded) {
			if err := r.deleteAndWait(ctx, s, r.parts(ctx, s, h.Hook), manifest.Owner{}); err != nil {
				return fmt.Errorf("%s hook: %w", event, err)
			}
		}
	}
	return nil
}

// placeHook finds the place of a hook, whose kind an earlier one may have brought.
func (r *run) placeHook(ctx context.Context, s *step, o *manifest.Object) error {
	placed, known, err := r.cluster.Place(ctx, s.release.Namespace, []manifest.Object{*o})
	if err == nil && !known[0] {
		r.cluster.Refresh()
		placed, _, err = r.cluster.Place(ctx, s.release.Namespace, []manifest.Object{*o})
	}
	if err != nil {
		return err
	}
	*o = placed[0]
	return nil
}

// create makes an object, unless ctx has ended. What was begun is finished also after that.
func (r *run) create(ctx context.Context, o manifest.Object) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, done := finishing(ctx)
	defer done()
	return r.cluster.Create(ctx, o)
}

// hook runs one hook to its end.
func (r *run) hook(ctx context.Context, s *step, h manifest.Hook) error {
	if h.Kind == "CustomResourceDefinition" {
		// One that is never deleted can't be created at every run.
		if _, err := r.cluster.Apply(ctx, h.Object, manifest.Owner{}); err != nil {
			return err
		}
		return r.established(ctx, s, []manifest.Object{h.Object})
	}
	// What a run before left behind goes, whatever the policies: where they don't ask for it, Helm fails here until someone
	// deletes it by hand.
	parts := r.parts(ctx, s, h)
	if err := r.deleteAndWait(ctx, s, parts, manifest.Owner{}); err != nil {
		return err
	}
	for _, o := range parts {
		if err := r.create(ctx, o); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	return r.cluster.WaitDone(ctx, parts, func(message string) {
		r.tell(s, Event{Kind: Waiting, Object: h.ID, Message: message})
	})
}
