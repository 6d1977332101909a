package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
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
	// ReuseValues and SyncLabels are those of each release; ResetValues takes ReuseValues of helmDefaults and releases back.
	ReuseValues, ResetValues, SyncLabels bool
	// Atomic takes a release back that fails, and waits for it.
	Atomic bool
	// DeleteTimeout bounds the wait for what is deleted.
	DeleteTimeout time.Duration
	// HiddenLines are regular expressions of lines whose differences are not shown.
	HiddenLines []string
}

// on returns a release with what the command line says of it.
func (o ReleaseOptions) on(r runlevel.Release) runlevel.Release {
	r.Wait = r.Wait || o.Wait || o.WaitForJobs
	r.WaitForJobs = r.WaitForJobs || o.WaitForJobs
	r.Atomic = r.Atomic || o.Atomic
	r.Timeout = cmp.Or(o.Timeout, r.Timeout)
	r.SkipCRDs = r.SkipCRDs || o.SkipCRDs
	r.ReuseValues = (r.ReuseValues || o.ReuseValues) && !o.ResetValues
	r.SyncReleaseLabels = r.SyncReleaseLabels || o.SyncLabels
	r.DeleteTimeout = cmp.Or(o.DeleteTimeout, r.DeleteTimeout)
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
// of a release is not carried out on a cluster is a diagnostic.
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
	return sites, ds, nil
}

// undeployed reports what of a release is not carried out when it is applied.
func undeployed(r runlevel.Release) diag.Diagnostics {
	var ds diag.Diagnostics
	if _, err := diff.ParseIgnores(r.Ignore); err != nil {
		ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelInvalid, Range: r.KeyRange("ignore"),
			Detail: fmt.Sprintf("release %s: ignore: %v.", r.Name, err)})
	}
	for _, text := range r.SuppressOutputLineRegex {
		if _, err := regexp.Compile(text); err != nil {
			ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.RunlevelInvalid, Range: r.KeyRange("suppressOutputLineRegex"),
				Detail: fmt.Sprintf("release %s: suppressOutputLineRegex: %v. Correct the regular expression.", r.Name, err)})
		}
	}
	return ds
}

// reusing returns a site with the values that each release of reuseValues was given before under its own, and those of them that are
// secret, by the secrets among the compiled values: the values do not hold them, and the releases may be given them again.
func reusing(ctx context.Context, site Site, secrets []string) (Site, []string, error) {
	var former []string
	levels := slices.Clone(site.Levels)
	for i := range levels {
		levels[i].Releases = slices.Clone(levels[i].Releases)
		for j, r := range levels[i].Releases {
			if !r.ReuseValues || !r.Installed {
				continue
			}
			records, err := site.Client.Revisions(ctx, r.Namespace, r.Name)
			if err != nil {
				return site, former, err
			}
			last, found := reused(records)
			if !found {
				continue
			}
			stored, err := site.Client.Stored(ctx, last.Namespace, last.Name, last.Revision)
			if err != nil {
				return site, former, err
			}
			former = append(former, secretsBefore(r.Values, stored, secrets)...)
			levels[i].Releases[j] = r.Reusing(stored.Values)
		}
	}
	site.Levels = levels
	return site, former, nil
}

// reused is the record whose values are taken again: the newest that is deployed, and where none is the newest that came to
// an end (Helm's pkg/action/upgrade.go, prepareUpgrade). What was uninstalled with its history kept is installed, which takes
// nothing from before (Helm's cmd/helm/upgrade.go, isReleaseUninstalled).
func reused(records []manifest.Record) (manifest.Record, bool) {
	if n := len(records); n > 0 && records[n-1].Status == manifest.Uninstalled {
		return manifest.Record{}, false
	}
	for _, r := range slices.Backward(records) {
		if r.Status == manifest.Deployed {
			return r, true
		}
	}
	for _, r := range slices.Backward(records) {
		if r.Status == manifest.Failed || r.Status == manifest.Superseded {
			return r, true
		}
	}
	return manifest.Record{}, false
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
	// Recorded is for who calls Diff or Recorded: the records are compared, and not what is live.
	Recorded bool
}

