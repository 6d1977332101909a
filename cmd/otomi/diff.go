package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

const diffHelp = `Show what apply would change on the cluster, and change nothing.

Each object is shown as a unified diff from what is live to what is wanted. Values of
Secrets show as (secret), and as (secret, changed) where they differ. Without differences
nothing is printed on standard output.

  otomi diff -c aws/demo
  otomi diff -c aws/demo -l team=alpha --detailed-exitcode`

type diffOptions struct {
	target           targetOptions
	selection        selectOptions
	capabilities     capabilityOptions
	connect          connectOptions
	compare          compareOptions
	output           string
	detailedExitcode bool
}

// compareOptions say how a comparison judges objects that are in the way.
type compareOptions struct {
	takeOwnership bool
	force         bool
}

func (o *compareOptions) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.takeOwnership, "take-ownership", false, "adopt objects that are there and belong to no release")
	flags.BoolVar(&o.force, "force", false, "replace objects that can't be changed in place")
}

func (o compareOptions) with(c capabilityOptions) pipeline.DiffOptions {
	return pipeline.DiffOptions{
		Capabilities:  pipeline.Capabilities{KubeVersion: c.kubeVersion, APIVersions: c.apiVersions},
		TakeOwnership: o.takeOwnership,
		Force:         o.force,
	}
}

func newDiff(a *app) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "show what apply would change",
		Long:  diffHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDiff(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	o.connect.flags(cmd.Flags())
	o.compare.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when there are differences")
	return cmd
}

func runDiff(ctx context.Context, a *app, o diffOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	var plans []pipeline.Plan
	differ, invalid := false, false
	for _, c := range clusters {
		_, plan, err := a.plan(ctx, platform, c, o.connect, o.selection, o.compare.with(o.capabilities))
		if err != nil {
			return err
		}
		plans = append(plans, plan)
		differ = differ || !plan.Empty()
		invalid = invalid || plan.Counts().Invalid > 0
	}
	if err := a.report.Plans(plans, o.output); err != nil {
		return err
	}
	switch {
	case invalid:
		return exit(exitFailed)
	case differ && o.detailedExitcode:
		return exit(exitDifferences)
	}
	return nil
}

// plan compares one cluster with what is wanted of it. Diagnostics have been shown when it returns.
func (a *app) plan(ctx context.Context, platform *pipeline.Platform, c pipeline.Cluster, connect connectOptions, selection selectOptions, o pipeline.DiffOptions) (*pipeline.Client, pipeline.Plan, error) {
	stage, err := a.evaluate(ctx, platform, c, selection)
	if err != nil {
		return nil, pipeline.Plan{}, err
	}
	client, err := pipeline.Connect(ctx, c, a.connection(connect))
	if err != nil {
		return nil, pipeline.Plan{}, err
	}
	plan, diags, err := platform.Diff(ctx, stage, client, o)
	if err != nil {
		return nil, pipeline.Plan{}, err
	}
	return client, plan, a.reported(diags, platform.Sources())
}
