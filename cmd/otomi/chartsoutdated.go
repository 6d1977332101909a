package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/report"
)

const chartsOutdatedHelp = `List the charts from elsewhere of which there are newer versions.

WITHIN is the newest version that the releases ask for: otomi charts lock --update takes
it. NEWEST is the newest of all. Pre-releases count only where one is in use.

  otomi charts outdated
  otomi charts outdated -o json`

type chartsOutdatedOptions struct {
	everywhere       everywhereOptions
	detailedExitcode bool
	output           string
}

func newChartsOutdated(a *app) *cobra.Command {
	var o chartsOutdatedOptions
	cmd := &cobra.Command{
		Use:   "outdated",
		Short: "list the charts of which there are newer versions",
		Long:  chartsOutdatedHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runChartsOutdated(cmd.Context(), a, o) },
	}
	o.everywhere.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when there are newer versions")
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runChartsOutdated(ctx context.Context, a *app, o chartsOutdatedOptions) error {
	o.everywhere.target.fetches = true
	platform, stages, err := a.everywhere(ctx, o.everywhere.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.everywhere.target.cache)
	outdated, diags, err := platform.OutdatedCharts(ctx, stages)
	if err != nil {
		return err
	}
	var shown []report.Outdated
	for _, c := range outdated {
		shown = append(shown, report.Outdated(c))
	}
	if err := a.report.OutdatedCharts(shown, o.output); err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	if len(outdated) == 0 {
		a.report.Talk("no chart has a newer version")
		return nil
	}
	if o.detailedExitcode {
		return exit(exitDifferences)
	}
	return nil
}
