package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/hook"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// ReleaseOptions are what the command line says of all releases of state files. The zero value leaves them as they are.
type ReleaseOptions struct {
	// Wait and WaitForJobs make all releases awaited, no longer than Timeout; 0 is the release's own.
	Wait, WaitForJobs bool
	Timeout           time.Duration
	SkipCRDs          bool
	// ReuseValues and SyncLabels are refused, as they are for a single release.
	ReuseValues, SyncLabels bool
	// Cascade is how what belongs to deleted objects goes; DeleteTimeout bounds the wait for it.
	Cascade       string
	DeleteTimeout time.Duration
	SkipSchema    bool
	// HiddenLines are regular expressions of lines whose differences are not shown.
	HiddenLines []string
}

// on returns a release with what the command line says of it.
func (o ReleaseOptions) on(r runlevel.Release) runlevel.Release {
	r.Wait = r.Wait || o.Wait || o.WaitForJobs
	r.WaitForJobs = r.WaitForJobs || o.WaitForJobs
	r.Timeout = cmp.Or(o.Timeout, r.Timeout)
	r.SkipCRDs = r.SkipCRDs || o.SkipCRDs
	r.ReuseValues = r.ReuseValues || o.ReuseValues
	r.SyncReleaseLabels = r.SyncReleaseLabels || o.SyncLabels
	r.Cascade = cmp.Or(o.Cascade, r.Cascade)
	r.DeleteTimeout = cmp.Or(o.DeleteTimeout, r.DeleteTimeout)
	r.SkipSchemaValidation = r.SkipSchemaValidation || o.SkipSchema
	r.SuppressOutputLineRegex = slices.Concat(r.SuppressOutputLineRegex, o.HiddenLines)
	return r
}

// Site is a cluster that releases of state files are on, with those releases.
type Site struct {
	Client *Client
	// Levels are those of the state files, each with the releases of this site alone.
	Levels []runlevel.Level
	// Cluster is the name of the cluster in the registry, or "".
	Cluster string
	// Inventory is the id under which its releases are recorded, or "".
	Inventory string
}

// Reach connects to the clusters that the releases are on: one for each context, in the order of the releases. The context is the
// one of the run, else the release's, helmDefaults', the environment's, else the registry's entry c, else as Connect has it. What
// of a release is not carried out on a cluster, and two releases with one name on one cluster, are diagnostics.
func (s *StateFile) Reach(ctx context.Context, c Cluster, connection Connection, o ReleaseOptions) ([]Site, diag.Diagnostics, error) {
	var ds diag.Diagnostics
	var contexts []string
	for _, l := range s.Levels {
		for _, r := range l.Releases {
			ds = append(ds, undeployed(o.on(r))...)
			if !slices.Contains(contexts, r.KubeContext) {
				contexts = append(contexts, r.KubeContext)
			}
		}
	}
	if ds.HasErrors() {
		return nil, ds, nil
	}
	var sites []Site
	for _, name := range contexts {
		entry := c
		entry.KubeContext = cmp.Or(name, c.KubeContext)
		client, err := Connect(ctx, entry, connection)
		if err != nil {
			return nil, ds, err
		}
		site := Site{Client: client, Cluster: c.ID}
		for _, l := range s.Levels {
			l.Disabled = nil
			var here []runlevel.Release
			for _, r := range l.Releases {
				if r.KubeContext == name {
					here = append(here, o.on(r))
				}
			}
			l.Releases = here
			site.Levels = append(site.Levels, l)
		}
		sites = append(sites, site)
	}
	return sites, append(ds, twice(sites)...), nil
}

// undeployed reports what of a release is not carried out when it is applied.
func undeployed(r runlevel.Release) diag.Diagnostics {
	var ds diag.Diagnostics
	refuse := func(format string, args ...any) {
		ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelUnsupported, Range: r.Range,
			Detail: fmt.Sprintf("release %s: ", r.Name) + fmt.Sprintf(format, args...)})
	}
	if r.ReuseValues {
		refuse("reuseValues takes values from what was deployed before, so that what is wanted can't be told from the files. " +
			"Write those values into a file (helm get values shows them), and leave it out.")
	}
	if r.SyncReleaseLabels {
		refuse("syncReleaseLabels puts labels on Helm's records, which otomi does not. Leave it out, and select with -l.")
	}
	if r.Cascade != "" && r.Cascade != "background" {
		refuse("cascade is %s, and otomi deletes in the background and waits until all is gone. Leave it out, or write background.", r.Cascade)
	}
	for _, text := range r.SuppressOutputLineRegex {
		if _, err := regexp.Compile(text); err != nil {
			refuse("suppressOutputLineRegex: %v. Correct the regular expression.", err)
		}
	}
	return ds
}

