package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const destroyHelp = `Uninstall the releases of the runlevels, in reverse order.

Custom resource definitions and namespaces stay, unless --delete-namespaces is given. On a
terminal it asks first, unless --yes is given.

  otomi destroy -c aws/demo
  otomi destroy -c aws/demo -l team=alpha --yes`

type destroyOptions struct {
	target           targetOptions
	selection        selectOptions
	connect          connectOptions
	output           string
	yes              bool
	keepGoing        bool
	deleteNamespaces bool
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
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.connect.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.keepGoing, "keep-going", false, "with --all: go on with the next cluster when one fails")
	cmd.Flags().BoolVar(&o.deleteNamespaces, "delete-namespaces", false, "delete the namespaces that releases made, with all that is in them")
	return cmd
}

func runDestroy(ctx context.Context, a *app, o destroyOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	d := deployment{app: a, output: o.output, keepGoing: o.keepGoing}
	for _, c := range clusters {
		client, plan, err := a.teardown(ctx, platform, c, o)
		if err != nil {
			if err := d.fail(c.ID, err); err != nil {
				return err
			}
			continue
		}
		d.plans = append(d.plans, plan)
		d.clients = append(d.clients, client)
	}
	_, err = d.carryOut(ctx, "destroy", o.yes)
	return err
}

// teardown plans the uninstallation on one cluster. Diagnostics have been shown when it returns.
func (a *app) teardown(ctx context.Context, platform *pipeline.Platform, c pipeline.Cluster, o destroyOptions) (*pipeline.Client, pipeline.Plan, error) {
	stage, err := a.evaluate(ctx, platform, c, o.selection)
	if err != nil {
		return nil, pipeline.Plan{}, err
	}
	client, err := pipeline.Connect(ctx, c, a.connection(o.connect))
	if err != nil {
		return nil, pipeline.Plan{}, err
	}
	plan, err := platform.Teardown(ctx, stage, client, o.deleteNamespaces)
	return client, plan, err
}
