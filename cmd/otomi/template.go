package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const templateHelp = `Render the manifests of a cluster, runlevel by runlevel, without reaching it.

The values are validated first. Secrets print as (secret) unless --reveal is given: with
it the output can be piped to kubectl. Each document has a comment that names its
release, its chart with the digest, and its template. Where anything fails nothing is
printed.

With --output-dir every object becomes a file of its own, NAMESPACE/RELEASE/KIND-NAME.yaml
(with --all below CLOUD/NAME), or with --output-layout helmfile every template one, as
helmfile lays them out. Files that are there are replaced; others are left alone.

With --validate every object is checked before anything is printed, against the schemas
of the Kubernetes version that charts see and the custom resource definitions of the run.
No cluster is asked: docs/validation.md says what only one can tell.

  otomi template -c aws/demo
  otomi template -c aws/demo -l service=web --include-crds
  otomi template -c aws/demo -l service=web --show-only templates/deployment.yaml
  otomi template -c aws/demo --validate --kube-version 1.36
  otomi template --all --output-dir manifests`

type templateOptions struct {
	target       targetOptions
	selection    selectOptions
	capabilities capabilityOptions
	includeCRDs  bool
	skipTests    bool
	noHooks      bool
	reveal       bool
	validate     bool
	output       string
	showOnly     []string
	outputDir    string
	outputLayout string
	// layoutGiven reports whether the layout was asked for.
	layoutGiven func() bool
	state       stateOptions
	helmfile    templateStateOptions
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
	o.layoutGiven = func() bool { return cmd.Flags().Changed("output-layout") }
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	o.target.cache.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	o.helmfile.flags(cmd.Flags())
	o.state.arguments.renderFlags(cmd.Flags())
	cmd.Flags().BoolVar(&o.includeCRDs, "include-crds", false, "print the objects of crds/ folders too")
	cmd.Flags().BoolVar(&o.skipTests, "skip-tests", false, "leave out test hooks")
	cmd.Flags().BoolVar(&o.noHooks, "no-hooks", false, "leave out all hooks")
	cmd.Flags().BoolVar(&o.reveal, "reveal", false, "print secrets in clear")
	cmd.Flags().BoolVar(&o.validate, "validate", false, "check every object against the Kubernetes schemas first")
	cmd.Flags().StringArrayVarP(&o.showOnly, "show-only", "s", nil,
		"only what this `TEMPLATE` of the charts renders, by its path in the chart; repeat for more")
	cmd.Flags().StringVar(&o.outputDir, "output-dir", "", "write files into `DIR` instead of standard output")
	cmd.Flags().Var(formatFlag(&o.outputLayout, report.Layouts()...), "output-layout",
		"the files of --output-dir: object (one an object) or helmfile (one a template)")
	cmd.Flags().VarP(formatFlag(&o.output, "yaml", "json"), "output", "o", "format: yaml or json")
	return cmd
}

func (o templateOptions) check() error {
	if o.outputDir != "" && o.output == "json" {
		return fmt.Errorf("--output-dir writes YAML and can't be used with -o json; leave out one of them")
	}
	return nil
}

func runTemplate(ctx context.Context, a *app, o templateOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if plain, err := a.plain(&o.state, o.target); plain || err != nil {
		if err != nil {
			return err
		}
		return a.templateState(ctx, o)
	}
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.target.cache)
	if o.reveal {
		a.report.Reveal()
	}
	manifests := a.report.Manifests(o.manifests(a))
	defer manifests.Close()
	found := false
	// One cluster after the other: what is held does not grow with their number.
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, o.selection, "template")
		if err != nil {
			return err
		}
		found = found || !stage.Empty()
		id := ""
		if len(clusters) > 1 {
			id = c.ID
		}
		render := platform.Render
		if o.validate {
			render = platform.RenderChecked
		}
		diags, err := render(ctx, stage, o.capabilities.capabilities(), func(r pipeline.Rendered) error {
			return manifests.Add(report.Rendered{Cluster: id, File: a.stateFile(r.File), Release: r.Release})
		})
		if err == nil {
			err = a.reported(diags, platform.Shown(diags))
		}
		if err := a.cleanedUp(ctx, stage.Hooks, platform.Shown, "template", err); err != nil {
			return err
		}
		platform.Forget(stage)
	}
	if err := a.matchedAny(found || len(clusters) == 0, o.selection); err != nil {
		return err
	}
	return manifests.Print()
}

// manifests are the options of what is printed.
func (o templateOptions) manifests(a *app) report.ManifestOptions {
	out := report.ManifestOptions{
		Format: o.output, IncludeCRDs: o.includeCRDs, SkipTests: o.skipTests, NoHooks: o.noHooks,
		ShowOnly: o.showOnly, Layout: report.Layout(o.outputLayout), Temp: os.TempDir(),
	}
	if o.outputDir != "" {
		out.Dir = a.path(o.outputDir)
	}
	return out
}

// stateFile makes the shown name of a state file a path that does not depend on the working directory. One of the stack that
// the binary carries is none.
func (a *app) stateFile(shown string) string {
	if strings.HasPrefix(shown, a.stack.Prefix) {
		return shown
	}
	return a.path(filepath.FromSlash(shown))
}
