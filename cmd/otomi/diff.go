package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const diffHelp = `Show what apply would change on the cluster, and change nothing.

Each object is shown as a unified diff from what is live to what is wanted. Values of
Secrets show as (secret), and as (secret, changed) where they differ. Without differences
nothing is printed on standard output.

  otomi diff -c aws/demo
  otomi diff -c aws/demo -l team=alpha --detailed-exitcode
  otomi diff -c aws/demo --out plan.json && otomi apply plan.json
  otomi diff -f helmfile.yaml -e prod`

type diffOptions struct {
	fleet            fleetOptions
	compare          compareOptions
	detailedExitcode bool
	state            deployStateOptions
	plan             planOptions
}

// compareOptions say how a cluster is compared with what is wanted of it.
type compareOptions struct {
	capabilities  capabilityOptions
	takeOwnership bool
	force         bool
	prune         bool
}

func (o *compareOptions) flags(flags *pflag.FlagSet) {
	o.capabilities.flags(flags)
	flags.BoolVar(&o.takeOwnership, "take-ownership", false, "adopt objects that are there and belong to no release")
	flags.BoolVar(&o.prune, "prune", true, "delete objects that releases no longer have, and releases that left the runlevels")
	flags.BoolVar(&o.force, "force", false, "replace objects that can't be changed in place")
}

func (o compareOptions) diff() pipeline.DiffOptions {
	return pipeline.DiffOptions{
		Capabilities:  o.capabilities.capabilities(),
		TakeOwnership: o.takeOwnership,
		Force:         o.force,
		NoPrune:       !o.prune,
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
	o.fleet.flags(cmd.Flags())
	o.compare.flags(cmd.Flags())
	o.fleet.target.cache.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when there are differences")
	o.plan.outFlag(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runDiff(ctx context.Context, a *app, o diffOptions) (err error) {
	if plain, err := a.plainDeployment(&o.state, &o.fleet); plain || err != nil {
		if err := errors.Join(err, o.plan.check(o.state.stateOptions)); err != nil {
			return err
		}
		return a.diffState(ctx, o)
	}
	if err := o.plan.check(o.state.stateOptions); err != nil {
		return err
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
		plan, err := f.plan(ctx, stage, client, o.compare.diff())
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
	if err := a.report.Plans(plans, o.fleet.output); err != nil {
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

// plan compares a cluster with what is wanted of it. Diagnostics have been shown when it returns.
func (f *fleet) plan(ctx context.Context, stage pipeline.Stage, client *pipeline.Client, o pipeline.DiffOptions) (pipeline.Plan, error) {
	plan, former, diags, err := f.platform.Diff(ctx, stage, client, o)
	f.report.Hide(former)
	if err != nil {
		return pipeline.Plan{}, err
	}
	return plan, f.reported(diags, f.platform.Shown(diags))
}
