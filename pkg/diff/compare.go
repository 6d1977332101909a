package diff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// defaultParallel is how much runs side by side where the options don't say.
const defaultParallel = 8

// candidate is a release on its way into the plan.
type candidate struct {
	release runlevel.Release
	history history
	// rendered is what is wanted: as the recorded revision at first, as the next one where it differs.
	rendered Rendered
	revision int
	// objects and crds are the rendered ones at their places, and whether the cluster knows their kinds.
	objects, crds           []manifest.Object
	objectsKnown, crdsKnown []bool
	// hooks are the identities of the hooks at their places.
	hooks []manifest.ID
	// level and group are the release's place in the order of the run.
	level, group int
	// asRecorded says that the wanted digest equals the recorded one; the live objects may still differ.
	asRecorded bool
	// alike says so too, of a record that helm made, or a rollback: its content is what is wanted, and its labels are not.
	alike bool
	// same says that the live objects are as recorded, too.
	same bool
	// owned is what the labels of the record should say of the objects now; empty where that is not known.
	owned string
	// digest is that of the rendering which is as recorded.
	digest string
	// leaver says that the release left the runlevels.
	leaver bool
	diags  diag.Diagnostics
	// inventory are the objects that former revisions left in the cluster.
	inventory []manifest.Object
	// lived are those of them that are of a revision which became live.
	lived map[manifest.ID]bool
	// former are the values of those revisions, and held what their Secrets hold.
	former  []map[string]any
	held    []string
	changes []Change
	prune   []Change
}

// comparison is one run of Compare or Teardown.
type comparison struct {
	in    Input
	live  Live
	o     Options
	cands []*candidate
	// histories are those of all releases of the cluster.
	histories map[string]history
	// wantedBy says which releases of the run want an object.
	wantedBy map[manifest.ID][]string
	// definitions are the CRDs of the run, by the kind that they define.
	definitions map[groupKind][]definition
	// namespaces are those that the run makes, and absent those of them that are not there: what is in them isn't either.
	namespaces map[string]bool
	absent     map[string]bool
	notes      []string
}

type groupKind struct{ group, kind string }

// definition is a CustomResourceDefinition of the run: what it defines, and the release that brings it.
type definition struct {
	groupKind
	id manifest.ID
	// scope is Namespaced or Cluster.
	scope string
	// versions are those that are served.
	versions []string
	by       *candidate
}

// Compare makes the plan that brings the cluster to what is wanted. Releases whose record and objects are as wanted cost no
// request of their own; the objects of the others are read and dry-run. The diagnostics are those of rendering; with errors
// among them the plan is empty. What the cluster would refuse is no error but stands in the plan.
func Compare(ctx context.Context, in Input, live Live, o Options) (Plan, diag.Diagnostics, error) {
	c, err := newComparison(ctx, in, live, o)
	if err != nil {
		return Plan{}, nil, err
	}
	if err := c.each(ctx, c.cands, c.renderRecorded); err != nil {
		return Plan{}, nil, err
	}
	if diags := c.diagnostics(); diags.HasErrors() {
		return Plan{}, diags, nil
	}
	if err := c.findSame(ctx); err != nil {
		return Plan{}, nil, err
	}
	differing := slices.DeleteFunc(slices.Clone(c.cands), func(x *candidate) bool { return x.same })
	if err := c.each(ctx, differing, c.renderNext); err != nil {
		return Plan{}, nil, err
	}
	diags := c.diagnostics()
	if diags.HasErrors() {
		return Plan{}, diags, nil
	}
	c.survey()
	if err := c.each(ctx, differing, c.readInventory); err != nil {
		return Plan{}, diags, err
	}
	if err := c.findAbsent(ctx, differing); err != nil {
		return Plan{}, diags, err
	}
	if err := c.compareObjects(ctx, differing); err != nil {
		return Plan{}, diags, err
	}
	return c.plan(), diags, nil
}

