package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const applyHelp = `Make the cluster equal to the values: show what differs, ask, and apply only that.

Runlevels are applied in their order; one begins when the one before it is ready. Releases
that do not differ are not touched. On a terminal it asks first, unless --yes is given.

  otomi apply -c aws/demo
  otomi apply -c aws/demo --yes -l team=alpha`

type applyOptions struct {
	target           targetOptions
	selection        selectOptions
	capabilities     capabilityOptions
	connect          connectOptions
	compare          compareOptions
	output           string
	yes              bool
	keepGoing        bool
	detailedExitcode bool
}

func newApply(a *app) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "make the cluster equal to the values",
		Long:  applyHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runApply(cmd.Context(), a, o) },
	}
	o.target.flags(cmd.Flags())
	o.selection.flags(cmd.Flags())
	o.capabilities.flags(cmd.Flags())
	o.connect.flags(cmd.Flags())
	o.compare.flags(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&o.output, "text", "json"), "output", "o", "format: text or json")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&o.keepGoing, "keep-going", false, "with --all: go on with the next cluster when one fails")
	cmd.Flags().BoolVar(&o.detailedExitcode, "detailed-exitcode", false, "exit with 2 when something was changed")
	return cmd
}

func runApply(ctx context.Context, a *app, o applyOptions) error {
	platform, clusters, err := a.open(ctx, o.target)
	if err != nil {
		return err
	}
	defer platform.Close()

	// All plans are made and shown before the one question.
	d := deployment{app: a, output: o.output, keepGoing: o.keepGoing}
	for _, c := range clusters {
		client, plan, err := a.plan(ctx, platform, c, o.connect, o.selection, o.compare.with(o.capabilities))
		if err != nil {
			if err := d.fail(c.ID, err); err != nil {
				return err
			}
			continue
		}
		d.plans = append(d.plans, plan)
		d.clients = append(d.clients, client)
	}
	changed, err := d.carryOut(ctx, "apply", o.yes)
	if err != nil {
		return err
	}
	if changed && o.detailedExitcode {
		return exit(exitDifferences)
	}
	return nil
}

// deployment shows the plans of some clusters, asks once, and carries them out one after the other.
type deployment struct {
	*app
	output    string
	keepGoing bool
	plans     []pipeline.Plan
	clients   []*pipeline.Client
	results   []report.Result
	failed    bool
}

// fail notes that a cluster failed. It returns the error where that ends the run.
func (d *deployment) fail(cluster string, err error) error {
	if !d.keepGoing {
		return err
	}
	d.failed = true
	var code exit
	if !errors.As(err, &code) {
		d.report.Failure(fmt.Errorf("%s: %w", cluster, err))
	}
	return nil
}

// carryOut shows the plans, asks unless yes, and applies them. It reports whether anything was changed.
func (d *deployment) carryOut(ctx context.Context, verb string, yes bool) (changed bool, err error) {
	if d.output == "text" {
		if err := d.report.Plans(d.plans, d.output); err != nil {
			return false, err
		}
	}
	work := false
	for _, plan := range d.plans {
		work = work || !plan.Empty()
	}
	if work {
		if err := d.confirm(ctx, verb, yes); err != nil {
			return false, err
		}
	}
	for i, plan := range d.plans {
		result := report.Result{Cluster: plan.Cluster, Plan: plan}
		var runErr error
		if !plan.Empty() {
			started := time.Now()
			result.Result, runErr = pipeline.Apply(ctx, plan, d.clients[i], pipeline.ApplyOptions{Emit: d.event})
			result.Elapsed = time.Since(started)
			changed = true
		}
		if runErr != nil {
			result.Error = runErr.Error()
		}
		d.results = append(d.results, result)
		if d.output == "text" && !plan.Empty() {
			d.report.Result(result)
		}
		if runErr != nil {
			if err := d.fail(plan.Cluster, runErr); err != nil {
				return changed, errors.Join(d.document(), err)
			}
		}
	}
	if err := d.document(); err != nil {
		return changed, err
	}
	if d.failed {
		return changed, exit(exitFailed)
	}
	return changed, nil
}

// document prints what was done, where the format is JSON.
func (d *deployment) document() error {
	if d.output != "json" {
		return nil
	}
	return d.report.Results(d.results)
}

func (d *deployment) event(e pipeline.Event) {
	if d.output == "json" {
		d.report.EventJSON(e)
		return
	}
	d.report.Event(e)
}

// confirm asks whether to go on. Where nobody can be asked, as in a pipeline step, the run goes on: the command says what
// to do, and --yes only spares the question.
func (a *app) confirm(ctx context.Context, verb string, yes bool) error {
	if yes || !a.world.asks || a.world.inCI() {
		return nil
	}
	a.report.Ask("%s this? Only `yes` goes on: ", verb)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.world.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-answer:
		if text != "yes" {
			a.report.Talk("nothing was changed")
			return exit(exitFailed)
		}
	}
	return nil
}
