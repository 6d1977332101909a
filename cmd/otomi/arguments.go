package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/source"
)

// argumentOptions are what helmfile hands on to helm: arguments for its command line, and what has a flag of its own.
type argumentOptions struct {
	args, diffArgs, syncArgs, templateArgs string
	postRenderer                           string
	postRendererArgs                       []string
	skipSchema                             bool
}

// argsFlag is the flag of verbs that render nothing, too.
func (o *argumentOptions) argsFlag(flags *pflag.FlagSet) {
	flags.StringVar(&o.args, "args", "", "`ARGUMENTS` for helm, as helmfile has it; docs/helmfile.md says which are understood")
}

// renderFlags are the flags of verbs that render.
func (o *argumentOptions) renderFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.templateArgs, "template-args", "", "arguments for helm template, in place of templateArgs of helmDefaults")
	flags.StringVar(&o.postRenderer, "post-renderer", "", "`PROGRAM` that all manifests go through, where a release names none")
	flags.StringArrayVar(&o.postRendererArgs, "post-renderer-args", nil, "argument of the post-renderer; repeat for more")
	flags.BoolVar(&o.skipSchema, "skip-schema-validation", false, "do not check values against the schemas of charts")
}

// deployFlags are the flags of verbs that compare or apply.
func (o *argumentOptions) deployFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.diffArgs, "diff-args", "", "arguments for helm diff, in place of diffArgs of helmDefaults")
	flags.StringVar(&o.syncArgs, "sync-args", "", "arguments for helm upgrade, in place of syncArgs of helmDefaults")
}

// into puts the options into what is evaluated.
func (o *argumentOptions) into(in *pipeline.StateInput) {
	in.Args = map[string]string{"args": o.args, "diffArgs": o.diffArgs, "syncArgs": o.syncArgs, "templateArgs": o.templateArgs}
	in.PostRenderer, in.PostRendererArgs, in.SkipSchemaValidation = o.postRenderer, o.postRendererArgs, o.skipSchema
}

// viewed returns the options with what arguments say about what is shown. A flag that was given counts more.
func (o deployStateOptions) viewed(args []pipeline.Argument) deployStateOptions {
	for _, a := range args {
		switch a.Name {
		case "--context":
			if n, err := strconv.Atoi(a.Value); err == nil && n >= 0 && !o.given.Changed("context") {
				o.context = n
			}
		case "--suppress":
			o.kinds = append(slices.Clip(o.kinds), strings.Split(a.Value, ",")...)
		case "--suppress-secrets":
			o.suppressSecrets = true
		case "--show-secrets":
			o.showSecrets = true
		case "--no-hooks":
			o.noHooks = true
		}
	}
	return o
}

// viewed is that of what template prints.
func (o templateOptions) viewed(args []pipeline.Argument) templateOptions {
	for _, a := range args {
		switch a.Name {
		case "--skip-tests":
			o.skipTests = true
		case "--include-crds":
			o.includeCRDs = true
		case "--no-hooks":
			o.noHooks = true
		case "--show-only":
			o.showOnly = append(slices.Clip(o.showOnly), a.Value)
		}
	}
	return o
}

// shortChart is the flag -c of verbs that take no cluster: who means helmfile's is told its long form.
func shortChart(flags *pflag.FlagSet, to *string) {
	flags.StringVarP(to, "cluster", "c", "", "")
	_ = flags.MarkHidden("cluster")
}

// checkShortChart refuses it.
func checkShortChart(verb, given string) error {
	if given == "" {
		return nil
	}
	return fmt.Errorf("-c is --cluster, which %s does not take; helmfile's -c is --chart: write --chart %s", verb, given)
}

// meansChart refuses -c where there is no values repository that has clusters.
func (a *app) meansChart(target targetOptions) error {
	if target.cluster == "" || target.repo != "" {
		return nil
	}
	_, repository, err := source.Find(a.world.dir)
	if err != nil || repository {
		return err
	}
	return errors.New("-c is --cluster, and there is no values repository here that has one; helmfile's -c is --chart: write --chart " + target.cluster +
		", or name the repository with --repo DIR")
}
