package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// planFlags are the flags that say what is compared with what, and how. A plan file holds them, and apply takes them from there. All
// others say how a run goes, or what is shown of it.
var planFlags = []string{
	"repo", "cluster", "all", "state-values-file", "state-values-set", "state-values-set-string",
	"selector", "allow-no-matching-release", "kube-context", "lock-namespace", "adopt-cluster",
	"kube-version", "api-versions", "take-ownership", "force", "prune", "allow-crd-downgrade", "conflicts", "ignore",
	"file", "environment", "namespace", "chart", "skip-needs", "include-needs", "include-transitive-needs", "enforce-needs-are-installed",
	"values", "set", "wait", "wait-for-jobs", "timeout", "skip-crds", "skip-schema-validation", "cascade", "deleteWait", "deleteTimeout",
}

// planOptions are a plan file that is to be written, or one that is to be applied.
type planOptions struct {
	// out is the file to write; empty where none is.
	out   string
	given *pflag.FlagSet
	// name and file are the plan file to apply; nil where none is.
	name string
	file *pipeline.PlanFile
}

func (o *planOptions) outFlag(flags *pflag.FlagSet) {
	o.given = flags
	flags.StringVar(&o.out, "out", "", "write the plan into a `FILE`, which `otomi apply FILE` carries out as it is")
}

// check refuses plan files that could not be carried out.
func (o planOptions) check(state stateOptions) error {
	switch {
	case o.out == "":
		return nil
	case o.out == "-":
		return errors.New("--out -: a plan is written into a file that only you may read; name one. `-o json` prints what is different")
	case state.file == "-":
		return errors.New("--out: a state file from standard input can't be read again when the plan is applied; put it into a file, and name that with -f")
	}
	return nil
}

// flags are those of the plan, in order, but for what has its default.
func (o planOptions) flags(state stateOptions, in pipeline.StateInput) []pipeline.PlanFlag {
	// What the environment says for state files.
	or := map[string]string{"file": state.file, "environment": in.Environment, "namespace": in.Namespace, "kube-context": in.KubeContext}
	out := []pipeline.PlanFlag{}
	for _, name := range planFlags {
		f := o.given.Lookup(name)
		if f == nil {
			continue
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		} else if values[0] == f.DefValue && or[name] != "" {
			values[0] = or[name]
		}
		if len(values) == 0 || len(values) == 1 && values[0] == f.DefValue {
			continue
		}
		out = append(out, pipeline.PlanFlag{Name: name, Values: values})
	}
	return out
}

