package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const chartsDiffHelp = `Show what another version of a chart changes.

The default values that releases set are compared, the images, the custom resource
definitions, and every object of every cluster, rendered with both versions. CHART is
named as its releases name it, or by the last part of that. OLD and NEW are versions, or
directories and .tgz files. What differs in the same way in several clusters is shown
once. Secrets are masked.

  otomi charts diff nginx 1.2.0 1.3.0
  otomi charts diff bitnami/nginx 1.2.0 1.3.0 -c aws/demo
  otomi charts diff team charts/team ../next/charts/team`

type chartsDiffOptions struct {
	target       targetOptions
	capabilities capabilityOptions
	allValues    bool
	detailed     bool
	output       string
}

func newChartsDiff(a *app) *cobra.Command {
	var o chartsDiffOptions
	cmd := &cobra.Command{
		Use:   "diff CHART OLD NEW",
		Short: "show what another version of a chart changes",
		Long:  chartsDiffHelp,
		Args:  cobra.ExactArgs(3),
		RunE:  func(cmd *cobra.Command, args []string) error { return runChartsDiff(cmd.Context(), a, args, o) },
	}
	o.target.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	o.target.cache.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.allValues, "all-values", false, "show the default values that no release sets, too")
	cmd.Flags().BoolVar(&o.detailed, "detailed-exitcode", false, "exit with 2 when there are differences")
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runChartsDiff(ctx context.Context, a *app, args []string, o chartsDiffOptions) error {
	o.target.fetches = true
	platform, stages, err := a.everywhere(ctx, o.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.target.cache)
	update, diags, err := platform.UpdateChart(ctx, stages, pipeline.UpdateOptions{
		Chart: args[0], Old: args[1], New: args[2], AllValues: o.allValues, Capabilities: o.capabilities.capabilities(),
	})
	if err != nil {
		return err
	}
	// What could be compared is shown even where a version does not render: the default values tell why.
	if update.New.Digest != "" {
		if err := a.report.ChartUpdate(update, o.output); err != nil {
			return err
		}
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	if o.detailed && !update.Empty() {
		return exit(exitDifferences)
	}
	return nil
}
