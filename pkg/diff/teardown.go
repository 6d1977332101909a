package diff

import (
	"context"
	"slices"
	"strings"
)

// Teardown makes the plan that uninstalls the releases of the levels, in reverse order: the last level first. Only releases
// that otomi deployed are taken; those that helm made stay, unless Foreign. CustomResourceDefinitions stay, and so do namespaces unless the
// options say otherwise.
func Teardown(ctx context.Context, in Input, live Live, o Options) (Plan, error) {
	c, err := newComparison(ctx, in, live, o)
	if err != nil {
		return Plan{}, err
	}
	var leaving []*candidate
	for _, x := range c.cands {
		x.release.Installed = false
		current := x.history.current()
		x.same = !slices.ContainsFunc(current, Ours) && !(o.Foreign && len(current) > 0)
		if !x.same {
			leaving = append(leaving, x)
		}
	}
	if err := c.each(ctx, leaving, c.readInventory); err != nil {
		return Plan{}, err
	}
	if err := c.compareObjects(ctx, leaving); err != nil {
		return Plan{}, err
	}
	p := c.plan()
	slices.Reverse(p.Levels)
	for i := range p.Levels {
		for j := range p.Levels[i].Releases {
			r := &p.Levels[i].Releases[j]
			if r.Action == Uninstall {
				r.Reason = "destroy" + strings.TrimPrefix(r.Reason, "installed: false")
			} else if r.Reason == "" {
				r.Reason = "made by helm, not by otomi"
			}
		}
	}
	return p, nil
}
