package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const validateHelp = `Check the values of a cluster against the schema of the stack.

Every finding names the file, line and column to change, and is shown once with the
clusters it concerns. Nothing is printed when all is well. Only errors fail; --strict
lets warnings fail too. For people the findings go to standard error, in every other
format to standard output.

With --manifests the releases are rendered too, and every object is checked against the
schemas of the Kubernetes version that charts see and the custom resource definitions of
the run. No cluster is asked: docs/validation.md says what only one can tell.

  otomi validate -c aws/demo
  otomi validate --all --manifests
  otomi validate --all --format json
  otomi validate --all --schema ../next/values.schema.yaml`

type validateOptions struct {
	target       targetOptions
	findings     findingsOptions
	capabilities capabilityOptions
	manifests    bool
}

func newValidate(a *app) *cobra.Command {
	var o validateOptions
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "check the values against the schema",
		Long:  validateHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runValidate(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	o.findings.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	o.target.cache.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.manifests, "manifests", false, "render the releases and check every object against the Kubernetes schemas")
	cmd.Flags().StringVar(&o.target.schema, "schema", "", "check against the schema in `FILE` instead of the stack's")
	return cmd
}

func (o validateOptions) check() error {
	if !o.manifests && (o.capabilities.kubeVersion != "" || len(o.capabilities.apiVersions) > 0) {
		return fmt.Errorf("--kube-version and --api-versions are about what charts render; add --manifests")
	}
	return nil
}

func runValidate(ctx context.Context, a *app, o validateOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	platform, clusters, diags, err := a.openQuietly(ctx, o.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.target.cache)
	options := pipeline.ValidateOptions{Emit: a.progress("validated")}
	if o.manifests {
		capabilities := o.capabilities.capabilities()
		options.Manifests = &capabilities
	}
	found, err := platform.ValidateAll(ctx, clusters, options)
	if err != nil {
		return err
	}
	return a.findings("validate", o.findings, platform, clusters, append(diags, found.Diagnostics...), found.Secrets)
}

// findingsOptions say how a verb that checks shows what it found.
type findingsOptions struct {
	format string
	strict bool
}

func (o *findingsOptions) flags(flags *pflag.FlagSet) {
	flags.VarP(formatFlag(&o.format, report.FindingFormats()...), "format", "o", "format of the findings: human, json, github, sarif or junit")
	flags.BoolVar(&o.strict, "strict", false, "warnings fail too")
}

// findings shows what a verb found, and returns the error that ends it where something fails.
func (a *app) findings(
	verb string, o findingsOptions, platform *pipeline.Platform, clusters []pipeline.Cluster, ds diag.Diagnostics, secrets []string,
) error {
	a.report.Hide(secrets)
	f := report.Findings{Verb: verb, Diagnostics: ds, Sources: platform.Shown(ds), Strict: o.strict, Version: version}
	for _, c := range clusters {
		if c.ID != "" {
			f.Clusters = append(f.Clusters, c.ID)
		}
	}
	if err := a.report.Findings(f, o.format); err != nil {
		return err
	}
	if ds.HasErrors() || o.strict && len(ds) > 0 {
		return exit(exitFailed)
	}
	return nil
}

// progress returns what shows how far a run over clusters is.
func (a *app) progress(verb string) func(pipeline.Progress) {
	return func(p pipeline.Progress) { a.report.Progress(verb, p.Done, p.Total, "clusters") }
}

// warnings returns the diagnostics that do not stop a command.
func warnings(ds diag.Diagnostics) diag.Diagnostics {
	var out diag.Diagnostics
	for _, d := range ds {
		if d.Severity == diag.Warning {
			out = append(out, d)
		}
	}
	return out
}
