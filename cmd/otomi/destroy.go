package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const destroyHelp = `Uninstall the releases of the runlevels, in reverse order.

Custom resource definitions and namespaces stay, unless --delete-namespaces is given. It
asks first; where nobody can be asked, it wants --yes.

  otomi destroy -c aws/demo
  otomi destroy -c aws/demo -l team=alpha --yes

Of state files it asks only with --interactive, as helmfile, and takes the releases that
helm made too.

  otomi destroy -f helmfile.yaml -l name=web`

type destroyOptions struct {
	fleet            fleetOptions
	hold             holdOptions
	yes              bool
	deleteNamespaces bool
	state            deployStateOptions
	dry              dryRunOptions
}

func newDestroy(a *app) *cobra.Command {
	var o destroyOptions
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "uninstall the releases of the runlevels",
		Long:  destroyHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDestroy(cmd.Context(), a, o) },
	}
	o.fleet.flags(cmd.Flags())
	o.hold.flags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.deleteNamespaces, "delete-namespaces", false, "delete the namespaces that releases made, with all that is in them")
	o.dry.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runDestroy(ctx context.Context, a *app, o destroyOptions) (err error) {
	if err := errors.Join(o.hold.check(), o.dry.check()); err != nil {
		return err
	}
	if plain, err := a.plainDeployment(&o.state, &o.fleet); plain || err != nil {
		if err != nil {
			return err
		}
		return a.destroyState(ctx, o)
	}
	f, err := a.gather(ctx, o.fleet, "destroy")
	if err != nil {
		return err
	}
	defer f.platform.Close()
	defer func() { err = f.done(ctx, err) }()
	d := newDeployment(f, o.hold)
	d.parallel = o.state.concurrency
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		plan, former, err := f.platform.Teardown(ctx, stage, client, pipeline.TeardownOptions{
			DeleteNamespaces: o.deleteNamespaces, Parallel: o.state.concurrency, Releases: pipeline.ReleaseOptions{Timeout: o.state.timeout},
		})
		a.report.Hide(former)
		if err == nil {
			d.add(plan, client, stage.Hooks)
		}
		return err
	})
	if err != nil {
		return errors.Join(d.document(), err)
	}
	if o.dry.on() {
		return d.rehearsed(false)
	}
	_, err = d.carryOut(ctx, question{verb: "destroy", yes: o.yes, mustBeAnswered: true})
	return err
}
