package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const valuesHelp = `Print the merged values of a cluster.

Secrets print as (secret) unless --reveal is given. --path prints a part, named as for
helm's --set: a.b[0]. --show-origins says behind each value which line it is from. --diff
compares two clusters and names the line that makes each difference.

  otomi values -c aws/demo
  otomi values -c aws/demo --path cluster --show-origins
  otomi values --diff aws/demo azure/demo
  otomi values --all -o json`

type valuesOptions struct {
	target      targetOptions
	output      string
	reveal      bool
	path        string
	showOrigins bool
	diff        bool
}

func newValues(a *app) *cobra.Command {
	var o valuesOptions
	cmd := &cobra.Command{
		Use:   "values",
		Short: "print the merged values of a cluster",
		Long:  valuesHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if !o.diff {
				return cobra.NoArgs(cmd, args)
			}
			if len(args) != 2 || o.target.cluster != "" || o.target.all {
				return errors.New("--diff takes two clusters as arguments and no other: otomi values --diff aws/demo azure/demo")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runValues(cmd.Context(), a, args, o) },
	}
	o.target.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "yaml", "json", "text"), "output", "o", "format: yaml or json; with --diff text or json")
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print secrets in clear")
	cmd.Flags().StringVar(&o.path, "path", "", "only the part at this `PATH`: a.b[0]")
	cmd.Flags().BoolVar(&o.showOrigins, "show-origins", false, "say behind each value which line it is from")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "compare two clusters, which are named as arguments")
	return cmd
}

func (o valuesOptions) check() error {
	switch {
	case o.showOrigins && o.output == "json":
		return errors.New("--show-origins writes comments, which JSON has not; leave out one of them, or see `otomi explain -o json`")
	case o.showOrigins && o.diff:
		return errors.New("--diff shows the origins of what differs anyway; leave out --show-origins")
	case o.output == "text" && !o.diff:
		return errors.New("values are printed as yaml or json; `-o text` is for --diff")
	}
	return nil
}

func runValues(ctx context.Context, a *app, args []string, o valuesOptions) error {
	path, err := pipeline.ParsePath(o.path)
	if err != nil {
		return fmt.Errorf("--path %q can't be read: %w", o.path, err)
	}
	if err := o.check(); err != nil {
		return err
	}
	if o.diff {
		return runValuesDiff(ctx, a, args, path, o)
	}
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	all, err := a.compileAll(ctx, platform, clusters)
	if err != nil {
		return err
	}
	trees := make([]report.Values, 0, len(clusters))
	var missing diag.Diagnostics
	for _, values := range all {
		root := values.Masked()
		if o.reveal {
			a.report.Reveal()
			root = values.Root
		}
		if root.At(path) == nil {
			missing = append(missing, pipeline.UnknownPath(root, path))
			continue
		}
		trees = append(trees, report.Values{Cluster: values.Cluster.ID, Root: root.At(path)})
	}
	if len(trees) == 0 {
		// Some clusters may lack the path, not all.
		if err := a.reported(missing, platform.Shown(missing)); err != nil {
			return err
		}
	}
	return a.report.Values(trees, report.ValuesOptions{Format: o.output, Origins: o.showOrigins})
}

// runValuesDiff compares the values of two clusters.
func runValuesDiff(ctx context.Context, a *app, ids []string, path pipeline.Path, o valuesOptions) error {
	o.target.all = false
	o.target.cluster = ids[0]
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	others, diags := platform.Clusters(ids[1], false)
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	if o.reveal {
		a.report.Reveal()
	}
	compiled, err := a.compileAll(ctx, platform, append(clusters, others...))
	if err != nil {
		return err
	}
	if compiled[0].Root.At(path) == nil && compiled[1].Root.At(path) == nil {
		return a.reported(diag.Diagnostics{pipeline.UnknownPath(compiled[0].Root, path)}, nil)
	}
	var shown []report.Difference
	for _, d := range pipeline.Differences(compiled[0], compiled[1], path, pipeline.ExplainOptions{Reveal: o.reveal}) {
		shown = append(shown, report.Difference(d))
	}
	return a.report.Differences(ids[0], ids[1], shown, o.output)
}
