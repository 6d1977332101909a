package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const statusHelp = `Show what the cluster's records say of each release of the runlevels.

  otomi status -c aws/demo
  otomi status --all -o json`

type statusOptions struct {
	target    targetOptions
	selection selectOptions
	connect   connectOptions
	output    string
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
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.connect.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	var rows []report.Status
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, o.selection)
		if err != nil {
			return err
		}
		client, err := pipeline.Connect(ctx, c, a.connection(o.connect))
		if err != nil {
			return err
		}
		releases, err := platform.Status(ctx, stage, client)
		if err != nil {
			return err
		}
		for _, r := range releases {
			rows = append(rows, report.Status{
				Cluster: c.ID, Runlevel: r.Release.Level, Name: r.Release.Name, Namespace: r.Release.Namespace,
				Installed: r.Release.Installed, Status: r.Status, Revision: r.Revision,
			})
		}
	}
	return a.report.Status(rows, o.output)
}
