package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const listHelp = `List the releases of a cluster as the runlevels define them, without reaching it.

  otomi list -c aws/demo
  otomi list -c aws/demo -o json`

type listOptions struct {
	target    targetOptions
	selection selectOptions
	state     stateOptions
	output    string
}

func newList(a *app) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the releases that the runlevels define",
		Long:  listHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runList(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runList(ctx context.Context, a *app, o listOptions) error {
	if plain, err := a.plain(&o.state, o.target); plain || err != nil {
		if err != nil {
			return err
		}
		return a.listState(ctx, o.state, o.target, o.selection, o.output)
	}
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	var lists []report.List
	var stages []pipeline.Stage
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, o.selection, "")
		if err != nil {
			return err
		}
		stages = append(stages, stage)
		lists = append(lists, report.List{Cluster: c.ID, Levels: stage.Levels})
	}
	if err := a.matched(stages, o.selection); err != nil {
		return err
	}
	return a.report.List(lists, o.output)
}
