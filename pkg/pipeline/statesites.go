package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
)

// Twice reports releases that are put on one cluster under one name: by two files, through two contexts, or with the values of two
// clusters of the registry. The one would overwrite the other.
func Twice(sites []Site) diag.Diagnostics {
	type place struct {
		at      diag.Range
		cluster string
	}
	var ds diag.Diagnostics
	first := map[string]place{}
	for _, site := range sites {
		for _, l := range site.Levels {
			for _, r := range l.Releases {
				key := site.Client.Server() + " " + r.Key()
				other, found := first[key]
				switch {
				case !found:
					first[key] = place{r.Range, site.Cluster}
				case other.cluster != site.Cluster:
					ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelDuplicate, Range: r.Range,
						Detail: fmt.Sprintf("the release %s of %s and that of %s are on one cluster, context %s, and the one would overwrite the other. "+
							"Let the context come from the registry, where each cluster has its own kubeContext, or take one cluster with -c.",
							r.Key(), other.cluster, site.Cluster, site.Client.Context())})
				default:
					ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelDuplicate, Range: r.Range,
						Detail: fmt.Sprintf("the release %s is defined twice for one cluster, which has only one of that namespace and name. Rename one, or select one with -l or a condition.", r.Key()),
						Notes:  []diag.Note{{Message: "defined here first", Range: other.at}}})
				}
			}
		}
	}
	return ds
}

// Deployment are the plans of the sites of state files.
type Deployment struct {
	Sites []Site
	Plans []Plan
}

// Clashes reports objects that two releases want on one cluster which they reach through two contexts, or with the values of two
// clusters of the registry. Each plan for itself does not see the other, and the later one would take the object.
func Clashes(all []Deployment) diag.Diagnostics {
	wanted := map[string]*render.Wanted{}
	var servers []string
	sites := map[string]int{}
	for _, d := range all {
		for i, plan := range d.Plans {
			server := d.Sites[i].Client.Server()
			if wanted[server] == nil {
				wanted[server] = &render.Wanted{}
				servers = append(servers, server)
			}
			sites[server]++
			for _, level := range plan.Levels {
				for _, r := range level.Releases {
					if r.Action != diff.Uninstall {
						wanted[server].Add(r.Wanted)
					}
				}
			}
		}
	}
	var ds diag.Diagnostics
	for _, server := range servers {
		if sites[server] > 1 {
			ds = append(ds, wanted[server].Duplicates()...)
		}
	}
	return ds
}

// Empty reports whether nothing is to be done.
func (d Deployment) Empty() bool {
	for _, p := range d.Plans {
		if !p.Empty() {
			return false
		}
	}
	return true
}

// Changing are the sites on which something is to be done.
func (d Deployment) Changing() []Site {
	var out []Site
	for i, plan := range d.Plans {
		if !plan.Empty() {
			out = append(out, d.Sites[i])
		}
	}
	return out
}

// Unstarted are the results of plans of which nothing was carried out.
func (d Deployment) Unstarted() []apply.Result {
	out := make([]apply.Result, len(d.Plans))
	for i, plan := range d.Plans {
		out[i] = apply.Unstarted(plan)
	}
	return out
}

// Apply carries out the plans of state files, and returns what was done on each site. Of several sites the releases of a file, and
// within it of a group, are carried out one site after the other before the next group begins: needs hold between contexts. No
// release of a file is started where one of it can't be applied, on whatever site. The caller holds all sites; it compares twice
// more, as the function Apply does.
func (s *StateFile) Apply(ctx context.Context, d Deployment, o ApplyOptions) ([]apply.Result, error) {
	if len(d.Plans) == 1 {
		result, err := Apply(ctx, d.Plans[0], d.Sites[0].Client, o)
		return []apply.Result{result}, err
	}
	for i, plan := range d.Plans {
		if err := unmoved(ctx, plan, d.Sites[i].Client); err != nil {
			return d.Unstarted(), err
		}
	}
	t := newTally(d)
	each := o
	each.Emit = func(e Event) {
		// A part knows of its own releases only: what was not started is told at the end, once.
		if o.Emit != nil && e.Kind != apply.ReleaseSkipped {
			o.Emit(e)
		}
	}
	var failure error
	for i := range d.Plans[0].Levels {
		if failure != nil {
			break
		}
		if failure = t.check(ctx, d, i, each); failure != nil {
			break
		}
		for _, part := range d.parts(i) {
			result, err := apply.Run(ctx, part.plan, d.Sites[part.site].Client, each)
			t.add(part.site, result)
			if failure = err; failure != nil {
				break
			}
			each.Worked = true
		}
	}
	if failure != nil {
		for i := range slices.Backward(d.Plans) {
			failure = returned(ctx, d.Plans[i], &t.results[i], d.Sites[i].Client, o, failure)
		}
		t.skip(o)
		return t.results, failure
	}
	for site, plan := range d.Plans {
		// The parts leave out what is as it is wanted, and with it the records that do not say so.
		result, err := apply.Run(ctx, unchanged(plan), d.Sites[site].Client, each)
		t.add(site, result)
		if err != nil {
			return t.results, err
		}
	}
	for i, result := range t.results {
		if err := verify(ctx, result, d.Sites[i].Client); err != nil {
			return t.results, err
		}
	}
	return t.results, nil
}

