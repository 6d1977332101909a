package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const historyHelp = `Show the revisions of a release, helm's among them, the oldest first.

Each has the commit of the values that it was made of, where otomi made it. A release that
is not in the runlevels any more is named with its namespace.

  otomi history -c aws/demo web
  otomi history -f helmfile.yaml team-alpha/web -o json
  otomi history --kube-context demo-admin team-alpha/web`

type historyOptions struct {
	fleetOptions
	state   deployStateOptions
	release string
}

func newHistory(a *app) *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history RELEASE",
		Short: "show the revisions of a release",
		Long:  historyHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.release = args[0]
			return runHistory(cmd.Context(), a, o)
		},
	}
	o.fleetOptions.flags(cmd.Flags())
	o.state.flags(cmd.Flags())
	return cmd
}

func runHistory(ctx context.Context, a *app, o historyOptions) (err error) {
	r, done, err := a.reachRelease(ctx, o.release, &o.fleetOptions, &o.state)
	defer func() { err = done(err) }()
	if err != nil {
		return err
	}
	revisions, err := pipeline.History(ctx, r.client, r.NamedRelease)
	if err != nil {
		return err
	}
	if len(revisions) == 0 {
		return fmt.Errorf("the cluster has no release %s; `otomi status` shows those of the runlevels", r.Key())
	}
	rows := make([]report.Revision, len(revisions))
	for i, v := range revisions {
		rows[i] = report.Revision{
			Revision: v.Revision, Updated: v.Updated, Status: v.Status, Chart: v.Chart, AppVersion: v.AppVersion, Description: v.Text,
			Commit: v.Commit, By: v.By,
		}
	}
	return a.report.History(r.Key(), rows, o.output)
}