// Diff compares the releases of a site with its cluster, as Platform.Diff does for a stage, and returns the same. Releases go as with Helm: post hooks
// run after the wait, and the wait leaves out Jobs unless waitForJobs.
func (s *StateFile) Diff(ctx context.Context, site Site, o StateDiffOptions) (Plan, []string, diag.Diagnostics, error) {
	site.Client.Within(namespacesOf(site.Levels))
	site, former, err := reusing(ctx, site, o.Secrets)
	if err != nil {
		return Plan{}, former, nil, err
	}
	set, diags, err := s.siteSet(ctx, site, o.Capabilities)
	if err != nil || diags.HasErrors() {
		return Plan{}, former, diags, err
	}
	rules, err := diff.ParseIgnores(o.Ignore)
	if err != nil {
		return Plan{}, former, diags, err
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
		TakeOwnership: o.TakeOwnership, Force: o.Force, Every: o.Every, CRDDowngrade: o.CRDDowngrade, Conflicts: diff.ConflictPolicy(o.Conflicts), Reveal: o.Reveal, AsHelm: true, Parallel: o.Parallel,
		NoPrune: o.NoPrune, Unlocked: o.Unlocked, Now: time.Now(), Ignore: rules, Shapes: set.shapes(),
	})
	diags = append(diags, more...)
	if err == nil && !diags.HasErrors() {
		diags = append(diags, render.Duplicates(set.rendered())...)
	}
	return plan, append(former, formerSecrets(plan, Stage{Levels: site.Levels}.releases(), o.Secrets)...), diags, err
}

// Teardown plans the uninstallation of every release of a site that is there, in reverse order, those that helm made too.
// Secrets are those of the compiled values; the strings are secrets as for Diff.
func (s *StateFile) Teardown(ctx context.Context, site Site, secrets []string, deleteNamespaces bool) (Plan, []string, error) {
	site.Client.Within(namespacesOf(site.Levels))
	plan, err := diff.Teardown(ctx, diff.Input{
		Cluster: site.Cluster, Context: site.Client.Context(), Levels: site.Levels,
	}, site.Client, diff.Options{DeleteNamespaces: deleteNamespaces, Foreign: true})
	return plan, formerSecrets(plan, Stage{Levels: site.Levels}.releases(), secrets), err
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

// TestOptions say how tests of releases go. The zero value is useful.
type TestOptions struct {
	// Timeout bounds the wait for each test; 0 means that of its release.
	Timeout time.Duration
	// Cleanup deletes what tests made, also where their policies keep it.
	Cleanup bool
	// Logs tells what the Pods of the tests wrote.
	Logs bool
	// Secrets are those among the values of the state files.
	Secrets []string
	// Hide is told the secrets of each release before its tests run, which can write them; nil for nobody.
	Hide func(secrets []string)
}

// Test runs the tests of the releases of a site, one after the other, and returns how many there were. The error names every
// release whose tests failed or that is not deployed; an interruption ends the run.
func (s *StateFile) Test(ctx context.Context, site Site, to TestOptions, o ApplyOptions) (int, error) {
	n := 0
	var errs []error
	for _, r := range (Stage{Levels: site.Levels}).releases() {
		if !r.Installed {
			continue
		}
		of := apply.TestOptions{Timeout: cmp.Or(to.Timeout, r.Timeout), Cleanup: to.Cleanup, Logs: to.Logs}
		of.Found = func(stored manifest.Stored) {
			if to.Hide == nil {
				return
			}
			secrets := secretsBefore(r.Values, stored, to.Secrets)
			named(stored.Values, "", &secrets)
			to.Hide(secrets)
		}
		ran, err := apply.Test(ctx, r.Namespace, r.Name, site.Client, of, o)
		n += ran
		if err != nil {
			errs = append(errs, fmt.Errorf("release %s: %w", r.Key(), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return n, errors.Join(errs...)
}
