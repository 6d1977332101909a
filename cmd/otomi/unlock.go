package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const unlockHelp = `Show which run has the lease of a cluster, and free it.

A run that died needs no unlocking: its lease ends by itself within 30 seconds, and the
next apply takes it over and closes the records it left open. This is for a run that
hangs, or that nobody can reach any more. It asks first; a run whose lease was freed
writes nothing more.

With a release, revisions of it that a run began and never finished are marked failed,
helm's among them, so that helm works on it again.

  otomi unlock -c aws/demo
  otomi unlock --kube-context demo-admin --yes
  otomi unlock -c aws/demo team-alpha/web`

type unlockOptions struct {
	target  targetOptions
	connect connectOptions
	hold    holdOptions
	yes     bool
	release string
}

func newUnlock(a *app) *cobra.Command {
	var o unlockOptions
	cmd := &cobra.Command{
		Use:   "unlock [NAMESPACE/NAME]",
		Short: "free the lease of a cluster, or a release that a run left unfinished",
		Long:  unlockHelp,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.release = args[0]
			}
			return runUnlock(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringVar(&o.target.repo, "repo", "", "values repository `DIR` (default: the one around the working directory)")
	cmd.Flags().StringVarP(&o.target.cluster, "cluster", "c", "", "the cluster, `CLOUD/NAME`")
	o.connect.flags(cmd.Flags())
	o.hold.flags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func runUnlock(ctx context.Context, a *app, o unlockOptions) error {
	if err := o.hold.check(); err != nil {
		return err
	}
	namespace, name, ok := strings.Cut(o.release, "/")
	if o.release != "" && (!ok || namespace == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("%q names no release; write NAMESPACE/NAME", o.release)
	}
	var cluster pipeline.Cluster
	// A context that is named is enough; else the values repository says which one it is.
	if o.connect.kubeContext == "" || o.target.cluster != "" || o.target.repo != "" {
		platform, clusters, err := a.open(ctx, o.target)
		if err != nil {
			return err
		}
		defer platform.Close()
		cluster = clusters[0]
	}
	client, err := pipeline.Connect(ctx, cluster, a.connection(o.connect))
	if err != nil {
		return err
	}
	if o.release != "" {
		return a.unlockRelease(ctx, o, client, namespace, name)
	}
	holder, held, err := pipeline.LeaseHolder(ctx, client, o.connect.systemNamespace)
	if err != nil {
		return err
	}
	if !held {
		a.report.Talk("nobody has the lease of the cluster")
		return nil
	}
	a.report.Talk("%s has had the lease of the cluster since %s, and renewed it at %s, by its own clock",
		holder.Name, holder.Since.UTC().Format(time.RFC3339), holder.Renewed.UTC().Format(time.RFC3339))
	if err := a.confirm(ctx, question{verb: "unlock", yes: o.yes, mustBeAnswered: true}); err != nil {
		return err
	}
	freed, err := pipeline.FreeLease(ctx, client, o.connect.systemNamespace, holder)
	if err != nil {
		return err
	}
	if !freed {
		return errors.New("that run does not have the lease any more, and nothing was changed; run it again to see who has")
	}
	a.report.Talk("the lease is free")
	return nil
}

// unlockRelease marks what a run left unfinished of a release failed.
func (a *app) unlockRelease(ctx context.Context, o unlockOptions, client *pipeline.Client, namespace, name string) (err error) {
	unfinished, err := pipeline.Unfinished(ctx, client, namespace, name)
	if err != nil {
		return err
	}
	if len(unfinished) == 0 {
		a.report.Talk("release %s has no revision that a run left unfinished", o.release)
		return nil
	}
	for _, record := range unfinished {
		a.report.Talk("release %s: revision %d is %s since %s", o.release, record.Revision, record.Status, record.Modified.UTC().Format(time.RFC3339))
	}
	if err := a.confirm(ctx, question{verb: "unlock", yes: o.yes, mustBeAnswered: true}); err != nil {
		return err
	}
	held, holding, err := pipeline.Hold(ctx, []pipeline.Site{{Client: client}}, a.hold(o.hold, o.connect, a.report.Event))
	if err != nil {
		return err
	}
	defer a.giveBack(ctx, holding, &err)
	closed, err := pipeline.CloseRelease(held, client, namespace, name, pipeline.ApplyOptions{Run: holding.Run})
	if err == nil {
		a.report.Talk("%s marked failed", report.Plural(len(closed), "revision"))
	}
	return err
}
