package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

// deployStateOptions are the flags of verbs that reach a cluster which only state files have, in helmfile's words.
type deployStateOptions struct {
	stateOptions
	given       *pflag.FlagSet
	interactive bool
	concurrency int
	// How all releases go.
	wait, waitForJobs, skipCRDs, reuseValues, resetValues, syncLabels, deleteWait bool
	timeout                                                                       time.Duration
	deleteTimeout                                                                 int
	// atomic is what apply and sync say of all releases.
	atomic  bool
	cascade string
	// What is shown.
	context                                                                           int
	kinds, lines                                                                      []string
	suppressSecrets, showSecrets, noHooks, suppressDiff, skipDiffOnInstall, neverMind bool
}

// stateFlags are the flags that mean nothing to a stack.
var stateFlags = []string{
	"environment", "namespace", "chart", "include-needs", "include-transitive-needs", "enforce-needs-are-installed", "values", "set",
	"interactive", "wait", "wait-for-jobs", "skip-crds", "skip-schema-validation", "deleteTimeout", "cascade",
	"args", "diff-args", "sync-args", "template-args", "post-renderer", "post-renderer-args", "reuse-values", "reset-values", "sync-release-labels",
	"context", "suppress", "suppress-output-line-regex", "suppress-secrets", "show-secrets", "no-hooks", "suppress-diff", "skip-diff-on-install",
}

// refusedFlags are flags of helmfile that are not carried out, and what to do instead.
var refusedFlags = map[string]string{
	"description":         "the description of a revision is Helm's own",
	"server-side":         "every apply is server-side here",
	"track-mode":          "otomi waits by kstatus; use --wait and --timeout",
	"track-timeout":       "use --timeout",
	"helm-stuck-grace":    "a release whose run died is taken over by the next run",
	"track-logs":          "read them with kubectl logs",
	"track-failed-logs":   "read them with kubectl logs",
	"track-fail-on-error": "a wait ends at the first object that failed for good",
}

func (o *deployStateOptions) flags(flags *pflag.FlagSet) {
	o.given = flags
	flags.BoolVarP(&o.interactive, "interactive", "i", false, "ask before anything of state files is changed")
	flags.IntVar(&o.concurrency, "concurrency", 0, "how many releases, and objects of one, go side by side (default 8)")
	flags.BoolVar(&o.wait, "wait", false, "wait for every release of the state files")
	flags.BoolVar(&o.waitForJobs, "wait-for-jobs", false, "wait for every release of the state files, for its Jobs too")
	flags.Var((*seconds)(&o.timeout), "timeout", "how long each wait of a release may take (`TIME`: 5m, or seconds), whatever the release says")
	flags.BoolVar(&o.skipCRDs, "skip-crds", false, "leave out what is in crds/ of the charts of state files")
	flags.StringVar(&o.cascade, "cascade", "", "how what uninstalled objects own goes: background, foreground or orphan")
	flags.BoolVar(&o.deleteWait, "deleteWait", false, "wait until what is deleted is gone, which is so anyway")
	flags.IntVar(&o.deleteTimeout, "deleteTimeout", 0, "how many `SECONDS` that may take")
	flags.IntVar(&o.context, "context", 3, "how many unchanged `LINES` are shown around changed ones")
	flags.StringArrayVar(&o.kinds, "suppress", nil, "objects of this `KIND` are not shown; repeat for more")
	flags.StringArrayVar(&o.lines, "suppress-output-line-regex", nil, "differences in lines that match are not shown; repeat for more")
	flags.BoolVar(&o.suppressSecrets, "suppress-secrets", false, "Secrets are not shown at all")
	flags.BoolVar(&o.showSecrets, "show-secrets", false, "values of Secrets are shown in clear")
	flags.BoolVar(&o.noHooks, "no-hooks", false, "hooks of charts are not shown")
	flags.BoolVar(&o.suppressDiff, "suppress-diff", false, "only the sums are shown")
	flags.BoolVar(&o.skipDiffOnInstall, "skip-diff-on-install", false, "objects of new releases are not shown")
	flags.BoolVar(&o.reuseValues, "reuse-values", false, "values that a release was given before count below its own")
	flags.BoolVar(&o.resetValues, "reset-values", false, "take --reuse-values, and reuseValues of releases, back")
	flags.BoolVar(&o.syncLabels, "sync-release-labels", false, "put the labels of releases on Helm's records of them")
	o.arguments.renderFlags(flags)
	o.arguments.deployFlags(flags)
	hidden := func(name, usage string) {
		if flags.Lookup(name) == nil {
			flags.BoolVar(&o.neverMind, name, false, usage)
			_ = flags.MarkHidden(name)
		}
	}
	for _, name := range []string{"include-tests", "validate", "strip-trailing-cr", "hide-notes", "skip-diff-validation-on-install"} {
		hidden(name, "accepted as helmfile has it; it has no effect here")
	}
	for name, why := range refusedFlags {
		switch name {
		case "track-logs", "track-failed-logs", "track-fail-on-error":
			hidden(name, why)
		default:
			flags.String(name, "", why)
			_ = flags.MarkHidden(name)
		}
	}
	o.stateOptions.flags(flags)
}

