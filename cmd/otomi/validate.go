package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/diag"
)

const validateHelp = `Check the values of a cluster against the schema of the stack.

Every finding names the file, line and column to change. Nothing is printed when all is
well. Only errors fail; --strict lets warnings fail too.

  otomi validate -c aws/demo
  otomi validate --all --format json`

type validateOptions struct {
	target targetOptions
	format string
	strict bool
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
	cmd.Flags().VarP(formatFlag(&o.format, "human", "json"), "format", "o", "format of the findings: human or json")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "warnings fail too")
	return cmd
}

func runValidate(ctx context.Context, a *app, o validateOptions) error {
	platform, clusters, diags, err := a.openQuietly(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	for _, c := range clusters {
		values, more, err := platform.Validate(ctx, c)
		if err != nil {
			return err
		}
		a.report.Hide(values.Secrets)
		diags = append(diags, more...)
	}
	if o.format == "json" {
		if err := a.report.DiagnosticsJSON(diags); err != nil {
			return err
		}
	} else {
		a.report.Diagnostics(diags, platform.Sources())
	}
	if diags.HasErrors() || o.strict && len(diags) > 0 {
		return exit(exitFailed)
	}
	return nil
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