// findAbsent asks which of the namespaces that the run makes are not there. It saves two requests for each object in them.
func (c *comparison) findAbsent(ctx context.Context, cands []*candidate) error {
	var names []string
	for _, x := range cands {
		if len(x.history.current()) > 0 {
			continue // it was there, and most likely still is
		}
		for _, o := range x.objects {
			if c.namespaces[o.Namespace] {
				names = append(names, o.Namespace)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	found := make([]bool, len(names))
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(c.o.Parallel)
	for i, name := range names {
		group.Go(func() (err error) {
			_, found[i], err = c.live.Get(ctx, manifest.Object{ID: manifest.ID{Kind: "Namespace", Name: name}, Version: "v1"})
			var refusal *manifest.Refusal
			if errors.As(err, &refusal) {
				// Who may not read it asks for each object.
				found[i], err = true, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.absent = map[string]bool{}
	for i, name := range names {
		c.absent[name] = !found[i]
	}
	return nil
}

// newComparison reads the records and sorts them to the releases.
func newComparison(ctx context.Context, in Input, live Live, o Options) (*comparison, error) {
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	records, err := live.Records(ctx)
	if err != nil {
		return nil, err
	}
	all := histories(records)
	c := &comparison{in: in, live: live, o: o, histories: all}
	runlevels := len(in.Levels)
	c.findLeavers()
	for i, level := range c.in.Levels {
		for _, r := range level.Releases {
			c.cands = append(c.cands, &candidate{release: r, history: all[r.Key()], level: i, group: r.Group, leaver: i >= runlevels})
		}
	}
	return c, nil
}

// each calls work for the candidates, some side by side.
func (c *comparison) each(ctx context.Context, cands []*candidate, work func(context.Context, *candidate) error) error {
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(c.o.Parallel)
	for _, x := range cands {
		group.Go(func() error { return work(ctx, x) })
	}
	return group.Wait()
}

// diagnostics are those of all renderings, in order.
func (c *comparison) diagnostics() diag.Diagnostics {
	var all diag.Diagnostics
	for _, x := range c.cands {
		all = append(all, x.diags...)
	}
	return all
}

// renderRecorded renders a release as the revision that is live, if otomi made it, so that the digests can be compared; and
// else as the next one.
func (c *comparison) renderRecorded(ctx context.Context, x *candidate) error {
	if !x.release.Installed {
		return nil
	}
	current := x.history.current()
	last, found := current.last()
	if !found || last.Status != manifest.Deployed {
		return c.render(ctx, x, x.history.next(), current.everDeployed())
	}
	if !Ours(last) || last.Labels[WantedLabel] == "" {
		return c.renderAlike(ctx, x, last)
	}
	if err := c.render(ctx, x, last.Revision, last.Labels[ModeLabel] == ModeUpgrade); err != nil {
		return err
	}
	x.asRecorded, x.digest = last.Labels[WantedLabel] == Wanted(x.rendered.Digest, last.Revision), x.rendered.Digest
	return nil
}

// renderAlike renders a release whose live revision is helm's, or a rollback, and compares it with what is recorded. Where
// otomi never applied its objects, fields of them are not ours yet, and it gets a revision in any case.
func (c *comparison) renderAlike(ctx context.Context, x *candidate, last manifest.Record) error {
	if last.Labels[OwnedLabel] == "" {
		return c.render(ctx, x, x.history.next(), true)
	}
	if err := c.render(ctx, x, last.Revision, true); err != nil || x.diags.HasErrors() {
		return err
	}
	stored, err := c.live.Stored(ctx, last.Namespace, last.Name, last.Revision)
	if err != nil {
		return err
	}
	x.alike = recorded(stored.Release) == recorded(x.rendered.Release)
	x.asRecorded, x.digest = x.alike, x.rendered.Digest
	return nil
}

// recorded is a digest of that part of a release that a record holds.
func recorded(r manifest.Release) string {
	r.CRDs = nil
	if len(r.Values) == 0 {
		r.Values = nil
	}
	r.Hooks = slices.Clone(r.Hooks)
	for i, h := range r.Hooks {
		if len(h.DeletePolicies) == 0 {
			// Helm writes its default into the record of a hook that it ran (helm.sh/helm/v3/pkg/action/hooks.go).
			r.Hooks[i].DeletePolicies = []manifest.DeletePolicy{manifest.BeforeHookCreation}
		}
	}
	var metadata map[string]any
	if json.Unmarshal(r.Chart.Metadata, &metadata) == nil {
		if text, err := json.Marshal(metadata); err == nil {
			r.Chart.Metadata = text
		}
	}
	return render.Digest(r)
}

// renderNext renders a release as its next revision, unless it was rendered so before.
func (c *comparison) renderNext(ctx context.Context, x *candidate) error {
	next := x.history.next()
	if !x.release.Installed || x.revision == next {
		return nil
	}
	return c.render(ctx, x, next, x.history.current().everDeployed())
}

// render renders a release and finds the places of its objects.
func (c *comparison) render(ctx context.Context, x *candidate, revision int, upgrade bool) error {
	rendered, diags, err := c.in.Render(ctx, x.release, revision, upgrade)
	if err != nil {
		return err
	}
	x.rendered, x.revision, x.diags = rendered, revision, diags
	if diags.HasErrors() {
		return nil
	}
	if x.objects, x.objectsKnown, err = c.live.Place(ctx, x.release.Namespace, rendered.Objects); err != nil {
		return err
	}
	if x.crds, x.crdsKnown, err = c.live.Place(ctx, x.release.Namespace, manifest.Shared(rendered.CRDs)); err != nil {
		return err
	}
	return c.placeHooks(ctx, x)
}

// placeHooks finds the places of the hooks of a rendered or recorded release.
func (c *comparison) placeHooks(ctx context.Context, x *candidate) error {
	hooks := make([]manifest.Object, len(x.rendered.Hooks))
	for i, h := range x.rendered.Hooks {
		hooks[i] = h.Object
	}
	placed, _, err := c.live.Place(ctx, x.release.Namespace, hooks)
	x.hooks = ids(placed)
	return err
}

// findSame finds the releases that need nothing: the wanted digest is the recorded one, and so are the fields that we own.
func (c *comparison) findSame(ctx context.Context) error {
	var objects []manifest.Object
	for _, x := range c.cands {
		if x.asRecorded {
			objects = append(append(objects, x.objects...), x.crds...)
		}
	}
	prints := map[manifest.ID]string{}
	if len(objects) > 0 {
		var err error
		if prints, err = c.live.Prints(ctx, objects); err != nil {
			return err
		}
	}
	for _, x := range c.cands {
		if !x.release.Installed {
			_, found := x.history.current().last()
			x.same = !found
			continue
		}
		if x.asRecorded {
			last, _ := x.history.last()
			x.owned = Owned(append(ids(x.objects), ids(x.crds)...), prints)
			x.same = !c.o.Every && x.owned != "" && x.owned == last.Labels[OwnedLabel] && len(x.history.current().deployed()) == 1
			// No record says what the CRDs of a chart were.
			x.same = x.same && (!x.alike || len(x.crds) == 0)
		}
	}
	return nil
}

// ids are the identities of objects.
func ids(objects []manifest.Object) []manifest.ID {
	out := make([]manifest.ID, len(objects))
	for i, o := range objects {
		out[i] = o.ID
	}
	return out
}

// survey learns what the run as a whole brings: namespaces, kinds, and which release wants which object. Objects of kinds
// that the cluster will know only then get their places here.
func (c *comparison) survey() {
	c.wantedBy = map[manifest.ID][]string{}
	c.definitions = map[groupKind][]definition{}
	c.namespaces = map[string]bool{}
	for _, x := range c.cands {
		if !x.release.Installed {
			continue
		}
		if x.release.CreateNamespace {
			c.namespaces[x.release.Namespace] = true
		}
		for _, o := range slices.Concat(x.crds, x.objects) {
			switch o.Kind {
			case "CustomResourceDefinition":
				if d, ok := defines(o); ok {
					d.by = x
					c.definitions[d.groupKind] = append(c.definitions[d.groupKind], d)
				}
			case "Namespace":
				c.namespaces[o.Name] = true
			}
		}
	}
	for _, x := range c.cands {
		for i, o := range x.objects {
			if !x.objectsKnown[i] {
				x.objects[i].ID = c.placed(o.ID, x.release.Namespace)
			}
			id := x.objects[i].ID
			c.wantedBy[id] = append(c.wantedBy[id], x.release.Key())
		}
		for _, o := range x.crds {
			c.wantedBy[o.ID] = append(c.wantedBy[o.ID], x.release.Key())
		}
		for i, id := range x.hooks {
			x.hooks[i] = c.placed(id, x.release.Namespace)
		}
	}
}

// placed is the identity of an object of a kind that a CRD of the run defines, at its place; any other as it is.
func (c *comparison) placed(id manifest.ID, namespace string) manifest.ID {
	for _, d := range c.definitions[groupKind{id.Group, id.Kind}] {
		switch {
		case d.scope == "Cluster":
			id.Namespace = ""
		case id.Namespace == "":
			id.Namespace = namespace
		}
	}
	return id
}

// defines reads what a CustomResourceDefinition defines.
func defines(crd manifest.Object) (definition, bool) {
	d := definition{id: crd.ID}
	spec, _ := crd.Data["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	d.group, _ = spec["group"].(string)
	d.kind, _ = names["kind"].(string)
	versions, _ := spec["versions"].([]any)
	for _, v := range versions {
		version, _ := v.(map[string]any)
		if name, ok := version["name"].(string); ok && version["served"] == true {
			d.versions = append(d.versions, name)
		}
	}
	var ok bool
	d.scope, ok = spec["scope"].(string)
	return d, ok
}

// before reports whether the release is carried out before another, or is the same.
func (x *candidate) before(other *candidate) bool {
	return x == other || x.level < other.level || x.level == other.level && x.group < other.group
}

// readInventory reads which objects the former revisions of a release may have left in the cluster.
func (c *comparison) readInventory(ctx context.Context, x *candidate) error {
	for _, record := range x.history.current().open() {
		stored, err := c.live.Stored(ctx, record.Namespace, record.Name, record.Revision)
		if err != nil {
			return err
		}
		if !x.release.Installed {
			// The newest one, whose hooks run.
			x.rendered.Release = stored.Release
			x.revision = record.Revision
			if err := c.placeHooks(ctx, x); err != nil {
				return err
			}
		}
		x.former, x.held = append(x.former, stored.Values), append(x.held, stored.SecretTexts()...)
		placed, _, err := c.live.Place(ctx, x.release.Namespace, stored.Objects)
		if err != nil {
			return err
		}
		if x.lived == nil {
			x.lived = map[manifest.ID]bool{}
		}
		for _, o := range placed {
			if record.Status == manifest.Deployed || record.Status == manifest.Superseded {
				x.lived[o.ID] = true
			}
			if i := slices.IndexFunc(x.inventory, func(have manifest.Object) bool { return have.ID == o.ID }); i >= 0 {
				x.inventory[i] = o
			} else {
				x.inventory = append(x.inventory, o)
			}
		}
	}
	return nil
}

// compareObjects fills in the changes of the candidates, object by object, some side by side.
func (c *comparison) compareObjects(ctx context.Context, cands []*candidate) error {
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(c.o.Parallel)
	for _, x := range cands {
		if !x.release.Installed {
			x.prune = make([]Change, len(x.inventory))
			for i, o := range x.inventory {
				if len(c.wantedBy[o.ID]) > 0 {
					continue
				}
				group.Go(func() (err error) {
					x.prune[i], err = c.compareGone(ctx, x, o)
					return err
				})
			}
			continue
		}
		x.changes = make([]Change, len(x.crds)+len(x.objects))
		for i, o := range x.crds {
			group.Go(func() (err error) {
				x.changes[i], err = c.compareDetailed(ctx, x, o, x.crdsKnown[i], true)
				return err
			})
		}
		for i, o := range x.objects {
			group.Go(func() (err error) {
				x.changes[len(x.crds)+i], err = c.compareDetailed(ctx, x, o, x.objectsKnown[i], false)
				return err
			})
		}
		x.prune = make([]Change, len(x.inventory))
		for i, o := range x.inventory {
			if c.o.NoPrune || len(c.wantedBy[o.ID]) > 0 || o.Kind == "Namespace" && o.Group == "" || manifest.Kept(o.Data) {
				continue
			}
			group.Go(func() (err error) {
				x.prune[i], err = c.compareGone(ctx, x, o)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, x := range cands {
		for i, o := range x.objects {
			c.deferRefusal(x, o, &x.changes[len(x.crds)+i])
		}
	}
	return nil
}

// deferRefusal lets an object pass that the cluster refused, where the run changes the CustomResourceDefinition of its kind
// before it gets there: only then is the cluster's answer worth something.
func (c *comparison) deferRefusal(x *candidate, o manifest.Object, change *Change) {
	if !change.Refused || change.Invalid == "" {
		return
	}
	for _, d := range c.definitions[groupKind{change.Group, change.Kind}] {
		if !d.by.before(x) || !slices.Contains(d.versions, o.Version) || !slices.ContainsFunc(d.by.changes, func(ch Change) bool {
			return ch.ID == d.id && ch.Action != Unchanged && ch.Invalid == ""
		}) {
			continue
		}
		change.Deferred, change.Invalid = "not yet: "+change.Invalid, ""
		change.Unknown = "the cluster can say what becomes of it only when its definition is changed"
		change.Reason = fmt.Sprintf("%s changes before", d.id)
		// Within a runlevel nothing is asked again: the apply itself is the judge.
		change.Refused = d.by.level < x.level
		change.After = c.sent(o)
		return
	}
}

// compareObject finds out what applying one object would do.
func (c *comparison) compareObject(ctx context.Context, x *candidate, o manifest.Object, known, crd bool) (Change, error) {
	change := Change{ID: o.ID, Version: o.Version, Action: Create, Source: o.Source, CRD: crd}
	guarded := len(c.wantedBy[o.ID]) == 1
	if guarded && !cameByItself(o.ID) {
		change.Seen = manifest.Absent
	}
	if !known {
		change.After = c.sent(o)
		c.judgeUnknown(x, o, &change)
		return change, nil
	}
	if c.absent[o.Namespace] {
		change.After = c.sent(o)
		c.judgeRefusal(x, o, &manifest.Refusal{Reason: manifest.RefusedNoNamespace}, false, &change)
		return change, nil
	}
	owner := x.owner()
	if crd {
		// Charts share CRDs: those of crds/ belong to no release, as with Helm.
		owner = manifest.Owner{}
	}
	before, found, err := c.live.Get(ctx, o)
	if err != nil {
		return Change{}, err
	}
	rendered := o
	if found {
		change.Action, change.live = Update, before
		c.spare(x, rendered, &change)
		o.Data = Without(rendered.Data, change.Ignored)
		if guarded {
			change.Seen, change.UID, change.Live = Seen(before), UID(before), LiveDigest(before, o.Data)
		}
		o.Data = Unforced(rendered.Data, before, change.Ignored)
		change.By, change.At = lastWriter(before)
		if !crd {
			c.judgeOwner(x, o, before, &change)
		}
	}
	after, err := c.live.DryRun(ctx, o, owner)
	var refusal *manifest.Refusal
	if errors.As(err, &refusal) {
		c.judgeRefusal(x, o, refusal, found, &change)
		switch {
		case change.Action == Replace:
			if len(change.Ignored) > 0 {
				// What is made anew has nothing that could be left as it is.
				if anew, _ := c.live.DryRun(ctx, rendered, owner); anew != nil {
					after = anew
				}
				change.Ignored = nil
			}
			change.Before, change.After = c.pair(o.ID, before, after)
			change.Immutable = immutable(refusal, clean(before), clean(after))
		case !found || change.Unknown != "":
			change.After = c.sent(o)
		}
		err = nil
		if found && change.Action != Replace && change.Deferred == "" {
			err = c.judgeDefinition(ctx, before, o.Data, &change)
		}
		return change, err
	}
	if err != nil {
		return Change{}, err
	}
	if found && !deleting(before) {
		if after, err = c.settle(ctx, rendered, owner, before, after, &change); err != nil {
			return Change{}, err
		}
	}
	if deleting(before) {
		change.Action, change.Reason = Replace, "it is being deleted"
	}
	if change.Action == Update {
		switch b, a := clean(before), clean(after); {
		case reflect.DeepEqual(b, a):
			change.Action = Unchanged
			if change.Invalid == "" {
				return change, nil
			}
		case reflect.DeepEqual(shown(b), shown(a)) && change.Reason == "":
			change.Reason = "its ownership metadata differs"
		}
	}
	change.Before, change.After = c.pair(o.ID, before, after)
	err = c.judgeDefinition(ctx, before, after, &change)
	return change, err
}

// sent is a placed object as it is sent to the cluster, in the form in which it is shown.
func (c *comparison) sent(o manifest.Object) map[string]any {
	data := o.Data
	if o.Namespace != "" {
		data = maps.Clone(data)
		old, _ := data["metadata"].(map[string]any)
		metadata := maps.Clone(old)
		metadata["namespace"] = o.Namespace
		data["metadata"] = metadata
	}
	_, after := c.pair(o.ID, nil, data)
	return after
}

// pair is pair, with the values of Secrets where they are to be shown.
func (c *comparison) pair(id manifest.ID, before, after map[string]any) (b, a map[string]any) {
	if c.o.Reveal {
		return shown(clean(before)), shown(clean(after))
	}
	return pair(id, before, after)
}

// judgeUnknown decides what it means that the cluster does not serve the kind of an object.
func (c *comparison) judgeUnknown(x *candidate, o manifest.Object, change *Change) {
	// The kinds of groups without a dot are built in (apiextensions asks for one); any other may be brought by an operator
	// of an earlier runlevel while the run goes on.
	change.Refused = strings.Contains(o.Group, ".")
	remedy := "Correct apiVersion and kind"
	if change.Refused {
		remedy = "Install its CustomResourceDefinition in an earlier runlevel, or correct apiVersion and kind"
	}
	var late *candidate
	var versions []string
	for _, d := range c.definitions[groupKind{o.Group, o.Kind}] {
		switch {
		case !slices.Contains(d.versions, o.Version):
			versions = append(versions, d.versions...)
		case d.by.before(x):
			change.Reason, change.Refused = "its kind is not known to the cluster yet", false
			change.Unknown = "its kind is not served yet, so that neither its schema nor admission could be asked"
			return
		default:
			late = d.by
		}
	}
	what := fmt.Sprintf("the cluster does not know the kind %s of %s", o.Kind, o.APIVersion())
	switch {
	case late != nil:
		change.Invalid = fmt.Sprintf("%s, and its CustomResourceDefinition comes after it, with release %s of runlevel %s. %s",
			what, late.release.Key(), c.in.Levels[late.level].Name, remedy)
	case len(versions) > 0:
		change.Invalid = fmt.Sprintf("%s, and its CustomResourceDefinition serves %s. %s", what, strings.Join(versions, ", "), remedy)
	default:
		change.Invalid = what + ". " + remedy
	}
}

// owner is the release as the owner of its objects.
func (x *candidate) owner() manifest.Owner {
	return manifest.Owner{Namespace: x.release.Namespace, Name: x.release.Name}
}

// deleting reports whether an object is on its way out.
func deleting(data map[string]any) bool {
	metadata, _ := data["metadata"].(map[string]any)
	return metadata["deletionTimestamp"] != nil
}

// judgeOwner decides whether the release may change an object that is there. A server-side apply would take it from
// whomever it belongs to without a word.
func (c *comparison) judgeOwner(x *candidate, o manifest.Object, live map[string]any, change *Change) {
	owner := manifest.OwnerOf(live)
	namespace := o.Kind == "Namespace" && o.Group == ""
	if namespace && len(c.histories[owner.String()].current()) == 0 {
		// Its release was uninstalled, which leaves namespaces behind.
		owner = manifest.Owner{}
	}
	switch {
	case owner == x.owner():
		return
	case owner.IsZero():
		// A revision that failed may have been refused the very object.
		if x.lived[o.ID] || slices.ContainsFunc(x.inventory, func(have manifest.Object) bool { return have.ID == o.ID }) && writtenByUs(live) {
			return
		}
		change.Action, change.Reason = Adopt, "it is there and belongs to no release"
		if tool := anotherTool(live); tool != "" && !namespace {
			change.Action, change.Reason = TakeOver, "it belongs to "+tool
			if c.o.TakeOwnership || x.release.TakeOwnership {
				return
			}
			change.Invalid = fmt.Sprintf("it belongs to %s, which would go on writing it. Take it out of the chart, or end that and let the release have it: --take-ownership", tool)
			return
		}
		if c.o.TakeOwnership || x.release.TakeOwnership || namespace {
			return
		}
		change.Invalid = "it is there already and belongs to no release. Delete it, take it out of the chart, or let the release have it: --take-ownership"
	case c.inRun(owner) && !slices.Contains(c.wantedBy[o.ID], owner.String()):
		change.Reason, change.From = "it moves from release "+owner.String(), owner.String()
	default:
		change.Action = TakeOver
		change.Reason = "it belongs to release " + owner.String()
		if c.o.TakeOwnership || x.release.TakeOwnership {
			return
		}
		change.Invalid = fmt.Sprintf("it belongs to release %s. Take it out of one of the two charts, or let this release have it: --take-ownership", owner)
	}
}

// inRun reports whether a release is one of the run's, installed or to be uninstalled.
func (c *comparison) inRun(owner manifest.Owner) bool {
	return slices.ContainsFunc(c.cands, func(x *candidate) bool { return x.release.Key() == owner.String() })
}

// judgeRefusal decides what the cluster's refusal of a dry run means.
func (c *comparison) judgeRefusal(x *candidate, o manifest.Object, r *manifest.Refusal, found bool, change *Change) {
	switch {
	case r.Reason == manifest.RefusedNoNamespace && !found && c.namespaces[o.Namespace]:
		// The run makes the namespace before it needs it.
		change.Unknown = fmt.Sprintf("the namespace %s is not there yet, so that defaults and admission could not be asked", o.Namespace)
		return
	case r.Reason == manifest.RefusedRehearsal:
		change.Unknown = r.Message
		if change.Reason == "" {
			change.Reason = "what becomes of it is not known: " + r.Message
		}
		return
	case r.Reason == manifest.RefusedTerminating && c.namespaces[o.Namespace]:
		change.Reason = fmt.Sprintf("the namespace %s is being deleted and will be made anew", o.Namespace)
		change.Unknown = "its namespace is being deleted, so that admission could not be asked"
		return
	case r.Reason == manifest.RefusedNoNamespace && !found:
		change.Invalid = fmt.Sprintf("the namespace %s is not there. Set createNamespace on the release, or make it in an earlier runlevel", o.Namespace)
	case r.Reason == manifest.RefusedImmutable && found:
		change.Action = Replace
		change.Reason = "it can't be changed in place: " + r.Message
		if o.Kind != "Job" && !c.o.Force && !x.release.Force {
			change.Invalid = change.Reason + ". Let it be deleted and made anew: --force"
		}
		return
	default:
		change.Invalid = r.Message
	}
	change.Refused = true
}

// compareGone finds out whether an object of a former revision is to be deleted. The zero Change means that it is not there,
// or not the release's any more.
func (c *comparison) compareGone(ctx context.Context, x *candidate, o manifest.Object) (Change, error) {
	live, found, err := c.live.Get(ctx, o)
	if err != nil || !found {
		return Change{}, err
	}
	if manifest.OwnerOf(live) != x.owner() {
		return Change{}, nil
	}
	change := Change{
		ID: o.ID, Version: o.Version, Source: o.Source, Action: Delete,
		Seen: Seen(live), UID: UID(live),
	}
	change.By, change.At = lastWriter(live)
	switch {
	case manifest.Kept(live) || manifest.Kept(o.Data):
		change.Action, change.Reason = Unchanged, "it is kept: "+manifest.ResourcePolicyAnnotation
	case !x.release.Installed && o.Kind == "Namespace" && o.Group == "" && !c.o.DeleteNamespaces:
		change.Action, change.Reason = Unchanged, "namespaces are kept"
	case !x.release.Installed && o.Kind == "CustomResourceDefinition":
		change.Action, change.Reason = Unchanged, "custom resource definitions are kept"
	default:
		change.Before, _ = c.pair(o.ID, live, nil)
	}
	return change, nil
}

// plan puts the candidates together.
func (c *comparison) plan() Plan {
	p := Plan{
		Cluster: c.in.Cluster, Context: c.in.Context, Levels: make([]Level, 0, len(c.in.Levels)), Warnings: c.live.Warnings(),
		Notes: c.notes, Inventory: c.in.Inventory, Commit: c.in.Commit,
	}
	i := 0
	for _, level := range c.in.Levels {
		l := Level{Name: level.Name, Releases: make([]Release, 0, len(level.Releases))}
		for range level.Releases {
			l.Releases = append(l.Releases, c.cands[i].planned(level.Name, c.in.Inventory, c.o))
			i++
		}
		p.Levels = append(p.Levels, l)
	}
	return p
}

// planned is the release as it stands in the plan.
func (x *candidate) planned(level, inventory string, o Options) Release {
	r := Release{
		Name:            x.release.Name,
		Namespace:       x.release.Namespace,
		Level:           level,
		Chart:           chartName(x.rendered.Chart),
		Revision:        x.revision,
		Group:           x.release.Group,
		Wait:            x.release.Wait,
		Timeout:         x.release.Timeout,
		CreateNamespace: x.release.CreateNamespace,
		AsHelm:          o.AsHelm,
		WaitForJobs:     x.release.WaitForJobs,
		Atomic:          x.release.Atomic,
		CleanupOnFail:   x.release.CleanupOnFail,
		History:         x.release.HistoryMax,
		Labels:          x.release.RecordLabels(),
		Cascade:         x.release.Cascade,
		Context:         x.release.KubeContext,
		Hidden:          x.release.SuppressOutputLineRegex,
		Silent:          x.release.SuppressDiff,
		Wanted:          x.rendered.Release,
		Former:          x.former,
		Held:            x.held,
		Digest:          x.rendered.Digest,
		Seen:            x.history.seen(),
	}
	if r.History == 0 {
		r.History = -1 // Helm's word for all
	}
	if r.Atomic {
		r.Wait = true // as with Helm
	}
	if last, found := x.history.last(); found {
		r.Record = Record{Revision: last.Revision, Status: last.Status, Seen: last.Seen}
	}
	last, found := x.history.current().last()
	if x.same {
		r.Action = Same
		if !found {
			r.Reason = "not installed"
			return r
		}
		if x.alike || inventory != "" && last.Labels[InventoryLabel] != inventory {
			r.Stale, r.Owned, r.Digest = true, x.owned, x.digest
		}
		return r
	}
	taking := ""
	if last.Status.Pending() && !Ours(last) {
		age := o.Now.Sub(last.Modified)
		switch {
		case !x.release.Installed && (o.AsHelm || o.Foreign):
			// Uninstalling asks nobody, as with Helm: it is the way out for what a killed helm left.
			taking = fmt.Sprintf("helm left revision %d %s", last.Revision, last.Status)
		case abandoned(age, x.release.Timeout) && !o.Unlocked:
			r.TakesOver = last.Revision
			taking = fmt.Sprintf("helm left revision %d %s %s ago; it is taken over", last.Revision, last.Status, Ago(age))
		default:
			r.Invalid = fmt.Sprintf("helm works on release %s: revision %d is %s%s. Wait until it ends; if it was killed: otomi unlock %s",
				x.release.Key(), last.Revision, last.Status, since(age, o.Now), x.release.Key())
		}
	}
	gone := slices.DeleteFunc(slices.Clone(x.prune), func(ch Change) bool { return ch.Action == "" })
	slices.SortStableFunc(gone, func(a, b Change) int { return manifest.Rank(b.Kind) - manifest.Rank(a.Kind) })
	if !x.release.Installed {
		r.Action, r.Reason = Uninstall, "installed: false"
		if x.leaver {
			r.Reason = "it left the runlevels"
		}
		if taking != "" {
			r.Reason += "; " + taking
		}
		if x.release.DeleteTimeout > 0 {
			r.Timeout = x.release.DeleteTimeout
		}
		r.Objects = gone
		r.Hooks = x.due(manifest.PreDelete, manifest.PostDelete)
		return r
	}
	r.Objects = slices.Concat(x.changes, gone)
	deployed := x.history.current().deployed()
	if !o.Every && x.asRecorded && len(deployed) == 1 && !slices.ContainsFunc(r.Objects, func(ch Change) bool { return ch.Action != Unchanged || ch.Invalid != "" || ch.Deferred != "" }) {
		// Someone wrote a field of ours and wrote it back: the object is as wanted, only its bookkeeping differs.
		r.Action, r.Upkeep, r.Objects, r.Revision = Same, r.Objects, nil, last.Revision
		r.Stale, r.Digest = true, x.digest
		return r
	}
	r.Action, r.Hooks = Upgrade, x.due(manifest.PreUpgrade, manifest.PostUpgrade)
	if o.Back > 0 {
		r.Back, r.Hooks = o.Back, x.due(manifest.PreRollback, manifest.PostRollback)
	}
	if !x.rendered.Upgrade {
		r.Action, r.Hooks = Install, x.due(manifest.PreInstall, manifest.PostInstall)
	}
	switch {
	case taking != "":
		r.Reason = taking
	case o.Back > 0:
		r.Reason = fmt.Sprintf("back to revision %d", o.Back)
	case !found:
		r.Reason = "not installed"
	case last.Status != manifest.Deployed:
		r.Reason = fmt.Sprintf("revision %d is %s", last.Revision, last.Status)
	case !Ours(last):
		r.Reason = fmt.Sprintf("revision %d was made by helm", last.Revision)
	case len(deployed) > 1:
		r.Reason = fmt.Sprintf("%d revisions are marked deployed", len(deployed))
	case last.Labels[RollbackLabel] != "" && !x.asRecorded:
		r.Reason = fmt.Sprintf("revision %d went back to revision %s, which is not what the values say", last.Revision, last.Labels[RollbackLabel])
	case o.Every && x.asRecorded:
		r.Reason = "sync"
	case x.asRecorded:
		r.Reason = "its objects were changed in the cluster"
	default:
		r.Reason = "its chart or values changed"
	}
	return r
}

// due are the hooks that run at some of the events.
func (x *candidate) due(events ...manifest.Event) []Hook {
	var hooks []Hook
	for i, h := range x.rendered.Hooks {
		if slices.ContainsFunc(events, h.Runs) {
			hooks = append(hooks, Hook{ID: x.hooks[i], Events: h.Events, Weight: h.Weight, Source: h.Source})
		}
	}
	return hooks
}

// chartName is NAME-VERSION.
func chartName(c manifest.Chart) string {
	if c.Name == "" {
		return ""
	}
	return c.Name + "-" + c.Version
}