// check refuses flags that are not carried out.
func (o *deployStateOptions) check() error {
	var err error
	o.given.Visit(func(f *pflag.Flag) {
		if why, refused := refusedFlags[f.Name]; refused && err == nil {
			err = fmt.Errorf("--%s is not carried out: %s", f.Name, why)
		}
	})
	switch {
	case err != nil:
		return err
	case o.timeout < 0 || o.deleteTimeout < 0 || o.context < 0 || o.concurrency < 0:
		return errors.New("--timeout, --deleteTimeout, --context and --concurrency take numbers from 0; give one")
	}
	return nil
}

// plainDeployment is plain for verbs that reach a cluster. Flags that only state files have are refused where there are none.
func (a *app) plainDeployment(o *deployStateOptions, fleet *fleetOptions) (bool, error) {
	o.kubeContext = fleet.connect.kubeContext
	plain, err := a.plain(&o.stateOptions, fleet.target)
	if err != nil {
		return false, err
	}
	if err := o.check(); err != nil || plain {
		return plain, err
	}
	o.given.Visit(func(f *pflag.Flag) {
		if slices.Contains(stateFlags, f.Name) && err == nil {
			err = fmt.Errorf("--%s is for state files, and a values repository is worked on; name the files with -f, or leave it out", f.Name)
		}
	})
	return false, err
}

func (o *deployStateOptions) releases() pipeline.ReleaseOptions {
	return pipeline.ReleaseOptions{
		Wait: o.wait, WaitForJobs: o.waitForJobs, Timeout: o.timeout, Atomic: o.atomic, SkipCRDs: o.skipCRDs,
		ReuseValues: o.reuseValues, ResetValues: o.resetValues, SyncLabels: o.syncLabels,
		DeleteTimeout: time.Duration(o.deleteTimeout) * time.Second, HiddenLines: o.lines,
	}
}

func (o *deployStateOptions) shown(format string) report.PlanOptions {
	kinds := o.kinds
	if o.suppressSecrets {
		kinds = append(slices.Clone(kinds), "Secret")
	}
	return report.PlanOptions{
		Format: format, Context: o.context, Kinds: kinds, NoHooks: o.noHooks, NoInstalls: o.skipDiffOnInstall, Silent: o.suppressDiff,
	}
}

// stateSites are the clusters that one evaluation of state files is on.
type stateSites struct {
	stateRun
	sites []pipeline.Site
	plans []pipeline.Plan
}

func (s *stateSites) deployment() pipeline.Deployment {
	return pipeline.Deployment{Sites: s.sites, Plans: s.plans}
}

