package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/report"
)

const chartsListHelp = `List the charts that releases use, with their versions, digests and sources.

Those that come from elsewhere are as charts.lock has them; nothing is fetched. Without -c
the releases of all clusters are looked at, those among them that are not installed.

  otomi charts list
  otomi charts list -c aws/demo -o json`

type chartsListOptions struct {
	target targetOptions
	output string
}

func newChartsList(a *app) *cobra.Command {
	var o chartsListOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the charts that releases use",
		Long:  chartsListHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runChartsList(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runChartsList(ctx context.Context, a *app, o chartsListOptions) error {
	platform, stages, err := a.everywhere(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	charts, diags, err := platform.Charts(ctx, stages)
	if err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	var shown []report.Chart
	for _, c := range charts {
		row := report.Chart{Name: c.Chart, Constraint: c.Constraint, Version: c.Version, Digest: c.Digest, Source: c.Source}
		for _, use := range c.Uses {
			row.Uses = append(row.Uses, report.Use(use))
		}
		shown = append(shown, row)
	}
	return a.report.Charts(shown, o.output)
}
