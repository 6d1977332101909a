package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

// deployment shows the plans of some clusters, asks once, and carries them out one after the other.
type deployment struct {
	*fleet
	hold   holdOptions
	record recordOptions
	// parallel and atomic are those of the run; 0 is the default.
	parallel int
	atomic   bool
	plans    []pipeline.Plan
	clients  []*pipeline.Client
	hooks    []*pipeline.Hooks
	results  []report.Result
}

func newDeployment(f *fleet, hold holdOptions) *deployment { return &deployment{fleet: f, hold: hold} }

// add takes the plan of one more cluster, and the hooks of its runlevels.
func (d *deployment) add(plan pipeline.Plan, client *pipeline.Client, hooks *pipeline.Hooks) {
	d.report.Hide(append(pipeline.HeldSecrets(plan), pipeline.PairedSecrets(plan, d.report.Redacted)...))
	d.plans, d.clients, d.hooks = append(d.plans, plan), append(d.clients, client), append(d.hooks, hooks)
}

func (d *deployment) json() bool { return d.options.output == "json" }

// carryOut shows the plans, asks, and applies them. It reports whether anything was changed.
func (d *deployment) carryOut(ctx context.Context, q question) (changed bool, err error) {
	if !d.json() {
		if err := d.report.Plans(d.plans, d.options.output); err != nil {
			return false, err
		}
	}
	work := false
	for _, plan := range d.plans {
		work = work || !plan.Empty()
	}
	if work {
		q.json = d.json()
		if err := d.confirm(ctx, q); err != nil {
			return false, err
		}
		if err := d.afford(ctx, d.plans, q); err != nil {
			return false, err
		}
	}
	for i, plan := range d.plans {
		if ctx.Err() != nil {
			return changed, ctx.Err()
		}
		result := report.Result{Cluster: plan.Cluster, Plan: plan}
		if plan.Empty() && !(d.record.refresh && plan.Stale()) {
			d.results = append(d.results, result)
			continue
		}
		changed = changed || !plan.Empty()
		started := time.Now()
		of := pipeline.Deployment{Plans: []pipeline.Plan{plan}}
		result.Result, err = d.apply(ctx, plan, d.clients[i], d.hooks[i].Programs(pipeline.ApplyOptions{Emit: d.event}, of, d.verb))
		err = errors.Join(err, d.ran(d.platform.Shown)(d.hooks[i].Finish(ctx, of, d.verb, err)))
		result.Elapsed = time.Since(started)
		if !d.json() {
			d.report.Result(result)
		}
		if err == nil {
			d.results = append(d.results, result)
			continue
		}
		result.Error = err.Error()
		if err := d.fail(plan.Cluster, err); err != nil {
			d.results = append(d.results, result)
			return changed, errors.Join(d.document(), err)
		}
		d.failures[len(d.failures)-1] = result
	}
	if err := d.document(); err != nil {
		return changed, err
	}
	return changed, d.verdict()
}

// apply carries out one plan while nobody else changes its cluster.
func (d *deployment) apply(ctx context.Context, plan pipeline.Plan, client *pipeline.Client, o pipeline.ApplyOptions) (result pipeline.ApplyResult, err error) {
	held, holding, err := pipeline.Hold(ctx, []pipeline.Site{{Client: client, Cluster: plan.Cluster, Inventory: plan.Inventory}}, d.app.hold(d.hold, d.options.connect, d.event))
	if err != nil {
		return pipeline.Unstarted(plan), err
	}
	defer d.giveBack(ctx, holding, &err)
	o.Run, o.Holder, o.Parallel, o.Atomic = holding.Run, d.app.world.holder(), d.parallel, d.atomic
	return pipeline.Apply(held, plan, client, d.record.on(o))
}

// document prints what was done, where the format is JSON.
func (d *deployment) document() error {
	if !d.json() {
		return nil
	}
	return d.report.Results(append(d.results, d.failures...))
}

func (d *deployment) event(e pipeline.Event) {
	if d.json() {
		// An event that can't be shown is no reason to stop half-way.
		_ = d.report.EventJSON(e)
		return
	}
	d.report.Event(e)
}

// question is what a person is asked before a cluster is changed.
type question struct {
	verb string
	// yes answers it.
	yes bool
	// mustBeAnswered says that it is refused, and not taken as answered, where nobody can be asked.
	mustBeAnswered bool
	// record says how records are made.
	record recordOptions
	// json says that no plan was shown.
	json bool
	// atomic says that what a failed run did is taken back.
	atomic bool
	// budget is what may be deleted without a question of its own; nil where deleting is what was asked for.
	budget *budgetOptions
}

// confirm asks whether to go on. Without a terminal, as in a pipeline step, the command itself says what to do; on one, a
// question that can't be shown or a plan that wasn't is no consent.
func (a *app) confirm(ctx context.Context, q question) error {
	w := a.world
	switch {
	case q.yes:
		return nil
	case !w.stdinTerminal || w.inCI():
		if q.mustBeAnswered {
			return fmt.Errorf("%s asks before it begins, and nobody can be asked here; add --yes", q.verb)
		}
		return nil
	case !w.stderrTerminal || q.json:
		return fmt.Errorf("%s asks before it begins, and the question can't be shown here; add --yes", q.verb)
	}
	a.report.Ask("%s this? Only `yes` goes on: ", q.verb)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(w.stdin).ReadString('\n')
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
