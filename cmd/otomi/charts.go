package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const chartsHelp = `Pin, keep and look at the charts that the runlevels use.

Charts that come from elsewhere are pinned by charts.lock, which is committed, and may be
kept in vendor/charts. Then everything renders and applies without a network, and what
was changed on the way is refused.

  otomi charts lock
  otomi charts vendor
  otomi charts outdated
  otomi charts diff nginx 1.2.0 1.3.0`

func newCharts(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "charts",
		Short: "pin, keep and look at the charts that are used",
		Long:  chartsHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newChartsList(a), newChartsLock(a), newChartsVendor(a), newChartsOutdated(a), newChartsDiff(a))
	return cmd
}

// everywhereOptions are those of a verb that works on the charts of all clusters at once.
type everywhereOptions struct {
	target targetOptions
}

func (o *everywhereOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.target.repo, "repo", "", "values repository `DIR` (default: the one around the working directory)")
	o.target.values.flags(flags)
	o.target.allow.flags(flags)
	o.target.cache.dirFlag(flags)
}

// everywhere opens the values repository and evaluates the runlevels of its clusters: all of them, unless one is named.
// Diagnostics have been shown when it returns. The caller closes the platform.
func (a *app) everywhere(ctx context.Context, o targetOptions) (*pipeline.Platform, []pipeline.Stage, error) {
	o.all = o.all || o.cluster == ""
	platform, clusters, err := a.open(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	stages := make([]pipeline.Stage, 0, len(clusters))
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, selectOptions{}, "")
		if err != nil {
			_ = platform.Close() // what failed is said already
			return nil, nil, err
		}
		if len(clusters) > 1 {
			// A single one keeps its values, so that what fails to render can name the line to change.
			stage = platform.Forget(stage)
		}
		stages = append(stages, stage)
	}
	return platform, stages, nil
}