// deployed says what a verb needs of state files.
type deployed struct {
	verb string
	// values says that it renders.
	values bool
	// events are those whose hooks it runs once the cluster is reached.
	events []string
}

// reachStates evaluates state files, runs the hooks that come first, and connects to their clusters. Diagnostics have been shown
// when it returns; the caller calls done with how the verb ended, which runs the hooks that come last and returns that with theirs.
func (a *app) reachStates(ctx context.Context, o deployStateOptions, fleet fleetOptions, need deployed) (out []*stateSites, done func(error) error, err error) {
	done = func(err error) error { return err }
	if err := fleet.check(); err != nil {
		return nil, done, err
	}
	so := a.stateInput(o.stateOptions, fleet.target, fleet.selection)
	so.Input.WithoutValues, so.Input.CheckCharts, so.Input.Cascade = !need.values, need.values, o.cascade
	if need.values {
		so.Prepare = need.verb
	}
	runs, closed, err := a.stateRuns(ctx, so, fleet.target)
	done = func(err error) error {
		for _, run := range runs {
			err = a.cleanedUp(ctx, &run.Hooks, run.Shown, need.verb, err)
		}
		closed()
		return err
	}
	if err != nil {
		return nil, done, err
	}
	if !(need.verb == "destroy" && o.skipCharts) {
		for _, run := range runs {
			if err := a.prepare(ctx, run.StateFile, need.verb); err != nil {
				return nil, done, err
			}
		}
	}
	for _, run := range runs {
		o = o.viewed(run.View())
	}
	if o.showSecrets {
		a.report.Reveal()
	}
	matched := false
	for _, run := range runs {
		matched = matched || run.Matched()
	}
	if !matched {
		return nil, done, a.noMatch(fleet.selection, so.Input.Environment)
	}
	connection := a.connection(fleet.connect)
	for _, run := range runs {
		if !run.Matched() {
			continue
		}
		refused := run.CheckHooks(need.events...)
		if err := a.reported(refused, run.Shown(refused)); err != nil {
			return nil, done, err
		}
		sites, diags, err := run.Reach(ctx, run.target, connection, o.releases())
		if err != nil {
			return nil, done, err
		}
		if err := a.reported(diags, run.Shown(diags)); err != nil {
			return nil, done, err
		}
		out = append(out, &stateSites{stateRun: run, sites: sites})
	}
	var sites []pipeline.Site
	for _, s := range out {
		sites = append(sites, s.sites...)
	}
	diags := pipeline.Twice(sites)
	return out, done, a.reported(diags, out[0].Shown(diags))
}

// compareStates fills in the plans of state files.
func (a *app) compareStates(ctx context.Context, all []*stateSites, o pipeline.StateDiffOptions) error {
	for _, s := range all {
		for _, site := range s.sites {
			o.Secrets = s.secrets
			comparing := s.Diff
			if o.Recorded {
				comparing = s.Recorded
			}
			plan, former, diags, err := comparing(ctx, site, o)
			a.report.Hide(former)
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			s.plans = append(s.plans, plan)
		}
	}
	var deployments []pipeline.Deployment
	for _, s := range all {
		deployments = append(deployments, s.deployment())
	}
	diags := pipeline.Clashes(deployments)
	if len(diags) == 0 {
		return nil
	}
	return a.reported(diags, all[0].Shown(diags))
}

func plansOf(all []*stateSites) []pipeline.Plan {
	var out []pipeline.Plan
	for _, s := range all {
		out = append(out, s.plans...)
	}
	return out
}

