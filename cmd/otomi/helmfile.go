package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/source"
)

// stateOptions say which state files a verb works on, in helmfile's words.
type stateOptions struct {
	file        string
	environment string
	namespace   string
	kubeContext string
	chart       string
	skipCharts  bool
	needs       needsOptions
	values      []string
	set         []string
	arguments   argumentOptions
}

// needsOptions say what becomes of the releases that selected ones need.
type needsOptions struct {
	skip, include, transitive, enforce bool
}

func (o *stateOptions) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.file, "file", "f", "", "state file or directory of them, as helmfile has it; - is standard input")
	flags.StringVarP(&o.environment, "environment", "e", "", "environment of the state files (default: default)")
	flags.StringVarP(&o.namespace, "namespace", "n", "", "namespace of all releases of the state files")
	if flags.Lookup("kube-context") == nil {
		flags.StringVar(&o.kubeContext, "kube-context", "", "context of all releases of the state files")
	}
	flags.StringVar(&o.chart, "chart", "", "chart of all releases of the state files")
	flags.BoolVar(&o.needs.skip, "skip-needs", true, "with selectors: leave out what the selected releases need")
	flags.BoolVar(&o.needs.include, "include-needs", false, "with selectors: take what the selected releases need, too")
	flags.BoolVar(&o.needs.transitive, "include-transitive-needs", false, "the same as --include-needs")
	flags.BoolVar(&o.needs.enforce, "enforce-needs-are-installed", false, "refuse releases that need one that is not installed")
	flags.StringArrayVar(&o.values, "values", nil, "values `FILE` of all releases of the state files")
	flags.StringArrayVar(&o.set, "set", nil, "single values of all releases of the state files, as Helm's --set")
	flags.BoolVar(&o.skipCharts, "skip-charts", false, "with list and destroy: run no hooks of prepare and cleanup of the state files")
	o.arguments.argsFlag(flags)
	idle(flags)
}

// idle adds flags that helmfile has and that change nothing here, so that its command lines work.
func idle(flags *pflag.FlagSet) {
	const usage = "accepted as helmfile has it; it has no effect here"
	for _, name := range []string{
		"skip-deps", "skip-repos", "keep-temp-dir", "skip-refresh", "skip-cleanup", "sequential-helmfiles", "quiet", "debug", "color", "interactive",
		"enable-live-output", "disable-force-update", "strip-args-values-on-exit-error", "oci-plain-http", "enforce-plugin-verification",
	} {
		if flags.Lookup(name) != nil {
			continue
		}
		short := map[string]string{"quiet": "q", "interactive": "i"}[name]
		flags.BoolP(name, short, false, usage)
		_ = flags.MarkHidden(name)
	}
	for _, name := range []string{"log-level", "helm-binary", "kustomize-binary", "concurrency", "repo-retries"} {
		if flags.Lookup(name) == nil {
			short := map[string]string{"helm-binary": "b", "kustomize-binary": "k"}[name]
			flags.StringP(name, short, "", usage)
			_ = flags.MarkHidden(name)
		}
	}
}

// plain reports whether the verb works on state files: -f was given, or there is no values repository and there are helmfile's
// files.
func (a *app) plain(o *stateOptions, target targetOptions) (bool, error) {
	if o.file == "" {
		o.file = a.world.env("HELMFILE_FILE_PATH")
	}
	if o.file != "" {
		return true, nil
	}
	if target.compiled() {
		return false, a.meansChart(target)
	}
	found := ""
	for _, name := range []string{"helmfile.yaml", "helmfile.yaml.gotmpl", "helmfile.d"} {
		if _, err := os.Stat(filepath.Join(a.world.dir, name)); err == nil {
			found = name
			break
		}
	}
	if found == "" {
		return false, nil
	}
	_, repository, err := source.Find(a.world.dir)
	if err != nil {
		return false, err
	}
	if repository {
		return false, fmt.Errorf("there are a values repository and %s here; say which is meant: --repo DIR, or -f %s", found, found)
	}
	return true, nil
}

