package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const testHelp = `Run the tests of the releases of state files: the hooks of their charts for the event test.

The tests are those of the revision that is deployed, as with helm test. They run one after
the other; the first that fails ends those of its release, and the other releases are still
tested. What they made stays, so that its logs can be read, unless its policies or --cleanup
say otherwise.

  otomi test -f helmfile.yaml -l name=web`

type testOptions struct {
	fleet   fleetOptions
	state   deployStateOptions
	hold    holdOptions
	cleanup bool
	logs    bool
}

func newTest(a *app) *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test",
		Short: "run the tests of releases of state files",
		Long:  testHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runTest(cmd.Context(), a, o) },
	}
	o.fleet.flags(cmd.Flags())
	o.hold.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.cleanup, "cleanup", false, "delete what the tests made")
	cmd.Flags().BoolVar(&o.logs, "logs", false, "show what the tests wrote")
	o.state.flags(cmd.Flags())
	return cmd
}

func runTest(ctx context.Context, a *app, o testOptions) (err error) {
	if err := o.hold.check(); err != nil {
		return err
	}
	plain, err := a.plainDeployment(&o.state, &o.fleet)
	if err != nil {
		return err
	}
	if !plain {
		return errors.New("test works on state files; name them: otomi test -f helmfile.yaml")
	}
	all, done, err := a.reachStates(ctx, o.state, o.fleet, deployed{verb: "test"})
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	n := 0
	var failures []error
	for _, s := range all {
		ran, err := a.testHeld(ctx, s, o)
		n += ran
		if failures = append(failures, err); ctx.Err() != nil {
			return errors.Join(failures...)
		}
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	a.report.Talk("%s passed", report.Plural(n, "test"))
	return nil
}

// testHeld runs the tests of an evaluation of state files while nobody else changes their clusters: their outcome goes into the
// records.
func (a *app) testHeld(ctx context.Context, s *stateSites, o testOptions) (n int, err error) {
	held, holding, err := pipeline.Hold(ctx, s.sites, a.hold(o.hold, o.fleet.connect, a.report.Event))
	if err != nil {
		return 0, err
	}
	defer a.giveBack(ctx, holding, &err)
	to := pipeline.TestOptions{Timeout: o.state.timeout, Cleanup: o.cleanup, Logs: o.logs, Secrets: s.secrets, Hide: a.report.Hide}
	var failures []error
	for _, site := range s.sites {
		ran, err := s.Test(held, site, to, pipeline.ApplyOptions{Emit: a.report.Event, Run: holding.Run})
		n += ran
		if failures = append(failures, err); held.Err() != nil {
			break
		}
	}
	return n, errors.Join(failures...)
}
