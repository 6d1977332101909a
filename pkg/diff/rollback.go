package diff

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// Rollback makes the plan that brings a release back to an earlier revision, as a new one: to the newest before the last that
// was deployed, where revision is 0. The objects are compared as those of an upgrade are, so that what the later revisions
// brought is deleted, and what belongs to others is refused. Of r, the namespace, the name and how it is awaited count. The
// levels of in are not looked at.
func Rollback(ctx context.Context, in Input, r runlevel.Release, revision int, live Live, o Options) (Plan, error) {
	records, err := live.Records(ctx)
	if err != nil {
		return Plan{}, err
	}
	h := histories(records)[r.Key()]
	target, err := h.target(r.Key(), revision)
	if err != nil {
		return Plan{}, err
	}
	stored, err := live.Stored(ctx, target.Namespace, target.Name, target.Revision)
	if err != nil {
		return Plan{}, err
	}
	level := runlevel.Level{Name: target.Labels[LevelLabel]}
	if level.Name == "" {
		level.Name = "rollback"
	}
	r.Installed, r.CreateNamespace, r.Level = true, false, level.Name
	level.Releases = []runlevel.Release{r}
	in.Levels, in.Inventory, in.Whole = []runlevel.Level{level}, "", false
	in.Render = func(_ context.Context, _ runlevel.Release, revision int, _ bool) (Rendered, diag.Diagnostics, error) {
		// Without a digest: what is wanted of the release is still what the values say.
		rendered := Rendered{Release: stored.Release}
		rendered.Revision, rendered.Upgrade = revision, true
		return rendered, nil, nil
	}
	o.Every, o.Back = true, target.Revision
	plan, _, err := Compare(ctx, in, live, o)
	return plan, err
}

// target is the record that a rollback goes back to.
func (h history) target(key string, revision int) (manifest.Record, error) {
	current := h.current()
	if len(current) == 0 {
		return manifest.Record{}, fmt.Errorf("the cluster has no release %s; `otomi status` shows those of the runlevels", key)
	}
	if revision == 0 {
		for _, r := range slices.Backward(current[:len(current)-1]) {
			if r.Status == manifest.Superseded || r.Status == manifest.Deployed {
				return r, nil
			}
		}
		return manifest.Record{}, fmt.Errorf("release %s has no revision before %d that was deployed, to go back to; `otomi history %s` shows what there is",
			key, current[len(current)-1].Revision, key)
	}
	var known []string
	for _, r := range current {
		if r.Revision == revision {
			return r, nil
		}
		known = append(known, fmt.Sprint(r.Revision))
	}
	return manifest.Record{}, fmt.Errorf("release %s has no revision %d; it has %s", key, revision, strings.Join(known, ", "))
}
