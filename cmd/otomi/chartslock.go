package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const chartsLockHelp = `Write charts.lock: which bytes the charts are that come from elsewhere.

The charts of all runlevels and clusters are found and fetched, also those of releases
that are not installed. Entries that still fit stay as they are; --update asks again what
is newest within the versions that the releases ask for, of all charts or of those that
are named. Printed is what changes.

  otomi charts lock
  otomi charts lock --update nginx
  otomi charts lock --check`

type chartsLockOptions struct {
	everywhere       everywhereOptions
	update           bool
	check            bool
	detailedExitcode bool
	output           string
}

func newChartsLock(a *app) *cobra.Command {
	var o chartsLockOptions
	cmd := &cobra.Command{
		Use:   "lock [CHART...]",
		Short: "pin the charts that come from elsewhere",
		Long:  chartsLockHelp,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !o.update {
				return errors.New("charts are named to update them; add --update, or leave out the names")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runChartsLock(cmd.Context(), a, args, o) },
	}
	o.everywhere.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.update, "update", false, "ask again what is newest, of the charts named or of all")
	cmd.Flags().BoolVar(&o.check, "check", false, "write nothing; fail when charts.lock is not what would be written")
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "with --check: exit with 2, not 1, when it is not")
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func runChartsLock(ctx context.Context, a *app, names []string, o chartsLockOptions) error {
	o.everywhere.target.fetches = true
	platform, stages, err := a.everywhere(ctx, o.everywhere.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.everywhere.target.cache)
	lock, diags, err := platform.LockCharts(ctx, stages, pipeline.LockOptions{Update: o.update, Names: names})
	if err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	if err := a.report.LockChanges(lockChanges(lock), o.output); err != nil {
		return err
	}
	switch {
	case o.check && lock.Stale:
		if o.update {
			a.report.Talk("there are newer versions; take them with: otomi charts lock --update")
		} else {
			a.report.Talk("charts.lock is not up to date; write it with: otomi charts lock")
		}
		if o.detailedExitcode {
			return exit(exitDifferences)
		}
		return exit(exitFailed)
	case !lock.Stale && lock.Charts() == 0:
		a.report.Talk("no chart comes from elsewhere; there is nothing to lock")
		return nil
	case !lock.Stale:
		a.report.Talk("charts.lock is up to date (%s)", report.Plural(lock.Charts(), "chart"))
		return nil
	}
	if err := platform.WriteLock(lock); err != nil {
		return err
	}
	a.report.Talk("charts.lock has %s; commit it", report.Plural(lock.Charts(), "chart"))
	vendored, err := platform.HasVendored()
	if err != nil {
		return err
	}
	if vendored {
		a.report.Talk("vendor/charts is to follow it: otomi charts vendor")
	}
	return nil
}

// lockChanges are the changes as they are shown.
func lockChanges(lock pipeline.ChartLock) []report.LockChange {
	out := make([]report.LockChange, len(lock.Changes))
	for i, c := range lock.Changes {
		out[i] = report.LockChange{
			Chart: c.Chart, Repository: c.Repository, Constraint: c.Constraint, Action: string(c.Action),
			Before: (*report.LockedChart)(c.Before), After: (*report.LockedChart)(c.After),
		}
	}
	return out
}
