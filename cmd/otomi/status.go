package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const statusHelp = `Show what the cluster's records say of each release of the runlevels.

  otomi status -c aws/demo
  otomi status --all --keep-going -o json
  otomi status -f helmfile.yaml`

type statusOptions struct {
	fleetOptions
	state deployStateOptions
}

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show the state of the releases on the cluster",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), a, o) },
	}
	o.fleetOptions.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	if plain, err := a.plainDeployment(&o.state, &o.fleetOptions); plain || err != nil {
		if err != nil {
			return err
		}
		return a.statusState(ctx, o)
	}
	f, err := a.gather(ctx, o.fleetOptions, "")
	if err != nil {
		return err
	}
	defer f.platform.Close()
	var rows []report.Status
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		releases, err := f.platform.Status(ctx, stage, client)
		for _, r := range releases {
			rows = append(rows, report.Status{
				Cluster: stage.Values.Cluster.ID, Runlevel: r.Release.Level, Name: r.Release.Name, Namespace: r.Release.Namespace,
				Installed: r.Release.Installed, Status: r.Status, Revision: r.Revision,
			})
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := a.report.Status(rows, o.output); err != nil {
		return err
	}
	return f.verdict()
}