// stateInput turns flags and environment into what is evaluated.
func (a *app) stateInput(o stateOptions, target targetOptions, selection selectOptions) pipeline.StateOptions {
	either := func(given, name string) string {
		if given != "" {
			return given
		}
		return a.world.env(name)
	}
	truth := func(name string) bool {
		b, _ := strconv.ParseBool(a.world.env(name))
		return b
	}
	in := pipeline.StateInput{
		Environment: either(o.environment, "HELMFILE_ENVIRONMENT"), Namespace: either(o.namespace, "HELMFILE_NAMESPACE"),
		KubeContext: either(o.kubeContext, "HELMFILE_KUBE_CONTEXT"), Chart: o.chart,
		ValuesFiles: target.values.files, Set: target.values.set, SetString: target.values.setString,
		ReleaseValuesFiles: o.values, ReleaseSet: o.set, Selectors: selection.selectors,
		ExplicitSelectors: a.world.env("HELMFILE_EXPERIMENTAL") == "explicit-selector-inheritance",
		IncludeNeeds:      o.needs.include || o.needs.transitive, UseNeeds: !o.needs.skip, EnforceNeeds: o.needs.enforce,
		RenderYAML: truth("HELMFILE_RENDER_YAML"),
	}
	o.arguments.into(&in)
	for _, name := range []string{"HELMFILE_DISABLE_INSECURE_FEATURES", "HELMFILE_DISABLE_INSECURE_TEMPLATE_FUNCTIONS"} {
		if truth(name) {
			in.Allow.Off = name
		}
	}
	out := pipeline.StateOptions{
		Dir: a.world.dir, File: o.file, Stdin: a.world.stdin, Input: in, Allow: target.allow.permissions(a.world),
		Remote: a.world.remote(), Cache: a.cache(target.cache), Kubernetes: kubernetes.FS,
	}
	if truth("HELMFILE_DISABLE_HOOKS") {
		out.DisableHooks = "HELMFILE_DISABLE_HOOKS"
	}
	return out
}

// openState evaluates the state files; diagnostics have been shown when it returns.
func (a *app) openState(ctx context.Context, o pipeline.StateOptions) (*pipeline.StateFile, error) {
	s, diags, err := pipeline.OpenState(ctx, o)
	if err != nil {
		return nil, err
	}
	a.report.Hide(s.Secrets())
	s.Hide = a.report.Redacted
	if err := a.reported(diags.Sorted(), s.Shown(diags)); err != nil {
		return nil, errors.Join(a.cleanedUp(ctx, &s.Hooks, s.Shown, o.Prepare, err), s.Close())
	}
	return s, nil
}

// closeState closes state files, and says once where a cache could not be used.
func (a *app) closeState(s *pipeline.StateFile, o cacheOptions) {
	a.cacheFailed(s.CacheFailure(), o)
	_ = s.Close()
}

// compiled reports whether a cluster or a repository was named, so that its values are those of the state files too.
func (o targetOptions) compiled() bool { return o.cluster != "" || o.repo != "" || o.all }

// stateRun is an evaluation of state files, with the values of a cluster where there are any.
type stateRun struct {
	*pipeline.StateFile
	cluster string
	// target is the cluster whose values they are; zero where there are none.
	target pipeline.Cluster
	// secrets are those among the values.
	secrets []string
}

// stateRuns evaluates state files: once, or with -c, --repo or --all once for each cluster, whose compiled values beat the files'
// own. Diagnostics have been shown when it returns; the caller calls done.
func (a *app) stateRuns(ctx context.Context, so pipeline.StateOptions, target targetOptions) (runs []stateRun, done func(), err error) {
	var platform *pipeline.Platform
	done = func() {
		for _, r := range runs {
			a.closeState(r.StateFile, target.cache)
		}
		_ = platform.Close()
	}
	if !target.compiled() {
		s, err := a.openState(ctx, so)
		if err != nil {
			return nil, done, err
		}
		runs = append(runs, stateRun{StateFile: s})
		return runs, done, nil
	}
	if err := a.meansChart(target); err != nil {
		return nil, done, err
	}
	platform, clusters, err := a.open(ctx, target)
	if err != nil {
		return nil, done, err
	}
	// They are layers of the compiled values.
	so.Input.ValuesFiles, so.Input.Set, so.Input.SetString = nil, nil, nil
	for _, c := range clusters {
		values, diags, err := platform.Validate(ctx, c)
		if err != nil {
			return nil, done, err
		}
		a.report.Hide(values.Secrets())
		if err := a.reported(diags, platform.Shown(diags)); err != nil {
			return nil, done, err
		}
		so.Input.Values, so.Platform, so.Values = values.Root.PlainMap(), platform, values
		s, err := a.openState(ctx, so)
		if err != nil {
			return nil, done, err
		}
		run := stateRun{StateFile: s, target: c, secrets: values.Secrets()}
		if len(clusters) > 1 {
			run.cluster = c.ID
		}
		runs = append(runs, run)
	}
	return runs, done, nil
}

