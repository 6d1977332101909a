package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const schemaHelp = `Look at the schema of the values itself.

The schema is that of the stack: of the values repository around the working directory,
or outside of any the built-in one. --schema names another.

  otomi schema check
  otomi schema docs > docs/values.md`

func newSchema(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "check the schema of the values, or write its reference",
		Long:  schemaHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSchemaCheck(a), newSchemaDocs(a))
	return cmd
}

// schemaOptions say which schema a verb works on.
type schemaOptions struct {
	repo string
	file string
}

func (o *schemaOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.repo, "repo", "", "values repository `DIR` whose stack has the schema (default: the one around the working directory)")
	flags.StringVar(&o.file, "schema", "", "schema `FILE` in place of the stack's")
}

func (o schemaOptions) check() error {
	if o.repo != "" && o.file != "" {
		return fmt.Errorf("--schema can't be used with --repo; leave out one of them")
	}
	return nil
}

func (o schemaOptions) pipeline(a *app) pipeline.Options {
	return pipeline.Options{Dir: a.world.dir, Repo: o.repo, Builtin: a.stack, Version: version}
}

const schemaCheckHelp = `Find the mistakes of a schema.

What makes the schema unusable is an error, as it is for every other verb: a keyword whose
value has the wrong type, a reference to nothing, a pattern that cannot be compiled. What
is legal and cannot be meant is a warning: an unknown keyword, one without effect where it
stands, a default that does not fit, a required key that a closed map does not have.

  otomi schema check
  otomi schema check --schema my.schema.yaml --strict`

type schemaCheckOptions struct {
	schema schemaOptions
	format string
	strict bool
}

func newSchemaCheck(a *app) *cobra.Command {
	var o schemaCheckOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "find the mistakes of a schema",
		Long:  schemaCheckHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runSchemaCheck(cmd.Context(), a, o) },
	}
	o.schema.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.format, report.FindingFormats()...), "format", "o", "format of the findings: human, json, github, sarif or junit")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "warnings fail too")
	return cmd
}

func runSchemaCheck(ctx context.Context, a *app, o schemaCheckOptions) error {
	if err := o.schema.check(); err != nil {
		return err
	}
	diags, sources, err := pipeline.CheckSchema(ctx, o.schema.pipeline(a), o.schema.file)
	if err != nil {
		return err
	}
	findings := report.Findings{Verb: "schema check", Diagnostics: diags, Sources: sources, Strict: o.strict, Version: version}
	if err := a.report.Findings(findings, o.format); err != nil {
		return err
	}
	if diags.HasErrors() || o.strict && len(diags) > 0 {
		return exit(exitFailed)
	}
	return nil
}

const schemaDocsHelp = `Write the reference of the values in markdown, from their schema.

Each map has a section with a table of its keys, each definition is written once and
linked. The same schema gives the same text.

  otomi schema docs > docs/values.md`

func newSchemaDocs(a *app) *cobra.Command {
	var o schemaOptions
	cmd := &cobra.Command{
		Use:   "docs",
		Short: "write the reference of the values in markdown",
		Long:  schemaDocsHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runSchemaDocs(cmd.Context(), a, o) },
	}
	o.flags(cmd.Flags())
	return cmd
}

func runSchemaDocs(ctx context.Context, a *app, o schemaOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	text, diags, sources, err := pipeline.SchemaDocs(ctx, o.pipeline(a), o.file)
	if err != nil {
		return err
	}
	if err := a.reported(diags, sources); err != nil {
		return err
	}
	return a.report.Product(string(text))
}