// unchanged is what of a plan is as it is wanted.
func unchanged(plan Plan) Plan {
	plan.Levels = slices.Clone(plan.Levels)
	for i, level := range plan.Levels {
		plan.Levels[i].Releases = slices.DeleteFunc(slices.Clone(level.Releases), func(r diff.Release) bool { return r.Action != diff.Same || r.Invalid != "" })
	}
	return plan
}

// tally keeps what became of the releases of each site, in the order of its plan.
type tally struct {
	results []apply.Result
	// places are where in its site's result a release is.
	places []map[string]int
}

func newTally(d Deployment) *tally {
	t := &tally{results: make([]apply.Result, len(d.Plans))}
	for i, plan := range d.Plans {
		t.results[i].Releases = []apply.ReleaseResult{}
		places := map[string]int{}
		for _, level := range plan.Levels {
			for _, r := range level.Releases {
				if r.Action == diff.Same && r.Invalid == "" {
					continue
				}
				places[r.Key()] = len(t.results[i].Releases)
				t.results[i].Releases = append(t.results[i].Releases, apply.ReleaseResult{
					Name: r.Name, Namespace: r.Namespace, Level: r.Level, Action: r.Action, Outcome: apply.NotStarted, Revision: r.Revision,
				})
			}
		}
		t.places = append(t.places, places)
	}
	return t
}

// check reports what of one file can't be applied, on all sites.
func (t *tally) check(ctx context.Context, d Deployment, file int, o ApplyOptions) error {
	var errs []error
	for site, plan := range d.Plans {
		sub := plan
		sub.Levels = plan.Levels[file : file+1]
		result, err := apply.Check(ctx, sub, d.Sites[site].Client, o)
		result.Untouched = nil // they are told of at the end
		t.add(site, result)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// add takes what a run of a part of a site's plan did.
func (t *tally) add(site int, result apply.Result) {
	for _, r := range result.Releases {
		key := manifest.Key(r.Namespace, r.Name)
		t.results[site].Releases[t.places[site][key]] = r
	}
	for _, w := range result.Warnings {
		if !slices.Contains(t.results[site].Warnings, w) {
			t.results[site].Warnings = append(t.results[site].Warnings, w)
		}
	}
	t.results[site].Untouched = append(t.results[site].Untouched, result.Untouched...)
}

// skip tells which releases were not started, after a failure.
func (t *tally) skip(o ApplyOptions) {
	if o.Emit == nil {
		return
	}
	for _, result := range t.results {
		for _, r := range result.Releases {
			if r.Outcome == apply.NotStarted {
				o.Emit(apply.Event{Kind: apply.ReleaseSkipped, Level: r.Level, Release: r.Name, Namespace: r.Namespace, Action: r.Action, Revision: r.Revision})
			}
		}
	}
}

// part is what is carried out on one site before another one has its turn.
type part struct {
	site int
	plan Plan
}

// parts splits what the plans of several sites have of one file: what goes, in reverse order, then what comes, group by group.
func (d Deployment) parts(file int) []part {
	var out []part
	last := 0
	for _, plan := range d.Plans {
		for _, r := range plan.Levels[file].Releases {
			last = max(last, r.Group)
		}
	}
	add := func(group int, leaving bool) {
		for site := range d.Plans {
			if leaving {
				site = len(d.Plans) - 1 - site
			}
			plan := d.Plans[site]
			level := diff.Level{Name: plan.Levels[file].Name}
			for _, r := range plan.Levels[file].Releases {
				if r.Group == group && (r.Action == diff.Uninstall) == leaving && (r.Action != diff.Same || r.Invalid != "") {
					level.Releases = append(level.Releases, r)
				}
			}
			if len(level.Releases) > 0 {
				plan.Levels = []diff.Level{level}
				out = append(out, part{site: site, plan: plan})
			}
		}
	}
	for group := last; group >= 0; group-- {
		add(group, true)
	}
	for group := range last + 1 {
		add(group, false)
	}
	return out
}
