package diff

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// Drift is what of a cluster is not as it was last applied.
type Drift struct {
	Cluster string `json:"cluster,omitempty"`
	Context string `json:"context,omitempty"`
	// Releases are those of which an object drifted, in the order of their names.
	Releases []Drifted `json:"releases"`
	// Checked is how many releases were looked at.
	Checked int `json:"checked"`
	// Unknown are the releases (NAMESPACE/NAME) that helm deployed last, so that nothing says what of them is otomi's.
	Unknown []string `json:"unknown,omitempty"`
}

// Drifted is a release of which an object is not as it was last applied.
type Drifted struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Revision is the one that was applied last, and Status what became of the newest, where that is another one.
	Revision int             `json:"revision"`
	Status   manifest.Status `json:"status,omitempty"`
	// Objects are those that drifted: Before is what was applied, After what is live; Delete says that the object is gone. Each of
	// their fields says who changed it, as far as the cluster knows.
	Objects []Change `json:"objects"`
	// Values are those that the release was given, and Secrets what its Secrets held: other objects may have it, too.
	Values  map[string]any `json:"-"`
	Secrets []string       `json:"-"`
}

// Key is NAMESPACE/NAME.
func (d Drifted) Key() string { return manifest.Key(d.Namespace, d.Name) }

// Empty reports whether nothing drifted.
func (d Drift) Empty() bool { return len(d.Releases) == 0 }

// DriftInput says where drift is looked for.
type DriftInput struct {
	Cluster string
	Context string
	// Releases are those to look at, by NAMESPACE/NAME; nil is all that otomi applied.
	Releases map[string]bool
	// Ignore are the rules of single releases, beside those of Options.
	Ignore map[string][]Ignore
}

// FindDrift compares what was last applied with what is live. It renders nothing: what was applied is read from the records, one
// request for each release. The releases whose objects have the ownership print that they had are done with; the objects of the
// others are read, and rehearsed with what was applied, so that what a server defaults or spells in its own way is no drift.
// Of Options only Ignore, Shapes, Parallel and Reveal count.
func FindDrift(ctx context.Context, in DriftInput, live Live, o Options) (Drift, error) {
	records, err := live.Records(ctx)
	if err != nil {
		return Drift{}, err
	}
	d := Drift{Cluster: in.Cluster, Context: in.Context, Releases: []Drifted{}}
	type looked struct {
		drifted Drifted
		owned   string
		objects []manifest.Object
		known   []bool
	}
	var all []*looked
	found := histories(records)
	for _, key := range slices.Sorted(maps.Keys(found)) {
		h := found[key].current()
		at := slices.IndexFunc(h, func(r manifest.Record) bool { return r.Status == manifest.Deployed })
		if at < 0 || in.Releases != nil && !in.Releases[key] {
			continue
		}
		deployed := h[at]
		if !Ours(deployed) || deployed.Labels[OwnedLabel] == "" {
			if in.Releases != nil || slices.ContainsFunc(h, Ours) {
				d.Unknown = append(d.Unknown, key)
			}
			continue
		}
		x := &looked{owned: deployed.Labels[OwnedLabel], drifted: Drifted{Name: deployed.Name, Namespace: deployed.Namespace, Revision: deployed.Revision}}
		if last, _ := h.last(); last.Revision != deployed.Revision {
			x.drifted.Status = last.Status
		}
		all = append(all, x)
	}
	d.Checked = len(all)
	limit := o.Parallel
	if limit == 0 {
		limit = defaultParallel
	}
	each := func(work func(context.Context, *looked) error) error {
		group, ctx := parallel.WithContext(ctx)
		group.SetLimit(limit)
		for _, x := range all {
			group.Go(func() error { return work(ctx, x) })
		}
		return group.Wait()
	}
	err = each(func(ctx context.Context, x *looked) error {
		stored, err := live.Stored(ctx, x.drifted.Namespace, x.drifted.Name, x.drifted.Revision)
		if err != nil {
			return err
		}
		x.drifted.Values, x.drifted.Secrets = stored.Values, stored.SecretTexts()
		x.objects, x.known, err = live.Place(ctx, x.drifted.Namespace, stored.Objects)
		return err
	})
	if err != nil {
		return Drift{}, err
	}
	var objects []manifest.Object
	for _, x := range all {
		objects = append(objects, x.objects...)
	}
	prints, err := live.Prints(ctx, objects)
	if err != nil {
		return Drift{}, err
	}
	all = slices.DeleteFunc(all, func(x *looked) bool { return Owned(ids(x.objects), prints) == x.owned })
	err = each(func(ctx context.Context, x *looked) error {
		rules := slices.Concat(o.Ignore, in.Ignore[x.drifted.Key()])
		owner := manifest.Owner{Namespace: x.drifted.Namespace, Name: x.drifted.Name}
		for i, object := range x.objects {
			change, err := driftOf(ctx, live, object, x.known[i], owner, rules, o)
			if err != nil {
				return err
			}
			if change.Action != Unchanged {
				x.drifted.Objects = append(x.drifted.Objects, change)
			}
		}
		return nil
	})
	if err != nil {
		return Drift{}, err
	}
	for _, x := range all {
		if len(x.drifted.Objects) > 0 {
			d.Releases = append(d.Releases, x.drifted)
		}
	}
	return d, nil
}

// driftOf compares one object with what was applied of it.
func driftOf(ctx context.Context, live Live, o manifest.Object, known bool, owner manifest.Owner, rules []Ignore, opts Options) (Change, error) {
	change := Change{ID: o.ID, Version: o.Version, Source: o.Source, Action: Unchanged}
	c := &comparison{o: opts}
	if !known {
		change.Action, change.Reason = Delete, "its kind is gone"
		change.Before = c.sent(o)
		return change, nil
	}
	now, found, err := live.Get(ctx, o)
	if err != nil {
		return Change{}, err
	}
	if !found {
		change.Action, change.Reason = Delete, "it is gone"
		change.Before = c.sent(o)
		return change, nil
	}
	if places, err := ignored(rules, o); err == nil && len(places) > 0 {
		change.Ignored = pathsOf(places)
	}
	sent := o
	sent.Data = Unforced(o.Data, now, change.Ignored)
	applied, err := live.DryRun(ctx, sent, owner)
	var refusal *manifest.Refusal
	switch {
	case errors.As(err, &refusal):
		change.Action, change.Invalid = Update, "what was applied can't be compared: "+refusal.Message
		if applied == nil {
			return change, nil
		}
	case err != nil:
		return Change{}, err
	}
	was, is := clean(applied), clean(now)
	if deleting(now) {
		change.Action, change.Reason = Update, "it is being deleted"
	} else if reflect.DeepEqual(was, is) {
		return change, nil
	}
	change.Action = Update
	if change.Reason == "" && reflect.DeepEqual(shown(was), shown(is)) {
		change.Reason = "its ownership metadata differs"
	}
	change.Before, change.After = c.pair(o.ID, applied, now)
	change = detailed(change, opts.Shapes)
	attributed(change.Fields, now, recordedOf([]manifest.Object{o}, o.ID))
	return change, nil
}