// noMatch is the end of a verb for which nothing matched.
func (a *app) noMatch(selection selectOptions, environment string) error {
	if selection.allowNoMatch {
		return nil
	}
	if environment == "" {
		environment = "default"
	}
	a.report.Talk("no release matches: selectors %v, environment %s", selection.selectors, environment)
	return exit(exitNoMatch)
}

// stateVerb is a verb that only state files have.
type stateVerb struct {
	use, short string
	// flags adds those of the verb's own; nil where there are none.
	flags func(*pflag.FlagSet)
	// values and order say that the verb needs the values of releases, and their order.
	values, order bool
	// embeds says, where it is not nil, that the values of releases are needed all the same.
	embeds *bool
	// fetches says that the verb exists to fetch: it may reach any host, and takes no version from a lock file.
	fetches bool
	run     func(context.Context, *pipeline.StateFile) error
	// matched says whether any release is of the run; nil where that does not matter.
	matched func(*pipeline.StateFile) bool
}

func newStateVerb(a *app, v stateVerb) *cobra.Command {
	var o stateOptions
	var target targetOptions
	var selection selectOptions
	var chart string
	cmd := &cobra.Command{
		Use: v.use, Short: v.short, Args: cobra.NoArgs,
		Long: strings.ToUpper(v.short[:1]) + v.short[1:] + ".\n\n  otomi " + v.use + " -f helmfile.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkShortChart(v.use, chart); err != nil {
				return err
			}
			if o.file == "" {
				o.file = a.world.env("HELMFILE_FILE_PATH")
			}
			so := a.stateInput(o, target, selection)
			so.Input.WithoutValues, so.Input.WithoutOrder = !v.values && (v.embeds == nil || !*v.embeds), !v.order
			so.Input.WithDisabled = v.use == "build" || v.use == "show-dag"
			if v.fetches {
				so.Allow.Fetch, so.Input.WithoutPins, so.Input.CheckCharts = true, v.use != "fetch", v.use == "fetch"
			}
			if v.values || v.use == "fetch" {
				so.Prepare = v.use
			}
			s, err := a.openState(cmd.Context(), so)
			if err != nil {
				return err
			}
			defer a.closeState(s, target.cache)
			return a.between(cmd.Context(), s, v.use, func() error {
				if v.matched != nil && !v.matched(s) {
					return a.noMatch(selection, so.Input.Environment)
				}
				return v.run(cmd.Context(), s)
			})
		},
	}
	selection.flags(cmd.Flags())
	target.values.flags(cmd.Flags())
	target.allow.flags(cmd.Flags())
	if v.fetches {
		target.cache.dirFlag(cmd.Flags())
	}
	o.flags(cmd.Flags())
	shortChart(cmd.Flags(), &chart)
	if v.flags != nil {
		v.flags(cmd.Flags())
	}
	return cmd
}

