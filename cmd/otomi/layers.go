package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/report"
)

const layersHelp = `Print the layers of a cluster's values, weakest first, with what each contributes.

SET counts the leaves that a layer says: scalars, nulls, whole lists and empty maps. WON
counts those that no stronger layer overrides; they add up to the leaves of the merged
tree. A layer that won nothing changes nothing, unless it adds to a list that is
appended: such a list counts for the strongest layer that has it.

  otomi layers -c aws/demo
  otomi layers -c aws/demo -o json`

type layersOptions struct {
	target targetOptions
	output string
}

func newLayers(a *app) *cobra.Command {
	var o layersOptions
	cmd := &cobra.Command{
		Use:   "layers",
		Short: "print the layers of a cluster and what each contributes",
		Long:  layersHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runLayers(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runLayers(ctx context.Context, a *app, o layersOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	compiled, err := a.compileAll(ctx, platform, clusters)
	if err != nil {
		return err
	}
	var all []report.Layers
	for _, values := range compiled {
		layers := report.Layers{Cluster: values.Cluster.ID, Leaves: values.Leaves()}
		for _, contribution := range values.Contributions() {
			layers.Layers = append(layers.Layers, report.Contribution(contribution))
		}
		all = append(all, layers)
	}
	return a.report.Layers(all, o.output)
}
