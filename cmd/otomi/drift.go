package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
	"github.com/redkubes/otomi/pkg/source"
)

const driftHelp = `Show what on the cluster is not as it was last applied: what, who, and since when.

What was applied is read from the records, so that no chart is rendered; it may be other
than what the values say now, which ` + "`otomi diff`" + ` shows. Only objects whose ownership
moved are read, and compared by a server-side dry run: what the server defaults or spells in
its own way is no drift. What others added beside our fields is none either. The field
manager that owns a field now is who changed it; where a field is gone, it is who wrote to
the object last. Releases that helm deployed last are not looked at.

  otomi drift -c aws/demo
  otomi drift --all --keep-going --detailed-exitcode -o json
  otomi drift -f helmfile.yaml --kube-context demo-admin

Where there are no values, a context is enough: all that otomi applied there is looked at.

  otomi drift --kube-context demo-admin`

type driftOptions struct {
	fleet            fleetOptions
	show             showOptions
	ignore           []string
	detailedExitcode bool
	state            deployStateOptions
}

func newDrift(a *app) *cobra.Command {
	var o driftOptions
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "show what on the cluster is not as it was applied",
		Long:  driftHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDrift(cmd.Context(), a, o) },
	}
	o.fleet.flags(cmd.Flags())
	o.show.flags(cmd.Flags())
	ignoreFlag(cmd.Flags(), &o.ignore)
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when something drifted")
	o.state.flags(cmd.Flags())
	return cmd
}

func runDrift(ctx context.Context, a *app, o driftOptions) (err error) {
	style, err := o.show.check()
	if err := errors.Join(err, pipeline.CheckIgnores(o.ignore)); err != nil {
		return err
	}
	if style == report.Unified && !o.show.unified {
		style = report.Structural
	}
	show := report.PlanOptions{Format: o.fleet.output, Style: style, Context: o.state.context}
	plain, err := a.plainDeployment(&o.state, &o.fleet)
	if err != nil {
		return err
	}
	var drifts []pipeline.Drift
	failed := false
	alone := false
	if !plain {
		if alone, err = a.clusterAlone(o.fleet); err != nil {
			return err
		}
	}
	switch {
	case plain:
		drifts, err = a.driftState(ctx, o)
	case alone:
		drifts, err = a.driftCluster(ctx, o)
	default:
		drifts, failed, err = a.driftFleet(ctx, o)
	}
	if err != nil {
		return err
	}
	if err := a.report.Drifts(drifts, show); err != nil {
		return err
	}
	if failed {
		return exit(exitFailed)
	}
	for _, d := range drifts {
		if !d.Empty() && o.detailedExitcode {
			return exit(exitDifferences)
		}
	}
	return nil
}

// clusterAlone reports whether a context is all that is named: without values there is still what the cluster's records say.
func (a *app) clusterAlone(o fleetOptions) (bool, error) {
	t := o.target
	if o.connect.kubeContext == "" || t.cluster != "" || t.repo != "" || t.all || len(o.selection.selectors) > 0 || t.values.given() {
		return false, nil
	}
	_, repository, err := source.Find(a.world.dir)
	return !repository, err
}

// driftCluster finds the drift of all that otomi applied to a cluster of which nothing else is known.
func (a *app) driftCluster(ctx context.Context, o driftOptions) ([]pipeline.Drift, error) {
	client, err := pipeline.Connect(ctx, pipeline.Cluster{}, a.connection(o.fleet.connect))
	if err != nil {
		return nil, err
	}
	d, former, err := pipeline.ClusterDrift(ctx, client, a.platformOptions(o.fleet.target), o.ignore)
	a.report.Hide(former)
	return []pipeline.Drift{d}, err
}

// driftFleet finds the drift of the clusters of a values repository.
func (a *app) driftFleet(ctx context.Context, o driftOptions) (drifts []pipeline.Drift, failed bool, err error) {
	f, err := a.gather(ctx, o.fleet, "")
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.platform.Close()) }()
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		d, former, err := f.platform.Drift(ctx, stage, client, o.ignore)
		f.report.Hide(former)
		if err == nil {
			drifts = append(drifts, d)
		}
		return err
	})
	return drifts, f.failed, err
}

// driftState finds the drift of the releases of state files.
func (a *app) driftState(ctx context.Context, o driftOptions) (drifts []pipeline.Drift, err error) {
	all, done, err := a.reachStates(ctx, o.state, o.fleet, deployed{verb: "drift"})
	defer func() { err = done(err) }()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, site := range s.sites {
			d, former, err := s.Drift(ctx, site, pipeline.StateDiffOptions{
				DiffOptions: pipeline.DiffOptions{Ignore: o.ignore}, Reveal: o.state.showSecrets, Parallel: o.state.concurrency, Secrets: s.secrets,
			})
			a.report.Hide(former)
			if err != nil {
				return nil, err
			}
			drifts = append(drifts, d)
		}
	}
	return drifts, nil
}
