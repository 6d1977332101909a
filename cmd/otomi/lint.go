package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const lintHelp = `Check the values of all clusters, and find what is legal but suspicious.

It does what validate --all does, and warns of keys that no cluster uses, of values that a
more generic layer already says, and of values that all clusters of a cloud, or all clouds,
say alike. It renders the releases of all clusters, and warns of lines of charts that make
something else of the same values each time; with --schema it looks at values alone. Only
errors fail; --strict lets warnings fail too.

  otomi lint
  otomi lint --strict --format github`

type lintOptions struct {
	target    targetOptions
	findings  findingsOptions
	state     stateOptions
	selection selectOptions
	// chart is -c, which is refused.
	chart string
}

func newLint(a *app) *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "find what is legal but suspicious in the values",
		Long:  lintHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runLint(cmd.Context(), a, o) },
	}
	cmd.Flags().StringVar(&o.target.repo, "repo", "", "values repository `DIR` (default: the one around the working directory)")
	cmd.Flags().StringVar(&o.target.schema, "schema", "", "check against the schema in `FILE` instead of the stack's")
	o.target.allow.flags(cmd.Flags())
	o.target.cache.flags(cmd.Flags())
	o.findings.flags(cmd.Flags())
	o.target.values.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	shortChart(cmd.Flags(), &o.chart)
	return cmd
}

func runLint(ctx context.Context, a *app, o lintOptions) error {
	if err := checkShortChart("lint", o.chart); err != nil {
		return err
	}
	if plain, err := a.plain(&o.state, o.target); plain || err != nil {
		if err != nil {
			return err
		}
		return a.lintState(ctx, o)
	}
	o.target.all = true
	platform, clusters, diags, err := a.openQuietly(ctx, o.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.target.cache)
	if !diags.HasErrors() {
		found, err := platform.Lint(ctx, clusters, pipeline.ValidateOptions{Emit: a.progress("checked"), NoCharts: o.target.schema != ""})
		if err != nil {
			return err
		}
		diags = append(diags, found.Diagnostics...)
		a.report.Hide(found.Secrets)
	}
	return a.findings("lint", o.findings, platform, clusters, diags, nil)
}
