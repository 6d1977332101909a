package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const diffHelp = `Show what apply would change on the cluster, and change nothing.

Each object is shown as a unified diff from what is live to what is wanted; lists whose
items have a name or a key are compared by it. Values of Secrets show as (secret), and as
(secret, changed) where they differ. Without differences nothing is printed on standard output.

What the values are compared with, --against:
  live           the objects of the cluster, by a server-side dry run: what apply will do
  release        what was applied last, from the release records alone: no right to any object
                 is needed; drift, defaults, admission and CRDs of crds/ folders are not seen
  rev:REVISION   the values and the stack at another revision of git: no cluster is asked. With
                 --all, clusters that change alike are shown as one. rev:A..B compares two.
A bare word is a revision, unless it is one of the first two.

A field that somebody else owns is shown with who that is and since when. --ignore, the key
ignore of a release and the annotation otomi.io/ignore leave fields as they are in the cluster.

  otomi diff -c aws/demo
  otomi diff -c aws/demo -l team=alpha --detailed-exitcode
  otomi diff -c aws/demo --out plan.json && otomi apply plan.json
  otomi diff --all --against main -o markdown
  otomi diff -c aws/demo --structural --ignore Deployment/web:spec.replicas
  otomi diff -f helmfile.yaml -e prod`

type diffOptions struct {
	fleet            fleetOptions
	compare          compareOptions
	detailedExitcode bool
	state            deployStateOptions
	plan             planOptions
	against          againstOptions
	show             showOptions
}

// compareOptions say how a cluster is compared with what is wanted of it.
type compareOptions struct {
	capabilities  capabilityOptions
	takeOwnership bool
	force         bool
	crdDowngrade  bool
	conflicts     string
	prune         bool
	ignore        []string
}

func (o *compareOptions) flags(flags *pflag.FlagSet) {
	o.capabilities.flags(flags)
	flags.BoolVar(&o.takeOwnership, "take-ownership", false, "adopt objects that are there and belong to no release")
	flags.BoolVar(&o.prune, "prune", true, "delete objects that releases no longer have, and releases that left the runlevels")
	flags.BoolVar(&o.force, "force", false, "replace objects that can't be changed in place")
	flags.Var(formatFlag(&o.conflicts, "take", "keep", "fail"), "conflicts", "what becomes of fields that others wrote and that are wanted otherwise (`WORD`): take, keep or fail")
	ignoreFlag(flags, &o.ignore)
	flags.BoolVar(&o.crdDowngrade, "allow-crd-downgrade", false, "let custom resource definitions lose versions and fields that objects of theirs have")
}

func (o compareOptions) diff() pipeline.DiffOptions {
	return pipeline.DiffOptions{
		Capabilities:  o.capabilities.capabilities(),
		TakeOwnership: o.takeOwnership,
		Force:         o.force,
		CRDDowngrade:  o.crdDowngrade,
		Conflicts:     o.conflicts,
		NoPrune:       !o.prune,
		Ignore:        o.ignore,
	}
}

func newDiff(a *app) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "show what apply would change",
		Long:  diffHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDiff(cmd.Context(), a, o) },
	}
	o.fleet.formats = []string{"text", "json", "markdown"}
	o.fleet.flags(cmd.Flags())
	o.compare.flags(cmd.Flags())
	o.against.flag(cmd.Flags())
	o.show.flags(cmd.Flags())
	o.show.lengthFlag(cmd.Flags())
	o.fleet.target.cache.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when there are differences")
	o.plan.outFlag(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runDiff(ctx context.Context, a *app, o diffOptions) (err error) {
	style, err := o.show.check()
	if err := errors.Join(err, o.against.check(), pipeline.CheckIgnores(o.compare.ignore)); err != nil {
		return err
	}
	if o.plan.out != "" && o.against.text != againstLive {
		return errors.New("--out writes a plan that can be applied, which only --against live makes; leave out one of them")
	}
	if plain, err := a.plainDeployment(&o.state, &o.fleet); plain || err != nil {
		if err := errors.Join(err, o.plan.check(o.state.stateOptions)); err != nil {
			return err
		}
		if o.against.revision != "" {
			return errors.New("--against a revision compares values repositories, and state files are worked on; leave out -f, or compare with live or release")
		}
		return a.diffState(ctx, o, style)
	}
	if err := o.plan.check(o.state.stateOptions); err != nil {
		return err
	}
	show := o.state.shown(o.fleet.output)
	show.Style, show.MaxLength, show.Against = style, o.show.maxLength, o.against.text
	if o.against.revision != "" {
		return a.diffRevisions(ctx, o, show)
	}
	f, err := a.gather(ctx, o.fleet, "diff")
	if err != nil {
		return err
	}
	defer a.close(f.platform, o.fleet.target.cache)
	defer func() { err = f.done(ctx, err) }()
	flags, err := f.planFlags(o.plan)
	if err != nil {
		return err
	}
	var plans []pipeline.Plan
	var places []pipeline.PlanPlace
	differ := false
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		plan, err := f.compared(ctx, stage, client, o)
		if err != nil {
			return err
		}
		plans, places = append(plans, plan), append(places, pipeline.PlanPlace{Plan: plan, Client: client})
		differ = differ || !plan.Empty()
		f.failed = f.failed || plan.Counts().Invalid > 0
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.report.PlansOf(plans, show); err != nil {
		return err
	}
	if o.plan.out != "" {
		if err := f.writePlan(ctx, o.plan, places, flags); err != nil {
			return err
		}
	}
	if differ && o.detailedExitcode && !f.failed {
		return exit(exitDifferences)
	}
	return f.verdict()
}

// compared compares a cluster, or its records, with what is wanted of it. Diagnostics have been shown when it returns.
func (f *fleet) compared(ctx context.Context, stage pipeline.Stage, client *pipeline.Client, o diffOptions) (pipeline.Plan, error) {
	compare := o.compare.diff()
	compare.Parallel, compare.Releases = o.state.concurrency, pipeline.ReleaseOptions{Timeout: o.state.timeout}
	if o.against.text != againstRelease {
		return f.plan(ctx, stage, client, compare)
	}
	plan, former, diags, err := f.platform.Recorded(ctx, stage, client, compare)
	f.report.Hide(former)
	if err != nil {
		return pipeline.Plan{}, err
	}
	return plan, f.reported(diags, f.platform.Shown(diags))
}

// plan compares a cluster with what is wanted of it. Diagnostics have been shown when it returns.
func (f *fleet) plan(ctx context.Context, stage pipeline.Stage, client *pipeline.Client, o pipeline.DiffOptions) (pipeline.Plan, error) {
	plan, former, diags, err := f.platform.Diff(ctx, stage, client, o)
	f.report.Hide(former)
	if err != nil {
		return pipeline.Plan{}, err
	}
	return plan, f.reported(diags, f.platform.Shown(diags))
}