// readPlan reads a plan file and sets the flags that it was made with. Diagnostics have been shown when it returns.
func (a *app) readPlan(name string, flags *pflag.FlagSet, allow allowFlag) (planOptions, error) {
	o := planOptions{name: name, given: flags}
	f, err := os.Open(a.path(name))
	if err != nil {
		return o, fmt.Errorf("reading the plan: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, pipeline.MaxPlanFile+1))
	if err != nil {
		return o, fmt.Errorf("reading the plan: %w", err)
	}
	file, diags := pipeline.ParsePlanFile(name, text)
	if err := a.reported(diags, nil); err != nil {
		return o, err
	}
	for _, flag := range planFlags {
		f := flags.Lookup(flag)
		if f == nil {
			continue
		}
		if f.Changed {
			return o, fmt.Errorf("--%s can't be used with a plan, which has what it was made with; leave it out, or make another plan with it", flag)
		}
		// What the user's settings say counted when the plan was made.
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = list.Replace(nil)
		} else if f.Value.String() != f.DefValue {
			err = f.Value.Set(f.DefValue)
		}
		if err != nil {
			return o, fmt.Errorf("--%s: %w", flag, err)
		}
	}
	var lifted []string
	for _, flag := range file.Flags {
		f := flags.Lookup(flag.Name)
		if f == nil || !slices.Contains(planFlags, flag.Name) {
			return o, fmt.Errorf("%s was made with --%s, which apply does not have; make it again with this otomi", name, flag.Name)
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = list.Replace(flag.Values)
		} else {
			err = f.Value.Set(strings.Join(flag.Values, ","))
		}
		if err != nil {
			return o, fmt.Errorf("--%s of %s: %w", flag.Name, name, err)
		}
		// Verbs ask what was given.
		f.Changed = true
		if slices.Contains(liftingFlags, flag.Name) {
			lifted = append(lifted, strings.TrimSuffix("--"+flag.Name+"="+strings.Join(flag.Values, ","), "=true"))
		}
	}
	for _, word := range file.Allow {
		if !slices.Contains(allow.texts, word) && !slices.Contains(allow.texts, "all") {
			return o, fmt.Errorf("%s was made with --allow %s, and a file allows nothing; add the flag if that is meant", name, word)
		}
	}
	if len(lifted) > 0 {
		a.report.Talk("%s was made with %s", name, strings.Join(lifted, " "))
	}
	o.file = &file
	return o, nil
}

// liftingFlags are the flags of a plan file that lift what protects a cluster. Who applies a file that somebody else made should see them.
var liftingFlags = []string{"repo", "take-ownership", "force", "allow-crd-downgrade", "adopt-cluster"}

// with says what the file of a run holds.
func (a *app) with(o planOptions, made pipeline.PlanSource, flags []pipeline.PlanFlag, fleet fleetOptions) pipeline.PlanFileOptions {
	return pipeline.PlanFileOptions{
		Otomi: version, Made: time.Now(), Flags: flags, Allow: fleet.target.allow.texts, Source: made,
		SystemNamespace: fleet.connect.systemNamespace, Hide: a.report.Redacted, Like: o.file,
	}
}

// planFlags are the flags of a plan file that is to be written. One with a secret is refused before a cluster is reached.
func (f *fleet) planFlags(o planOptions) ([]pipeline.PlanFlag, error) {
	if o.out == "" {
		return nil, nil
	}
	flags := o.flags(stateOptions{}, pipeline.StateInput{})
	return flags, f.secretFlags(flags, nil)
}

// writePlan writes the plans of a fleet.
func (f *fleet) writePlan(ctx context.Context, o planOptions, places []pipeline.PlanPlace, flags []pipeline.PlanFlag) error {
	if len(f.failures) > 0 {
		return fmt.Errorf("%s was not written: it would be without the clusters that failed", o.out)
	}
	made, err := f.platform.PlanSource()
	if err != nil {
		return err
	}
	return f.app.writePlan(ctx, o, places, f.with(o, made, flags, f.options))
}

// stillSo refuses a plan file whose plans are others now.
func (f *fleet) stillSo(ctx context.Context, o planOptions, places []pipeline.PlanPlace) error {
	if o.file == nil {
		return nil
	}
	made, err := f.platform.PlanSource()
	if err != nil {
		return err
	}
	return f.app.stillSo(ctx, o, places, f.with(o, made, nil, f.options))
}

// writeStatesPlan writes the plans of state files.
func (a *app) writeStatesPlan(ctx context.Context, o planOptions, all []*stateSites, state stateOptions, fleet fleetOptions) error {
	made, err := statesSource(all)
	if err != nil {
		return err
	}
	flags := o.flags(state, a.stateInput(state, fleet.target, fleet.selection).Input)
	return a.writePlan(ctx, o, placesOf(all), a.with(o, made, flags, fleet))
}

// statesStillSo refuses a plan file whose plans of state files are others now.
func (a *app) statesStillSo(ctx context.Context, o planOptions, all []*stateSites, fleet fleetOptions) error {
	if o.file == nil {
		return nil
	}
	made, err := statesSource(all)
	if err != nil {
		return err
	}
	return a.stillSo(ctx, o, placesOf(all), a.with(o, made, nil, fleet))
}

// statesSource is what the plans of state files were made from.
func statesSource(all []*stateSites) (pipeline.PlanSource, error) {
	var sources []pipeline.PlanSource
	for _, s := range all {
		made, err := s.PlanSource()
		if err != nil {
			return made, err
		}
		sources = append(sources, made)
	}
	return pipeline.Joined(sources), nil
}

// placesOf are the plans of state files with their clusters.
func placesOf(all []*stateSites) []pipeline.PlanPlace {
	var out []pipeline.PlanPlace
	for _, s := range all {
		for i, plan := range s.plans {
			out = append(out, pipeline.PlanPlace{Plan: plan, Client: s.sites[i].Client})
		}
	}
	return out
}

// secretFlags refuses flags with secrets in a plan file. Before a cluster is reached there are no plans.
func (a *app) secretFlags(flags []pipeline.PlanFlag, plans []pipeline.Plan) error {
	return a.reported(pipeline.SecretFlags(flags, plans, a.report.Redacted), nil)
}

// writePlan writes the plan file, beside its place first: what is there stays until all of it is good.
func (a *app) writePlan(ctx context.Context, o planOptions, places []pipeline.PlanPlace, with pipeline.PlanFileOptions) error {
	var plans []pipeline.Plan
	for _, p := range places {
		plans = append(plans, p.Plan)
		if p.Plan.Counts().Invalid > 0 {
			return fmt.Errorf("%s was not written: the plan can't be applied. Put right what is shown above", o.out)
		}
	}
	if err := errors.Join(a.secretFlags(with.Flags, plans), a.reported(pipeline.Unrepeatable(plans), nil)); err != nil {
		return err
	}
	file, err := pipeline.NewPlanFile(ctx, places, with)
	if err != nil {
		return err
	}
	name := a.path(o.out)
	if err := replaceFile(name, file.Encode()); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	a.report.Talk("the plan is in %s; `otomi apply %s` carries it out as it is", o.out, o.out)
	return nil
}

// replaceFile writes a file for the user alone, whole or not at all. What is there already is put aside if it is a file; a link is
// replaced, and what it points to stays.
func replaceFile(name string, text []byte) (err error) {
	if at, err := os.Stat(name); err == nil && !at.Mode().IsRegular() {
		// A root who renames something onto /dev/null has none any more.
		return fmt.Errorf("%s is there and is no file; name another place", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".otomi-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// stillSo refuses a plan file whose plan is another one now.
func (a *app) stillSo(ctx context.Context, o planOptions, places []pipeline.PlanPlace, with pipeline.PlanFileOptions) error {
	now, err := pipeline.NewPlanFile(ctx, places, with)
	if err != nil {
		return err
	}
	return pipeline.StillSo(o.name, *o.file, now)
}
