package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const versionHelp = `Print the version of otomi.

  otomi version
  otomi version -o json`

type versionOptions struct {
	output string
}

func newVersion(a *app) *cobra.Command {
	var o versionOptions
	cmd := &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long:  versionHelp,
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return runVersion(a, o) },
	}
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runVersion(a *app, o versionOptions) error {
	return a.report.Version(report.Version{Version: version, Go: runtime.Version(), Kubernetes: pipeline.NewestKubernetes()}, o.output)
}