func newBuild(a *app) *cobra.Command {
	var embed bool
	return newStateVerb(a, stateVerb{
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&embed, "embed-values", false, "what the files of values of releases hold, in place of their names")
		},
		embeds: &embed,
		use:    "build", short: "print state files as they are evaluated",
		matched: func(s *pipeline.StateFile) bool { return len(s.Listed()) > 0 },
		run: func(_ context.Context, s *pipeline.StateFile) error {
			for _, state := range s.Defined() {
				if err := a.report.HelmfileBuild(state, s.Path(state), s.Alone(), embed); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

func newPrintEnv(a *app) *cobra.Command {
	var output string
	return newStateVerb(a, stateVerb{
		use: "print-env", short: "print the environment of state files",
		flags: func(f *pflag.FlagSet) { f.Var(formatFlag(&output, "yaml", "json"), "output", "format: yaml or json") },
		run: func(_ context.Context, s *pipeline.StateFile) error {
			states := s.Defined()
			paths := make([]string, len(states))
			for i, state := range states {
				paths[i] = s.Path(state)
			}
			return a.report.HelmfileEnv(states, paths, output)
		},
	})
}

func newShowDAG(a *app) *cobra.Command {
	return newStateVerb(a, stateVerb{
		use: "show-dag", short: "print the order in which the releases of state files are applied", order: true,
		matched: (*pipeline.StateFile).Matched,
		run:     func(_ context.Context, s *pipeline.StateFile) error { return a.report.HelmfileDAG(s.Levels) },
	})
}

func newWriteValues(a *app) *cobra.Command {
	var template string
	return newStateVerb(a, stateVerb{
		use: "write-values", short: "write the values of each release of state files into a file", values: true, order: true,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&template, "output-file-template", "", "template of the name of each file")
		},
		matched: (*pipeline.StateFile).Matched,
		run: func(ctx context.Context, s *pipeline.StateFile) error {
			files, diags, err := s.WrittenValues(ctx, template)
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			for _, f := range files {
				if err := writeFile(a.path(f.Name), f.Data); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.WriteFile(name, data, fs.FileMode(0o644)); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// listState is list for state files.
func (a *app) listState(ctx context.Context, o stateOptions, target targetOptions, selection selectOptions, output string) error {
	so := a.stateInput(o, target, selection)
	so.Input.WithoutValues, so.Input.WithoutOrder, so.Input.WithDisabled = true, true, true
	runs, done, err := a.stateRuns(ctx, so, target)
	defer func() { done() }()
	if err != nil {
		return err
	}
	var listed []pipeline.Release
	for _, run := range runs {
		listed = append(listed, run.Listed()...)
		if o.skipCharts {
			continue
		}
		if err := a.between(ctx, run.StateFile, "list", func() error { return nil }); err != nil {
			return err
		}
	}
	if len(listed) == 0 {
		return a.noMatch(selection, so.Input.Environment)
	}
	return a.report.HelmfileList(listed, output)
}

// between does the work of a verb between the hooks of prepare and those of cleanup of the state files.
func (a *app) between(ctx context.Context, s *pipeline.StateFile, verb string, work func() error) error {
	err := a.prepare(ctx, s, verb)
	if err == nil {
		err = work()
	}
	return a.cleanedUp(ctx, &s.Hooks, s.Shown, verb, err)
}

// prepare runs the hooks of prepare.
func (a *app) prepare(ctx context.Context, s *pipeline.StateFile, verb string) error {
	return a.ran(s.Shown)(s.Prepare(ctx, verb))
}

// cleanedUp runs the hooks of cleanup that have not run, and returns the error of what came before them, which they see, with
// theirs. shown are the texts of the files.
func (a *app) cleanedUp(ctx context.Context, hooks *pipeline.Hooks, shown sourcesOf, verb string, err error) error {
	if hooks == nil {
		return err
	}
	failed := a.ran(shown)(hooks.Cleanup(ctx, verb, failureOf(err)))
	var code exit
	if failed != nil && err != nil && !errors.As(err, &code) {
		a.report.Failure(err) // it would be hidden behind a code
		return failed
	}
	return errors.Join(failed, err)
}

// failureOf is what went wrong, for hooks to see. That nothing matched, or that there are differences, is no failure.
func failureOf(err error) error {
	var code exit
	switch {
	case !errors.As(err, &code):
		return err
	case code == exitFailed:
		return errors.New("the run failed")
	}
	return nil
}

// sourcesOf returns the texts to show diagnostics with.
type sourcesOf func(diag.Diagnostics) diag.Sources

// ran tells what hooks of state files said and what is wrong with them.
func (a *app) ran(shown sourcesOf) func(said string, diags diag.Diagnostics, err error) error {
	return func(said string, diags diag.Diagnostics, err error) error {
		if said != "" {
			a.report.Talk("%s", strings.TrimRight(said, "\n"))
		}
		return errors.Join(a.reported(diags, shown(diags)), err)
	}
}

// templateStateOptions are flags of template that helmfile has.
type templateStateOptions struct {
	outputDirTemplate string
}

func (o *templateStateOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.outputDirTemplate, "output-dir-template", "", "template of the directory that the manifests of each release of state files are written to")
}

// templateState is template for state files.
func (a *app) templateState(ctx context.Context, o templateOptions) error {
	so := a.stateInput(o.state, o.target, o.selection)
	so.Input.CheckCharts, so.Input.Prints, so.Prepare = true, true, "template"
	so.Kubernetes = kubernetes.FS
	runs, done, err := a.stateRuns(ctx, so, o.target)
	defer func() { done() }()
	if err != nil {
		return err
	}
	if o.reveal || !o.target.compiled() {
		// helmfile's manifests are whole.
		a.report.Reveal()
	}
	for _, run := range runs {
		o = o.viewed(run.View())
	}
	out := o.manifests(a)
	if !o.layoutGiven() {
		out.Layout = report.HelmfileLayout
	}
	if o.helmfile.outputDirTemplate != "" && out.Dir == "" {
		out.Dir = a.world.dir
	}
	manifests := a.report.Manifests(out)
	defer manifests.Close()
	matched := false
	for _, run := range runs {
		matched = matched || run.Matched()
		err := a.between(ctx, run.StateFile, "template", func() error { return a.renderState(ctx, run, o, manifests) })
		if err != nil {
			return err
		}
	}
	if !matched {
		return a.noMatch(o.selection, so.Input.Environment)
	}
	return manifests.Print()
}

// renderState renders state files.
func (a *app) renderState(ctx context.Context, run stateRun, o templateOptions, manifests *report.Manifests) error {
	if !run.Matched() {
		return nil
	}
	var found diag.Diagnostics
	render := run.Render
	if o.validate {
		render = run.RenderChecked
	}
	diags, err := render(ctx, o.capabilities.capabilities(), func(r pipeline.RenderedRelease) error {
		rendered := report.Rendered{Cluster: run.cluster, File: run.Path(r.State), Release: r.Rendered}
		if o.helmfile.outputDirTemplate != "" {
			folder, more := run.OutputPath(ctx, o.helmfile.outputDirTemplate, r.State, r.Release, o.outputDir)
			if found = append(found, more...); more.HasErrors() {
				return nil
			}
			rendered.Folder = a.path(folder)
		}
		return manifests.Add(rendered)
	})
	if err != nil {
		return err
	}
	if diags = append(diags, found...); a.reported(diags, run.Shown(diags)) != nil {
		return exit(exitFailed)
	}
	return nil
}

// lintState is lint for state files: whether all releases render.
func (a *app) lintState(ctx context.Context, o lintOptions) error {
	so := a.stateInput(o.state, o.target, o.selection)
	so.Input.CheckCharts, so.Input.Prints, so.Prepare = true, true, "lint"
	s, err := a.openState(ctx, so)
	if err != nil {
		return err
	}
	defer a.closeState(s, o.target.cache)
	return a.between(ctx, s, "lint", func() error {
		if !s.Matched() {
			return a.noMatch(o.selection, so.Input.Environment)
		}
		diags, err := s.Lint(ctx)
		if err != nil {
			return err
		}
		return a.reported(diags, s.Shown(diags))
	})
}

// verbFirst moves flags that stand before the verb behind it, where cobra looks for them.
func verbFirst(root *cobra.Command, args []string) []string {
	for i, arg := range args {
		verb := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == arg })
		if verb < 0 || !consumed(root.Commands()[verb], args[:i]) {
			continue
		}
		return slices.Concat([]string{arg}, args[:i], args[i+1:])
	}
	return args
}

// consumed reports whether words are flags of a command and their values.
func consumed(cmd *cobra.Command, words []string) bool {
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, _, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
		var f *pflag.Flag
		switch {
		case strings.HasPrefix(word, "--"):
			if f = cmd.Flags().Lookup(name); f == nil {
				f = cmd.InheritedFlags().Lookup(name)
			}
		case strings.HasPrefix(word, "-") && len(name) > 0:
			if f = cmd.Flags().ShorthandLookup(name[:1]); f == nil {
				f = cmd.InheritedFlags().ShorthandLookup(name[:1])
			}
			given = given || len(name) > 1
		default:
			return false
		}
		if f == nil {
			return false
		}
		if !given && f.NoOptDefVal == "" {
			i++
		}
	}
	return true
}
