package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const rollbackHelp = `Bring a release back to an earlier revision, as a new one.

It goes back to the newest revision before the last that was deployed, or to the one that
is named; ` + "`otomi history`" + ` shows them, and those that helm made count as well. Objects that
later revisions brought are deleted. The values stay as they are: otomi diff shows what
differs from them now, and the next apply brings it back.

  otomi rollback -c aws/demo web
  otomi rollback -c aws/demo team-alpha/web 3 --yes
  otomi rollback --kube-context demo-admin team-alpha/web`

type rollbackOptions struct {
	fleet    fleetOptions
	hold     holdOptions
	budget   budgetOptions
	record   recordOptions
	state    deployStateOptions
	yes      bool
	force    bool
	dry      dryRunOptions
	release  string
	revision int
}

func newRollback(a *app) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback RELEASE [REVISION]",
		Short: "bring a release back to an earlier revision",
		Long:  rollbackHelp,
		Args:  cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.release = args[0]
			if len(args) > 1 {
				n, err := strconv.Atoi(args[1])
				if err != nil || n < 0 {
					return fmt.Errorf("%q is no revision; write its number, or 0 for the one before", args[1])
				}
				o.revision = n
			}
			return runRollback(cmd.Context(), a, o)
		},
	}
	o.fleet.flags(cmd.Flags())
	o.hold.flags(cmd.Flags())
	o.budget.flags(cmd.Flags())
	o.record.flags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace objects that can't be changed in place")
	o.dry.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runRollback(ctx context.Context, a *app, o rollbackOptions) (err error) {
	for _, check := range []func() error{o.hold.check, o.budget.check, o.record.check, o.dry.check} {
		if err := check(); err != nil {
			return err
		}
	}
	r, done, err := a.reachRelease(ctx, o.release, &o.fleet, &o.state)
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	plan, former, err := pipeline.Rollback(ctx, r.client, r.NamedRelease, pipeline.RollbackOptions{
		Cluster: r.cluster, Revision: o.revision, Timeout: o.state.timeout, Force: o.force, Unlocked: !o.hold.lock, Secrets: r.secrets,
	})
	a.report.Hide(former)
	if err != nil {
		return err
	}
	d := newDeployment(&fleet{app: a, options: o.fleet}, o.hold)
	d.record = o.record
	d.add(plan, r.client, &pipeline.Hooks{})
	if o.dry.on() {
		return d.rehearsed(false)
	}
	changed, err := d.carryOut(ctx, question{verb: "rollback", yes: o.yes, budget: &o.budget})
	if err == nil && changed {
		a.report.Talk("the values were not changed: `otomi diff` shows what differs from them now, and the next apply brings it back")
	}
	return err
}
