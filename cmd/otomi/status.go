package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const statusHelp = `Show what the cluster's records say of each release of the runlevels, and how many of its
objects are ready. Of those that are not, it says why: what their containers wait for or how
they ended, and the last warning. A run that changes the cluster at the moment is named.

  otomi status -c aws/demo
  otomi status --all --keep-going -o json
  otomi status -f helmfile.yaml`

type statusOptions struct {
	fleetOptions
	state deployStateOptions
}

func newStatus(a *app) *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show the state of the releases on the cluster",
		Long:  statusHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), a, o) },
	}
	o.fleetOptions.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runStatus(ctx context.Context, a *app, o statusOptions) error {
	if plain, err := a.plainDeployment(&o.state, &o.fleetOptions); plain || err != nil {
		if err != nil {
			return err
		}
		return a.statusState(ctx, o)
	}
	f, err := a.gather(ctx, o.fleetOptions, "")
	if err != nil {
		return err
	}
	defer f.platform.Close()
	var rows []report.Status
	var locks []report.Lock
	err = f.each(ctx, func(ctx context.Context, stage pipeline.Stage, client *pipeline.Client) error {
		releases, err := f.platform.Status(ctx, stage, client)
		for _, r := range releases {
			rows = append(rows, statusOf(stage.Values.Cluster.ID, r))
		}
		locks = append(locks, locked(ctx, client, stage.Values.Cluster.ID, o.connect)...)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.report.Status(rows, locks, o.output); err != nil {
		return err
	}
	return f.verdict()
}

// statusOf is a release of a cluster as it is reported.
func statusOf(cluster string, r pipeline.ReleaseStatus) report.Status {
	out := report.Status{
		Cluster: cluster, Runlevel: r.Release.Level, Name: r.Release.Name, Namespace: r.Release.Namespace,
		Installed: r.Release.Installed, Status: r.Status, Revision: r.Revision, Ready: r.Health.Ready, Objects: r.Health.Objects,
	}
	for _, o := range r.Health.Waiting {
		out.NotReady = append(out.NotReady, report.Ailing(o))
	}
	return out
}

// locked says who has the lease of a cluster. Who may not read it is told nothing, which is no failure of the verb.
func locked(ctx context.Context, client *pipeline.Client, cluster string, o connectOptions) []report.Lock {
	holder, held, err := pipeline.LeaseHolder(ctx, client, o.systemNamespace)
	if err != nil || !held {
		return nil
	}
	return []report.Lock{{Cluster: cluster, Holder: holder.Name, Since: holder.Since}}
}