// diffState is diff for state files.
func (a *app) diffState(ctx context.Context, o diffOptions, style report.Style) (err error) {
	all, done, err := a.reachStates(ctx, o.state, o.fleet, deployed{verb: "diff", values: true})
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	compare := pipeline.StateDiffOptions{DiffOptions: o.compare.diff(), Reveal: o.state.showSecrets, Parallel: o.state.concurrency}
	compare.Recorded = o.against.text == againstRelease
	if err := a.compareStates(ctx, all, compare); err != nil {
		return err
	}
	plans := plansOf(all)
	for _, s := range all {
		o.state = o.state.viewed(s.View())
	}
	show := o.state.shown(o.fleet.output)
	show.Style, show.MaxLength, show.Against = style, o.show.maxLength, o.against.text
	if err := a.report.PlansOf(plans, show); err != nil {
		return err
	}
	if o.plan.out != "" {
		if err := a.writeStatesPlan(ctx, o.plan, all, o.state.stateOptions, o.fleet); err != nil {
			return err
		}
	}
	differ := false
	for _, plan := range plans {
		differ = differ || !plan.Empty()
		if plan.Counts().Invalid > 0 {
			return exit(exitFailed)
		}
	}
	if differ && o.detailedExitcode {
		return exit(exitDifferences)
	}
	return nil
}

// applyEvents are the events of hooks that come when releases are applied.
var applyEvents = []string{"preapply", "presync", "preuninstall", "postuninstall", "postsync", "cleanup"}

// applyState is apply and sync for state files.
func (a *app) applyState(ctx context.Context, o applyOptions) (err error) {
	o.state.atomic = o.pace.atomic
	verb := "apply"
	if o.every {
		verb = "sync"
	}
	all, done, err := a.reachStates(ctx, o.state, o.fleet, deployed{verb: verb, values: true, events: applyEvents})
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	compare := pipeline.StateDiffOptions{DiffOptions: o.compare.diff(), Reveal: o.state.showSecrets, Parallel: o.state.concurrency}
	compare.Every, compare.Unlocked = o.every, !o.hold.lock
	if err := a.compareStates(ctx, all, compare); err != nil {
		return err
	}
	if err := a.statesStillSo(ctx, o.plan, all, o.fleet); err != nil {
		return err
	}
	if o.dry.on() {
		return a.rehearsedStates(all, o.state, o.fleet, o.detailedExitcode)
	}
	changed, err := a.carryOutStates(ctx, all, o.state, o.fleet, o.hold, question{verb: verb, yes: o.yes, atomic: o.pace.atomic, budget: &o.budget, record: o.record})
	if err == nil && changed && o.detailedExitcode {
		return exit(exitDifferences)
	}
	return err
}

// destroyState is destroy for state files.
func (a *app) destroyState(ctx context.Context, o destroyOptions) (err error) {
	all, done, err := a.reachStates(ctx, o.state, o.fleet, deployed{verb: "destroy", events: []string{"preuninstall", "postuninstall", "cleanup"}})
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	for _, s := range all {
		for _, site := range s.sites {
			plan, former, err := s.Teardown(ctx, site, s.secrets, o.deleteNamespaces)
			a.report.Hide(former)
			if err != nil {
				return err
			}
			s.plans = append(s.plans, plan)
		}
	}
	if o.dry.on() {
		return a.rehearsedStates(all, o.state, o.fleet, false)
	}
	_, err = a.carryOutStates(ctx, all, o.state, o.fleet, o.hold, question{verb: "destroy", yes: o.yes})
	return err
}

