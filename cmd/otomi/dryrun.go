package main

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// dryRunOptions is the flag of verbs that change clusters by which they compare, show and check as they would, and write nothing.
type dryRunOptions struct{ mode string }

func (o *dryRunOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.mode, "dry-run", "none", "show and check what would be done, asking the API server, and write nothing: none or server")
	flags.Lookup("dry-run").NoOptDefVal = "server"
}

func (o dryRunOptions) on() bool { return slices.Contains([]string{"server", "true"}, o.mode) }

func (o dryRunOptions) check() error {
	switch {
	case o.on() || slices.Contains([]string{"none", "false"}, o.mode):
		return nil
	case o.mode == "client":
		return fmt.Errorf("--dry-run=client: `otomi template` shows what is rendered without asking a cluster; to ask it, --dry-run=server")
	}
	return fmt.Errorf("--dry-run=%s: it takes server or none; --dry-run alone is server", o.mode)
}

// places are the plans with their clusters.
func (d *deployment) places() []pipeline.PlanPlace {
	out := make([]pipeline.PlanPlace, len(d.plans))
	for i, plan := range d.plans {
		out[i] = pipeline.PlanPlace{Plan: plan, Client: d.clients[i]}
	}
	return out
}

// rehearsed shows what would be done, and fails where it could not be.
func (d *deployment) rehearsed(detailed bool) error {
	if err := d.report.Plans(d.plans, d.options.output); err != nil {
		return err
	}
	if d.failed {
		return d.verdict()
	}
	return verdictOf(d.plans, detailed)
}

// rehearsedStates is rehearsed for state files.
func (a *app) rehearsedStates(all []*stateSites, o deployStateOptions, fleet fleetOptions, detailed bool) error {
	plans := plansOf(all)
	if err := a.report.PlansOf(plans, o.shown(fleet.output)); err != nil {
		return err
	}
	return verdictOf(plans, detailed)
}

// verdictOf is the exit code of a verb that only showed plans.
func verdictOf(plans []pipeline.Plan, detailed bool) error {
	differ := false
	for _, plan := range plans {
		if plan.Counts().Invalid > 0 {
			return exit(exitFailed)
		}
		differ = differ || !plan.Empty()
	}
	if differ && detailed {
		return exit(exitDifferences)
	}
	return nil
}