// twice reports releases that two files put on one cluster under one name.
func twice(sites []Site) diag.Diagnostics {
	var ds diag.Diagnostics
	first := map[string]diag.Range{}
	for _, site := range sites {
		for _, l := range site.Levels {
			for _, r := range l.Releases {
				key := site.Client.Server() + " " + r.Key()
				at, found := first[key]
				if !found {
					first[key] = r.Range
					continue
				}
				ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelDuplicate, Range: r.Range,
					Detail: fmt.Sprintf("the release %s is defined twice for one cluster, which has only one of that namespace and name. Rename one, or select one with -l or a condition.", r.Key()),
					Notes:  []diag.Note{{Message: "defined here first", Range: at}}})
			}
		}
	}
	return ds
}

// StateDiffOptions change how state files are compared with a cluster.
type StateDiffOptions struct {
	DiffOptions
	// Reveal shows the values of Secrets.
	Reveal bool
	// Parallel is how many releases are looked at side by side; 0 means 8.
	Parallel int
	// Secrets are the secret texts among the compiled values, where there are any.
	Secrets []string
}

// Diff compares the releases of a site with its cluster, as Platform.Diff does for a stage, and returns the same. Releases go as with Helm: post hooks
// run after the wait, and the wait leaves out Jobs unless waitForJobs.
func (s *StateFile) Diff(ctx context.Context, site Site, o StateDiffOptions) (Plan, []string, diag.Diagnostics, error) {
	set, diags, err := s.siteSet(ctx, site, o.Capabilities)
	if err != nil || diags.HasErrors() {
		return Plan{}, nil, diags, err
	}
	plan, more, err := diff.Compare(ctx, diff.Input{
		Cluster: site.Cluster,
		Context: site.Client.Context(),
		Levels:  site.Levels,
		Render: func(ctx context.Context, r runlevel.Release, revision int, upgrade bool) (diff.Rendered, diag.Diagnostics, error) {
			release, diags, err := set.render(ctx, r, revision, upgrade)
			return diff.Rendered{Release: release, Digest: render.Digest(release)}, diags, err
		},
	}, site.Client, diff.Options{
		TakeOwnership: o.TakeOwnership, Force: o.Force, Every: o.Every, Reveal: o.Reveal, AsHelm: true, Parallel: o.Parallel,
	})
	diags = append(diags, more...)
	if err == nil && !diags.HasErrors() {
		diags = append(diags, render.Duplicates(set.rendered())...)
	}
	return plan, formerSecrets(plan, o.Secrets), diags, err
}

// Teardown plans the uninstallation of every release of a site that is there, in reverse order, those that helm made too.
func (s *StateFile) Teardown(ctx context.Context, site Site, deleteNamespaces bool) (Plan, error) {
	return diff.Teardown(ctx, diff.Input{
		Cluster: site.Cluster, Context: site.Client.Context(), Levels: site.Levels,
	}, site.Client, diff.Options{DeleteNamespaces: deleteNamespaces, Foreign: true})
}

// Status reads what the cluster's records say of the releases of a site.
func (s *StateFile) Status(ctx context.Context, site Site) ([]ReleaseStatus, error) {
	return (&Platform{}).Status(ctx, Stage{Levels: site.Levels}, site.Client)
}

// siteSet loads the charts of a site's releases and fixes their capabilities. It is one for all files, so that what the definitions of
// one file bring is seen by all.
func (s *StateFile) siteSet(ctx context.Context, site Site, o Capabilities) (*renderSet, diag.Diagnostics, error) {
	set := &renderSet{
		platform: s.p, values: s.o.Values, input: s.in, charts: map[string]*chart.Chart{}, last: map[string]manifest.Release{}, room: -1,
		version: o.KubeVersion,
	}
	of := map[string]changes{}
	set.change = func(ctx context.Context, req render.Request, r manifest.Release) (manifest.Release, diag.Diagnostics, error) {
		return of[req.Release.Key()].apply(ctx, req, r)
	}
	var ds diag.Diagnostics
	for i, l := range site.Levels {
		change := s.changes(s.States[i])
		more, err := s.load(ctx, set, change, l)
		if ds = append(ds, more...); err != nil {
			return nil, ds, err
		}
		for _, r := range l.Releases {
			of[r.Key()] = change
		}
	}
	if ds.HasErrors() {
		return nil, ds, nil
	}
	caps, err := clusterCapabilities(ctx, site.Client, o)
	if err != nil {
		return nil, ds, err
	}
	more, err := set.settle(ctx, caps)
	return set, append(ds, more...), err
}

