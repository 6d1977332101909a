package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const explainHelp = `Tell why a value is what it is: the line that set it, what that line beat, what the
schema says, and in a git repository the commit that last touched the line.

PATH is written as for helm's --set: a.b[0], and \. for a dot within a key. For a map every
value below it is listed with its line. --all groups the clusters by their value. Secrets
show as (secret) unless --reveal is given.

  otomi explain cluster.domain -c aws/demo
  otomi explain cluster -c aws/demo -o json
  otomi explain cluster.domain --all`

type explainOptions struct {
	target targetOptions
	output string
	reveal bool
}

func newExplain(a *app) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain PATH",
		Short: "tell where a value is from and what it beat",
		Long:  explainHelp,
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return runExplain(cmd.Context(), a, args[0], o) },
	}
	o.target.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print secrets in clear")
	return cmd
}

func runExplain(ctx context.Context, a *app, text string, o explainOptions) error {
	path, err := pipeline.ParsePath(text)
	if err != nil {
		return fmt.Errorf("the path %q can't be read: %w", text, err)
	}
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()
	if o.reveal {
		a.report.Reveal()
	}
	options := pipeline.ExplainOptions{Reveal: o.reveal}
	if o.target.all {
		groups, secrets, diags, err := platform.ExplainAll(ctx, clusters, path, options)
		if err != nil {
			return err
		}
		a.report.Hide(secrets)
		if err := a.reported(diags, platform.Shown(diags)); err != nil {
			return err
		}
		return a.report.Groups(path, shownGroups(groups), o.output)
	}
	for _, c := range clusters {
		values, err := a.compile(ctx, platform, c)
		if err != nil {
			return err
		}
		e, diags, err := platform.Explain(ctx, values, path, options)
		if err != nil {
			return err
		}
		if err := a.reported(diags, platform.Shown(diags)); err != nil {
			return err
		}
		if err := a.report.Explain(shownExplanation(e), o.output); err != nil {
			return err
		}
	}
	return nil
}

// compile compiles the values of a cluster. Diagnostics have been shown when it returns.
func (a *app) compile(ctx context.Context, platform *pipeline.Platform, c pipeline.Cluster) (pipeline.Values, error) {
	values, diags, err := platform.Compile(ctx, c)
	if err != nil {
		return pipeline.Values{}, err
	}
	a.report.Hide(values.Secrets())
	return values, a.reported(diags, platform.Shown(diags))
}

// compileAll compiles the values of clusters. Diagnostics have been shown when it returns, each once, with the clusters it
// concerns.
func (a *app) compileAll(ctx context.Context, platform *pipeline.Platform, clusters []pipeline.Cluster) ([]pipeline.Values, error) {
	all := make([]pipeline.Values, len(clusters))
	var found diag.Collection
	for i, c := range clusters {
		values, diags, err := platform.Compile(ctx, c)
		if err != nil {
			return nil, err
		}
		a.report.Hide(values.Secrets())
		if len(clusters) == 1 {
			c.ID = "" // there is no other that a finding could be about
		}
		found.Add(c.ID, diags)
		all[i] = values
	}
	diags := found.Diagnostics()
	return all, a.reported(diags, platform.Shown(diags))
}

func shownExplanation(e pipeline.Explanation) report.Explanation {
	out := report.Explanation{Cluster: e.Cluster, Path: e.Path, Value: e.Value, Near: e.Near, Beaten: e.Beaten, Untold: e.Untold}
	for _, l := range e.Leaves {
		out.Leaves = append(out.Leaves, report.ExplainedLeaf(l))
	}
	if e.Described {
		out.Schema = &e.Schema
	}
	if e.Tracked {
		out.Change = &e.Change
	}
	return out
}

func shownGroups(groups []pipeline.Group) []report.Group {
	var out []report.Group
	for _, g := range groups {
		shown := report.Group{Value: g.Value}
		for _, p := range g.Places {
			shown.Places = append(shown.Places, report.GroupPlace(p))
		}
		out = append(out, shown)
	}
	return out
}
