package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

// fleetOptions are what every verb that reaches clusters has.
type fleetOptions struct {
	target    targetOptions
	selection selectOptions
	connect   connectOptions
	output    string
	// formats are those of the verb, the first one the default; nil is text and json.
	formats   []string
	keepGoing bool
}

func (o *fleetOptions) flags(flags *pflag.FlagSet) {
	o.target.flags(flags)
	o.selection.flags(flags)
	o.connect.flags(flags)
	formats := o.formats
	if formats == nil {
		formats = []string{"text", "json"}
	}
	flags.VarP(formatFlag(&o.output, formats...), "output", "o", "format: "+strings.Join(formats[:len(formats)-1], ", ")+" or "+formats[len(formats)-1])
	flags.BoolVar(&o.keepGoing, "keep-going", false, "with --all: go on with the next cluster when one fails")
}

func (o fleetOptions) check() error {
	if o.target.all && o.connect.kubeContext != "" {
		return fmt.Errorf("--all can't be used with --kube-context: every cluster has a context of its own; write them as kubeContext into env/clusters.yaml")
	}
	return nil
}

// fleet is the clusters that one run reaches, and whether any of them failed.
type fleet struct {
	*app
	options  fleetOptions
	platform *pipeline.Platform
	// stages are what is wanted of each cluster. All of them are evaluated before the first is reached, so that a mistake
	// in the values of the last is known before the first changes.
	stages []pipeline.Stage
	// servers says which cluster was reached at an address.
	servers map[string]string
	failed  bool
	// failures are the clusters that failed while others went on.
	failures []report.Result
	// verb is the one whose hooks run.
	verb string
}

// gather opens the values repository and evaluates its clusters for a verb, whose hooks of prepare run; without one none do. The caller
// calls done, and closes the fleet's platform.
func (a *app) gather(ctx context.Context, o fleetOptions, verb string) (f *fleet, err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return nil, err
	}
	f = &fleet{app: a, options: o, platform: platform, servers: map[string]string{}, verb: verb}
	for _, c := range clusters {
		stage, err := a.evaluate(ctx, platform, c, o.selection, verb)
		if err == nil {
			f.stages = append(f.stages, stage)
			continue
		}
		if err := f.fail(c.ID, err); err != nil {
			return nil, errors.Join(f.done(ctx, err), platform.Close())
		}
	}
	if err := a.matched(f.stages, o.selection); err != nil {
		return nil, errors.Join(f.done(ctx, err), platform.Close())
	}
	return f, nil
}

// done runs the hooks of cleanup that have not run, and returns how the verb ended with what went wrong there.
func (f *fleet) done(ctx context.Context, err error) error {
	for _, stage := range f.stages {
		err = f.cleanedUp(ctx, stage.Hooks, f.platform.Shown, f.verb, err)
	}
	return err
}

// fail notes that a cluster failed. It returns the error where that ends the run.
func (f *fleet) fail(cluster string, err error) error {
	if !f.options.keepGoing || !f.options.target.all {
		return err
	}
	f.failed = true
	failure := report.Result{Cluster: cluster, Error: err.Error()}
	var said exit
	if errors.As(err, &said) {
		failure.Error = "its values or runlevels have errors"
	} else {
		f.report.Failure(fmt.Errorf("%s: %w", cluster, err))
	}
	f.failures = append(f.failures, failure)
	return nil
}

// verdict is the exit code of a run that did all it could.
func (f *fleet) verdict() error {
	if f.failed {
		return exit(exitFailed)
	}
	return nil
}

// reach connects to the cluster of a stage. Two clusters of the registry at one address are refused: the values of the one
// would be put into the other.
func (f *fleet) reach(ctx context.Context, stage pipeline.Stage) (*pipeline.Client, error) {
	c := stage.Values.Cluster
	client, err := pipeline.Connect(ctx, c, f.connection(f.options.connect))
	if err != nil {
		return nil, err
	}
	if other, ok := f.servers[client.Server()]; ok {
		return nil, fmt.Errorf("%s and %s are the same cluster (%s, context %q); give each its own kubeContext in env/clusters.yaml",
			other, c.ID, client.Server(), client.Context())
	}
	f.servers[client.Server()] = c.ID
	return client, nil
}

// each reaches the clusters one after the other and calls work for each.
func (f *fleet) each(ctx context.Context, work func(context.Context, pipeline.Stage, *pipeline.Client) error) error {
	for _, stage := range f.stages {
		client, err := f.reach(ctx, stage)
		if err == nil {
			err = work(ctx, stage, client)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if err := f.fail(stage.Values.Cluster.ID, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluate validates the values of a cluster and evaluates its runlevels for a verb, or for none, so that no hook runs. Diagnostics
// have been shown when it returns.
func (a *app) evaluate(ctx context.Context, platform *pipeline.Platform, c pipeline.Cluster, s selectOptions, verb string) (pipeline.Stage, error) {
	values, diags, err := platform.Validate(ctx, c)
	if err != nil {
		return pipeline.Stage{}, err
	}
	a.report.Hide(values.Secrets())
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return pipeline.Stage{}, err
	}
	stage, diags, err := platform.EvaluateFor(ctx, values, s.selectors, verb)
	if stage.Hooks != nil {
		stage.Hooks.Hide = a.report.Redacted
	}
	a.report.Hide(stage.Secrets())
	if err = errors.Join(a.reported(diags, platform.Shown(diags)), err); err != nil {
		return stage, a.cleanedUp(ctx, stage.Hooks, platform.Shown, verb, err)
	}
	if stage.Hooks != nil {
		err = a.ran(platform.Shown)(stage.Hooks.Prepare(ctx, verb)) // which ran; what they said is told
	}
	return stage, err
}

// matched returns an error with an exit code of its own where selectors were given and no release of any cluster matches
// them, unless that is allowed.
func (a *app) matched(stages []pipeline.Stage, s selectOptions) error {
	return a.matchedAny(len(stages) == 0 || slices.ContainsFunc(stages, func(s pipeline.Stage) bool { return !s.Empty() }), s)
}

// matchedAny is matched where it is known whether any release matches.
func (a *app) matchedAny(found bool, s selectOptions) error {
	if found || len(s.selectors) == 0 || s.allowNoMatch {
		return nil
	}
	a.report.Talk("no release matches the selectors; `otomi list` shows the releases with their labels")
	return exit(exitNoMatch)
}
