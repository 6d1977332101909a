package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const templateHelp = `Render the manifests of a cluster, runlevel by runlevel, without reaching it.

The values are validated first. Secrets print as (secret) unless --reveal is given: with
it the output can be piped to kubectl.

  otomi template -c aws/demo
  otomi template -c aws/demo -l service=web --include-crds`

type templateOptions struct {
	target       targetOptions
	selection    selectOptions
	capabilities capabilityOptions
	includeCRDs  bool
	skipTests    bool
	noHooks      bool
	reveal       bool
	output       string
}

func newTemplate(a *app) *cobra.Command {
	var o templateOptions
	cmd := &cobra.Command{
		Use:   "template",
		Short: "render the manifests of a cluster",
		Long:  templateHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runTemplate(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.includeCRDs, "include-crds", false, "print the objects of crds/ folders too")
	cmd.Flags().BoolVar(&o.skipTests, "skip-tests", false, "leave out test hooks")
	cmd.Flags().BoolVar(&o.noHooks, "no-hooks", false, "leave out all hooks")
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print secrets in clear")
	cmd.Flags().VarP(formatFlag(&o.output, "yaml", "json"), "output", "o", "format: yaml or json")
	return cmd
}

func runTemplate(ctx context.Context, a *app, o templateOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	if o.reveal {
		a.report.Reveal()
	}
	var stages []pipeline.Stage
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, o.selection)
		if err != nil {
			return err
		}
		stages = append(stages, stage)
	}
	if err := a.matched(stages, o.selection); err != nil {
		return err
	}
	var rendered []report.Rendered
	for _, stage := range stages {
		releases, diags, err := platform.Render(ctx, stage, o.capabilities.capabilities())
		if err != nil {
			return err
		}
		if err := a.reported(diags, platform.Shown(diags)); err != nil {
			return err
		}
		rendered = append(rendered, report.Rendered{Cluster: stage.Values.Cluster.ID, Releases: releases})
	}
	return a.report.Manifests(rendered, report.ManifestOptions{
		Format: o.output, IncludeCRDs: o.includeCRDs, SkipTests: o.skipTests, NoHooks: o.noHooks,
	})
}