// Deployment are the plans of the sites of state files.
type Deployment struct {
	Sites []Site
	Plans []Plan
}

// Empty reports whether nothing is to be done.
func (d Deployment) Empty() bool {
	return !slices.ContainsFunc(d.Plans, func(p Plan) bool { return !p.Empty() })
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
// within it of a group, are carried out one site after the other before the next group begins: needs hold between contexts. The
// caller holds all of them; it compares twice more as the function Apply does.
func (s *StateFile) Apply(ctx context.Context, d Deployment, o ApplyOptions) ([]apply.Result, error) {
	if len(d.Plans) == 1 {
		result, err := Apply(ctx, d.Plans[0], d.Sites[0].Client, o)
		return []apply.Result{result}, err
	}
	results := make([]apply.Result, len(d.Plans))
	for i, plan := range d.Plans {
		if err := unmoved(ctx, plan, d.Sites[i].Client); err != nil {
			return d.Unstarted(), err
		}
	}
	for i := range results {
		results[i].Releases = []apply.ReleaseResult{}
	}
	var failure error
	for _, part := range d.parts() {
		if failure == nil {
			failure = part.invalid
		}
		if failure != nil {
			for _, r := range part.plan.Levels[0].Releases {
				results[part.site].Releases = append(results[part.site].Releases, apply.ReleaseResult{
					Name: r.Name, Namespace: r.Namespace, Level: r.Level, Action: r.Action, Outcome: apply.NotStarted, Revision: r.Revision,
				})
			}
			continue
		}
		var result apply.Result
		result, failure = apply.Run(ctx, part.plan, d.Sites[part.site].Client, o)
		results[part.site].Releases = append(results[part.site].Releases, result.Releases...)
		results[part.site].Warnings = append(results[part.site].Warnings, result.Warnings...)
	}
	for i, result := range results {
		if failure == nil {
			failure = verify(ctx, result, d.Sites[i].Client)
		}
	}
	return results, failure
}

// part is what is carried out on one site before another one has its turn.
type part struct {
	site int
	plan Plan
	// invalid says that something of its file can't be applied.
	invalid error
}

// parts splits the plans of several sites: file by file what goes, in reverse order, then what comes, group by group.
func (d Deployment) parts() []part {
	var out []part
	for i := range d.Plans[0].Levels {
		last := 0
		var invalid error
		for _, plan := range d.Plans {
			for _, r := range plan.Levels[i].Releases {
				last = max(last, r.Group)
				if problems := r.Problems(); len(problems) > 0 && invalid == nil {
					invalid = fmt.Errorf("%s was not started: release %s: %s", plan.Levels[i].Name, r.Key(), strings.Join(problems, "; "))
				}
			}
		}
		add := func(group int, leaving bool) {
			for site, plan := range d.Plans {
				level := diff.Level{Name: plan.Levels[i].Name}
				for _, r := range plan.Levels[i].Releases {
					if r.Group == group && (r.Action == diff.Uninstall) == leaving && (r.Action != diff.Same || r.Invalid != "") {
						level.Releases = append(level.Releases, r)
					}
				}
				if len(level.Releases) > 0 {
					sub := Plan{Cluster: plan.Cluster, Context: plan.Context, Levels: []diff.Level{level}, Warnings: plan.Warnings}
					out = append(out, part{site: site, plan: sub, invalid: invalid})
				}
			}
		}
		for group := last; group >= 0; group-- {
			add(group, true)
		}
		for group := range last + 1 {
			add(group, false)
		}
	}
	return out
}

// Programs returns o with the hooks of state files before and after each release, in helmfile's order: presync, around an
// uninstallation preuninstall and postuninstall, then postsync, whose failure is told and changes nothing. The verb is what is
// carried out.
func (s *StateFile) Programs(o ApplyOptions, verb string) ApplyOptions {
	type place struct {
		state   *runlevel.State
		release runlevel.Release
	}
	places := map[string]place{}
	for i, l := range s.Levels {
		for _, r := range l.Releases {
			if len(r.Hooks) > 0 {
				places[r.KubeContext+" "+r.Key()] = place{s.States[i], r}
			}
		}
	}
	if len(places) == 0 {
		return o
	}
	destroy := verb == "destroy"
	command := "sync"
	if destroy {
		command = "delete"
	}
	// What programs make may be read by others: one at a time, as if their files were one's own.
	var mu sync.Mutex
	call := func(ctx context.Context, r diff.Release, failure error, events ...string) (string, error) {
		at, ok := places[r.Context+" "+r.Key()]
		if !ok {
			return "", nil
		}
		mu.Lock()
		defer mu.Unlock()
		var said strings.Builder
		for _, name := range events {
			event := runlevel.Event{Name: name, Command: command, State: at.state, Release: &at.release}
			if failure != nil {
				event.Error = failure.Error()
			}
			lines, ds, err := s.hook(ctx, event)
			said.WriteString(lines)
			if err != nil {
				return said.String(), err
			}
			for _, d := range ds {
				failed := fmt.Errorf("%s hook at %s:%d: %s", name, d.Range.File, d.Range.Start.Line, d.Detail)
				if d.Severity == diag.Error {
					return said.String(), failed
				}
				fmt.Fprintf(&said, "warning: %v\n", failed)
			}
		}
		return said.String(), nil
	}
	o.Before = func(ctx context.Context, r diff.Release) (string, error) {
		switch {
		case destroy:
			return call(ctx, r, nil, "preuninstall")
		case r.Action == diff.Uninstall:
			return call(ctx, r, nil, "presync", "preuninstall")
		}
		return call(ctx, r, nil, "presync")
	}
	o.After = func(ctx context.Context, r diff.Release, failure error) (string, error) {
		var said string
		var err error
		if r.Action == diff.Uninstall && failure == nil {
			said, err = call(ctx, r, nil, "postuninstall")
		}
		if destroy {
			return said, err
		}
		more, _ := call(context.WithoutCancel(ctx), r, cmp.Or(failure, err), "postsync") // told, as helmfile does
		return said + more, err
	}
	return o
}

// CheckHooks reports the hooks of the events that would not be run, so that a run does not end half-way at one.
func (s *StateFile) CheckHooks(events ...string) diag.Diagnostics {
	var ds diag.Diagnostics
	for i, state := range s.States {
		if !state.Skipped && slices.Contains(events, "cleanup") { // which is, of these, the event of whole files
			ds = append(ds, hook.Refused(state.Hooks, s.hookOptions(), "cleanup")...)
		}
		for _, r := range s.Levels[i].Releases {
			ds = append(ds, hook.Refused(r.Hooks, s.hookOptions(), events...)...)
		}
	}
	return ds
}

// BeforeApply runs the preapply hooks of every release of the files of which something changes, the last first, as helmfile does.
func (s *StateFile) BeforeApply(ctx context.Context, d Deployment) (said string, ds diag.Diagnostics, err error) {
	var shown strings.Builder
	for i, l := range s.Levels {
		changes := slices.ContainsFunc(d.Plans, func(p Plan) bool {
			return slices.ContainsFunc(p.Levels[i].Releases, func(r diff.Release) bool { return r.Action != diff.Same })
		})
		if !changes {
			continue
		}
		for _, r := range slices.Backward(l.Releases) {
			lines, more, err := s.hook(ctx, runlevel.Event{Name: "preapply", Command: "apply", State: s.States[i], Release: &r})
			shown.WriteString(lines)
			if ds = append(ds, more...); err != nil || ds.HasErrors() {
				return shown.String(), ds, err
			}
		}
	}
	return shown.String(), ds, nil
}

// TestOptions say how tests of releases go.
type TestOptions = apply.TestOptions

// Test runs the tests of the releases of a site, one after the other, and returns how many there were. The first that fails
// ends the run.
func (s *StateFile) Test(ctx context.Context, site Site, to TestOptions, o ApplyOptions) (int, error) {
	n := 0
	for _, r := range (Stage{Levels: site.Levels}).releases() {
		if !r.Installed {
			continue
		}
		of := to
		of.Timeout = cmp.Or(to.Timeout, r.Timeout)
		ran, err := apply.Test(ctx, r.Namespace, r.Name, site.Client, of, o)
		n += ran
		if err != nil {
			return n, fmt.Errorf("release %s: %w", r.Key(), err)
		}
	}
	return n, nil
}