// carryOutStates shows the plans of state files, asks where that is wanted, and applies them. It reports whether anything was
// changed.
func (a *app) carryOutStates(ctx context.Context, all []*stateSites, o deployStateOptions, fleet fleetOptions, hold holdOptions, q question) (changed bool, err error) {
	json := fleet.output == "json"
	for _, s := range all {
		o = o.viewed(s.View())
	}
	if !json {
		if err := a.report.PlansOf(plansOf(all), o.shown(fleet.output)); err != nil {
			return false, err
		}
	}
	for _, plan := range plansOf(all) {
		changed = changed || !plan.Empty()
	}
	always, _ := strconv.ParseBool(a.world.env("HELMFILE_INTERACTIVE"))
	if changed && (o.interactive || always) {
		q.mustBeAnswered, q.json = true, json
		if err := a.confirm(ctx, q); err != nil {
			return false, err
		}
	}
	if changed {
		if err := a.afford(ctx, plansOf(all), q); err != nil {
			return false, err
		}
	}
	results := []report.Result{}
	var failures []error
	for _, s := range all {
		done, err := a.carryOutState(ctx, s, o, json, q, a.hold(hold, fleet.connect, a.emit(json)))
		results = append(results, done...)
		if err == nil {
			continue
		}
		failures = append(failures, err)
		if !fleet.keepGoing || ctx.Err() != nil {
			break
		}
	}
	if json {
		for i := range results {
			if results[i].Plan, err = a.report.Seen(results[i].Plan, o.shown(fleet.output)); err != nil {
				return changed, err
			}
		}
		failures = append(failures, a.report.Results(results))
	}
	return changed, errors.Join(failures...)
}

// carryOutState applies the plans of one evaluation of state files.
func (a *app) carryOutState(ctx context.Context, s *stateSites, o deployStateOptions, json bool, q question, hold pipeline.HoldOptions) ([]report.Result, error) {
	verb := q.verb
	d := s.deployment()
	out := make([]report.Result, len(s.plans))
	for i, plan := range s.plans {
		out[i] = report.Result{Cluster: plan.Cluster, Plan: plan}
	}
	if d.Empty() {
		return out, a.ran(s.Shown)(s.Finish(ctx, d, verb, nil))
	}
	started := time.Now()
	apply := q.record.on(pipeline.ApplyOptions{Emit: a.emit(json), Parallel: o.concurrency, Atomic: q.atomic, Holder: a.world.holder()})
	results, err := a.applyHeld(ctx, s, d, apply, verb, hold)
	for i := range results {
		out[i].Result, out[i].Elapsed = results[i], time.Since(started)
		if err != nil {
			out[i].Error = err.Error()
		}
		if !json && !s.plans[i].Empty() {
			a.report.Result(out[i])
		}
	}
	return out, errors.Join(err, a.ran(s.Shown)(s.Finish(ctx, d, verb, err)))
}

// applyHeld carries out plans while nobody else changes their clusters.
func (a *app) applyHeld(ctx context.Context, s *stateSites, d pipeline.Deployment, o pipeline.ApplyOptions, verb string, hold pipeline.HoldOptions) (results []pipeline.ApplyResult, err error) {
	held, holding, err := pipeline.Hold(ctx, d.Changing(), hold)
	if err != nil {
		return d.Unstarted(), err
	}
	defer a.giveBack(ctx, holding, &err)
	o.Run = holding.Run
	return s.Apply(held, d, s.Programs(o, d, verb))
}

// emit shows events, as text or as lines of JSON.
func (a *app) emit(json bool) func(pipeline.Event) {
	if json {
		// An event that can't be shown is no reason to stop half-way.
		return func(e pipeline.Event) { _ = a.report.EventJSON(e) }
	}
	return a.report.Event
}

// statusState is status for state files.
func (a *app) statusState(ctx context.Context, o statusOptions) (err error) {
	all, done, err := a.reachStates(ctx, o.state, o.fleetOptions, deployed{verb: "status"})
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	var rows []report.Status
	var locks []report.Lock
	for _, s := range all {
		for _, site := range s.sites {
			releases, err := s.Status(ctx, site)
			if err != nil {
				return err
			}
			where := site.Cluster
			if where == "" && len(s.sites) > 1 {
				where = site.Client.Context()
			}
			for _, r := range releases {
				rows = append(rows, statusOf(where, r))
			}
			locks = append(locks, locked(ctx, site.Client, where, o.connect)...)
		}
	}
	return a.report.Status(rows, locks, o.output)
}
