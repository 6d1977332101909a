package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/report"
)

const valuesHelp = `Print the merged values of a cluster.

Secrets print as (secret) unless --reveal is given.

  otomi values -c aws/demo
  otomi values --all -o json`

type valuesOptions struct {
	target targetOptions
	output string
	reveal bool
}

func newValues(a *app) *cobra.Command {
	var o valuesOptions
	cmd := &cobra.Command{
		Use:   "values",
		Short: "print the merged values of a cluster",
		Long:  valuesHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runValues(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "yaml", "json"), "output", "o", "format: yaml or json")
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print secrets in clear")
	return cmd
}

func runValues(ctx context.Context, a *app, o valuesOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	trees := make([]report.Values, 0, len(clusters))
	for _, c := range clusters {
		values, diags, err := platform.Compile(ctx, c)
		if err != nil {
			return err
		}
		a.report.Hide(values.Secrets)
		if err := a.reported(diags, platform.Sources()); err != nil {
			return err
		}
		root := values.Masked
		if o.reveal {
			a.report.Reveal()
			root = values.Root
		}
		trees = append(trees, report.Values{Cluster: c.ID, Root: root})
	}
	return a.report.Values(trees, o.output)
}
