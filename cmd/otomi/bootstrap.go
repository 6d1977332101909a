package main

import (
	"bufio"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/scaffold"
)

const bootstrapHelp = `Write a new values repository.

Without flags, on a terminal, it asks. Run again it changes nothing that is there: it says
what it left alone.

  otomi bootstrap --cluster aws/demo --domain demo.example.com --kube-context demo-admin platform
  otomi bootstrap --profile demo platform`

// registryFile is the registry of clusters in a values repository.
const registryFile = "env/clusters.yaml"

type bootstrapOptions struct {
	cluster     string
	domain      string
	kubeContext string
	profile     string
}

func newBootstrap(a *app) *cobra.Command {
	var o bootstrapOptions
	cmd := &cobra.Command{
		Use:   "bootstrap [DIR]",
		Short: "write a new values repository",
		Long:  bootstrapHelp,
		Args:  cobra.MaximumNArgs(1),
		// Not the settings of the other verbs: see withoutSettings.
		Annotations: map[string]string{withoutSettings: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runBootstrap(cmd.Context(), a, dir, o)
		},
	}
	cmd.Flags().StringVarP(&o.cluster, "cluster", "c", "", "the first cluster, `CLOUD/NAME`")
	cmd.Flags().StringVar(&o.domain, "domain", "", "its domain")
	cmd.Flags().StringVar(&o.kubeContext, "kube-context", "", "its context in your kubeconfig")
	cmd.Flags().StringVar(&o.profile, "profile", "", "what to write beside the cluster: `demo` for an example of two clouds, three clusters and two teams")
	return cmd
}

func runBootstrap(ctx context.Context, a *app, dir string, o bootstrapOptions) error {
	if o.cluster == "" && o.profile == "" {
		if !a.world.stdinTerminal || !a.world.stderrTerminal {
			return fmt.Errorf("nothing says which cluster to begin with; type: otomi bootstrap --cluster CLOUD/NAME --domain DOMAIN %s, or --profile demo for an example", dir)
		}
		if err := askBootstrap(ctx, a, &o); err != nil {
			return err
		}
	}
	editor, err := pipeline.BuiltinEditorSchema(a.stack)
	if err != nil {
		return err
	}
	result, diags, err := scaffold.Bootstrap(a.path(dir), scaffold.Answers{
		Cluster: o.cluster, Domain: o.domain, KubeContext: o.kubeContext, Profile: o.profile,
	}, scaffold.Options{EditorSchema: editor})
	if err != nil {
		return err
	}
	if err := a.reported(diags, nil); err != nil {
		return err
	}
	for _, name := range result.Left {
		a.report.Talk("left as it is: %s", filepath.Join(dir, name))
	}
	if slices.Contains(result.Left, registryFile) && o.cluster != "" {
		// The registry is the one file that has to change for what was asked, and it is the user's.
		cloud, name, _ := strings.Cut(o.cluster, "/")
		a.report.Talk("a cluster is added by you: unless %s has it, write there, below clouds:", registryFile)
		a.report.Talk("  %s:\n    clusters:\n      %s: { domain: %q, kubeContext: %q }", cloud, name, o.domain, o.kubeContext)
	}
	switch {
	case len(result.Written) == 0:
		a.report.Talk("nothing was written: every file is there already")
	default:
		a.report.Talk("wrote %s to %s", report.Plural(len(result.Written), "file"), dir)
		a.report.Talk("its README.md says what to do next; for a start: cd %s && otomi validate --all", dir)
	}
	return nil
}

// askBootstrap asks on the terminal for what the flags did not say. An empty answer takes the default in brackets.
func askBootstrap(ctx context.Context, a *app, o *bootstrapOptions) error {
	lines := bufio.NewScanner(a.world.stdin)
	ask := func(question, otherwise string) (string, error) {
		a.report.Ask("%s [%s]: ", question, otherwise)
		if !lines.Scan() || ctx.Err() != nil {
			return "", fmt.Errorf("no answer; nothing was written")
		}
		if answer := strings.TrimSpace(lines.Text()); answer != "" {
			return answer, nil
		}
		return otherwise, nil
	}
	var err error
	if o.cluster, err = ask("cluster, CLOUD/NAME", "aws/demo"); err != nil {
		return err
	}
	_, name, _ := strings.Cut(o.cluster, "/")
	if o.domain == "" {
		if o.domain, err = ask("its domain", name+".example.com"); err != nil {
			return err
		}
	}
	if o.kubeContext == "" {
		if o.kubeContext, err = ask("its context in your kubeconfig", name); err != nil {
			return err
		}
	}
	return nil
}
