package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const applyHelp = `Make the cluster equal to the values: show what differs, ask, and apply only that.

Runlevels are applied in their order; one begins when the one before it is ready. Releases
that do not differ are not touched. On a terminal it asks first, unless --yes is given.

  otomi apply -c aws/demo
  otomi apply -c aws/demo --yes -l team=alpha
  otomi apply -c aws/demo --dry-run

A plan that ` + "`otomi diff --out`" + ` wrote is carried out as it is, without a question. Where the values,
a chart, a record or an object is not as it was, nothing is done and what moved is shown.

  otomi diff -c aws/demo --out plan.json
  otomi apply plan.json

State files are applied as helmfile does it: file by file, without a question unless
--interactive is given, waiting for the releases that say so.

  otomi apply -f helmfile.yaml -e prod`

type applyOptions struct {
	fleet            fleetOptions
	compare          compareOptions
	hold             holdOptions
	budget           budgetOptions
	pace             paceOptions
	record           recordOptions
	yes              bool
	detailedExitcode bool
	// every applies also what does not differ: the verb sync.
	every bool
	state deployStateOptions
	plan  planOptions
	dry   dryRunOptions
}

func (o *applyOptions) flags(flags *pflag.FlagSet) {
	o.fleet.flags(flags)
	o.compare.flags(flags)
	o.hold.flags(flags)
	o.budget.flags(flags)
	o.pace.flags(flags)
	o.record.flags(flags)
	o.record.refreshFlag(flags)
	o.fleet.target.cache.flags(flags)
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when something was changed")
	o.dry.flags(flags)
	o.state.flags(flags)
}

func newApply(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply [PLAN]",
		Short: "make the cluster equal to the values",
		Long:  applyHelp,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				plan, err := a.readPlan(args[0], cmd.Flags(), o.fleet.target.allow)
				if err != nil {
					return err
				}
				// Who wrote the plan into a file has seen it.
				o.plan, o.yes = plan, true
			}
			return runApply(cmd.Context(), a, o)
		},
	}
	o.flags(cmd.Flags())
	return cmd
}

func runApply(ctx context.Context, a *app, o applyOptions) (err error) {
	if err := errors.Join(o.hold.check(), o.dry.check(), o.budget.check(), o.pace.check(), o.record.check()); err != nil {
		return err
	}
	ctx, cancel := o.pace.bound(ctx)
	defer cancel()
	defer func() { err = o.pace.told(ctx, err) }()
	if plain, err := a.plainDeployment(&o.state, &o.fleet); plain || err != nil {
		if err != nil {
			return err
		}
		return a.applyState(ctx, o)
	}
	verb := "apply"
	if o.every {
		verb = "sync"
	}
	f, err := a.gather(ctx, o.fleet, verb)
	if err != nil {
		return err
	}
	defer a.close(f.platform, o.fleet.target.cache)
	defer func() { err = f.done(ctx, err) }()
	d := newDeployment(f, o.hold)
	d.record, d.parallel, d.atomic = o.record, o.state.concurrency, o.pace.atomic
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		compare := o.compare.diff()
		compare.Every, compare.Unlocked = o.every, !o.hold.lock
		compare.Parallel, compare.Releases = o.state.concurrency, pipeline.ReleaseOptions{Timeout: o.state.timeout, Atomic: o.pace.atomic}
		plan, err := f.plan(ctx, stage, client, compare)
		if err == nil {
			d.add(plan, client, stage.Hooks)
		}
		return err
	})
	if err != nil {
		return errors.Join(d.document(), err)
	}
	if err := f.stillSo(ctx, o.plan, d.places()); err != nil {
		return err
	}
	if o.dry.on() {
		return d.rehearsed(o.detailedExitcode)
	}
	changed, err := d.carryOut(ctx, question{verb: "apply", yes: o.yes, budget: &o.budget})
	if err == nil && changed && o.detailedExitcode {
		return exit(exitDifferences)
	}
	return err
}
