package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// The defaults of Options.
const (
	defaultParallel = 8
	defaultHistory  = 10
	defaultTimeout  = 300 * time.Second
)

// goodbye is how long a run that was interrupted may take to finish the record of a release.
const goodbye = 15 * time.Second

// run is one run of a plan.
type run struct {
	cluster Cluster
	o       Options
	events  chan Event
	// inventory is the one that the releases of the plan are in, and commit that of their values; empty where they have none.
	inventory, commit string
	// worked says that an earlier runlevel of this run changed the cluster.
	worked bool
}

// step is one release on its way through a run.
type step struct {
	release diff.Release
	result  *ReleaseResult
	began   time.Time
	// logs says that what Pods of hooks wrote is told, whatever their policies.
	logs bool
	// hooked says that hooks of the release ran.
	hooked bool
	// back is the revision that a rollback or an undone upgrade goes back to; 0 where none does.
	back int
	// done says how far the hooks are that an interrupted run completed, as HooksLabel does.
	done string
	// quiet says that nothing is told of the release.
	quiet bool
}

// Run carries out the plan. Within a runlevel what is to be uninstalled goes first, in reverse order; then the groups of
// releases one after the other, those of one group side by side. The next runlevel starts when every release of this one is
// done, which for a release that waits means ready.
//
// A release that fails has its record marked failed; releases of its group that were already running are finished, and
// nothing else starts. The error names every release that failed, with its object and template; the result says what became
// of each. That is also so when ctx is cancelled: no record is left pending.
func Run(ctx context.Context, plan diff.Plan, c Cluster, o Options) (Result, error) {
	r, end := begun(c, o)
	defer end()
	r.inventory, r.commit = plan.Inventory, plan.Commit
	result, levels := prepare(plan)
	err := r.levels(ctx, plan, levels)
	if err == nil {
		err = r.refresh(ctx, plan)
	}
	for _, w := range c.Warnings() {
		if !slices.Contains(plan.Warnings, w) {
			result.Warnings = append(result.Warnings, w)
		}
	}
	return *result, err
}

// Check is the first step of Run, for each runlevel of the plan, and nothing else: it reports what can't be applied, asking the cluster
// again where the refusal was its own. The result has the releases that can't be as failed, and all others as not started.
func Check(ctx context.Context, plan diff.Plan, c Cluster, o Options) (Result, error) {
	r, end := begun(c, o)
	defer end()
	result, levels := prepare(plan)
	var errs []error
	for i, level := range plan.Levels {
		errs = append(errs, r.check(ctx, level.Name, levels[i]))
	}
	return *result, errors.Join(errs...)
}

// Unstarted is the result of a plan of which nothing was carried out.
func Unstarted(plan diff.Plan) Result {
	result, _ := prepare(plan)
	return *result
}

// begun is a run with its defaults, whose events are emitted until end is called.
func begun(c Cluster, o Options) (r *run, end func()) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.Run == "" {
		o.Run = rand.Text()
	}
	r = &run{cluster: c, o: o, events: make(chan Event, 64), worked: o.Worked}
	emitted := make(chan struct{})
	go func() {
		defer close(emitted)
		for e := range r.events {
			if o.Emit != nil {
				o.Emit(e)
			}
		}
	}()
	return r, func() {
		close(r.events)
		<-emitted
	}
}

// levels carries out the runlevels one after the other.
func (r *run) levels(ctx context.Context, plan diff.Plan, levels [][]*step) error {
	for i, level := range plan.Levels {
		steps := levels[i]
		if len(steps) == 0 {
			continue
		}
		if err := r.level(ctx, level.Name, steps); err != nil {
			for _, s := range slices.Concat(levels[i:]...) {
				if s.result.Outcome == NotStarted {
					s.began = r.o.Now()
					r.tell(s, Event{Kind: ReleaseSkipped})
				}
			}
			return err
		}
		r.worked = true
	}
	return nil
}

// prepare makes the steps of each level, and the result that they fill in.
func prepare(plan diff.Plan) (*Result, [][]*step) {
	result := &Result{Releases: []ReleaseResult{}}
	levels := make([][]*step, len(plan.Levels))
	for i, level := range plan.Levels {
		for _, release := range level.Releases {
			if release.Action == diff.Same && release.Invalid == "" {
				result.Untouched = append(result.Untouched, release)
				continue
			}
			result.Releases = append(result.Releases, ReleaseResult{
				Name: release.Name, Namespace: release.Namespace, Level: level.Name,
				Action: release.Action, Outcome: NotStarted, Revision: release.Revision,
			})
			levels[i] = append(levels[i], &step{release: release, back: release.Back})
		}
	}
	// The results have their final places only now.
	n := 0
	for _, steps := range levels {
		for _, s := range steps {
			s.result = &result.Releases[n]
			n++
		}
	}
	return result, levels
}

// level carries out one runlevel.
func (r *run) level(ctx context.Context, name string, steps []*step) error {
	began := r.o.Now()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("runlevel %s was not started: %w", name, context.Cause(ctx))
	}
	if err := r.check(ctx, name, steps); err != nil {
		return err
	}
	r.emit(Event{Kind: LevelStarted, Level: name})
	var leaving, coming []*step
	for _, s := range steps {
		if s.release.Action == diff.Uninstall {
			leaving = append(leaving, s)
		} else {
			coming = append(coming, s)
		}
	}
	slices.Reverse(leaving)
	groups := byGroup(leaving)
	slices.Reverse(groups)
	for _, group := range append(groups, byGroup(coming)...) {
		if err := r.group(ctx, group); err != nil {
			return fmt.Errorf("runlevel %s: %w", name, err)
		}
	}
	r.emit(Event{Kind: LevelDone, Level: name, Elapsed: r.o.Now().Sub(began)})
	return nil
}

// byGroup splits steps into the groups of their releases, in order.
func byGroup(steps []*step) [][]*step {
	sorted := slices.Clone(steps)
	slices.SortStableFunc(sorted, func(a, b *step) int { return a.release.Group - b.release.Group })
	var groups [][]*step
	for i, s := range sorted {
		if i == 0 || s.release.Group != sorted[i-1].release.Group {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
	}
	return groups
}

// check stops the run before a runlevel of which something can't be applied. What the cluster itself refused when the plan
// was made is asked again: a webhook or a kind of an earlier runlevel may be there now.
func (r *run) check(ctx context.Context, level string, steps []*step) error {
	var errs []error
	for _, s := range steps {
		var problems []string
		if s.release.Invalid != "" {
			problems = append(problems, s.release.Invalid)
		}
		for _, change := range s.release.Objects {
			switch {
			case change.Invalid == "" && (change.Deferred == "" || !change.Refused):
				continue
			case change.Refused:
				answer := r.takenNow(ctx, s.release, change)
				if answer == nil {
					continue
				}
				change.Invalid = answer.Error()
			}
			problems = append(problems, change.Problem())
		}
		if len(problems) == 0 {
			continue
		}
		err := fmt.Errorf("release %s: %s", s.release.Key(), strings.Join(problems, "; "))
		s.result.Outcome, s.result.Error = Failed, strings.Join(problems, "; ")
		r.emit(Event{Kind: ReleaseFailed, Level: level, Release: s.release.Name, Namespace: s.release.Namespace,
			Action: s.release.Action, Message: s.result.Error})
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("runlevel %s was not started: %w", level, errors.Join(errs...))
	}
	return nil
}

// patience is how long the cluster may take to let what an earlier runlevel brought (a new version of a
// CustomResourceDefinition) have its effect on what it refused before.
const patience = 4 * time.Second

// takenNow asks again for an object that the cluster refused when the plan was made, and returns what is still wrong.
func (r *run) takenNow(ctx context.Context, release diff.Release, change diff.Change) error {
	refused := errors.New(change.Invalid + change.Deferred)
	objects, owner := release.Wanted.Objects, release.Owner()
	if change.CRD {
		objects, owner = release.Wanted.CRDs, manifest.Owner{}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		placed, known, err := r.cluster.Place(ctx, release.Namespace, objects)
		if err != nil {
			return refused
		}
		i := slices.IndexFunc(placed, func(o manifest.Object) bool { return o.ID == change.ID })
		if i < 0 {
			// A kind that nobody knew when the plan was made left the object without a place.
			i = slices.IndexFunc(objects, func(o manifest.Object) bool { return o.ID == change.ID })
		}
		if i < 0 {
			return refused
		}
		if known[i] {
			_, err = r.cluster.DryRun(ctx, placed[i], owner)
			var refusal *manifest.Refusal
			switch {
			case err == nil:
				return nil
			case !errors.As(err, &refusal):
			case refusal.Reason == manifest.RefusedNoNamespace && release.CreateNamespace && placed[i].Namespace == release.Namespace:
				// The release makes its namespace before it needs it.
				return nil
			case refusal.Reason == manifest.RefusedNoNamespace:
				// The plan's own words say what to do.
			default:
				refused = errors.New(refusal.Message)
			}
		}
		if !r.worked || pause(ctx, 250*time.Millisecond) != nil {
			return refused
		}
		if !known[i] {
			r.cluster.Refresh()
		}
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// group carries out releases side by side. Once one failed, those that did not start yet stay where they are.
func (r *run) group(ctx context.Context, steps []*step) error {
	var (
		group  parallel.Group
		mu     sync.Mutex
		failed bool
	)
	errs := make([]error, len(steps))
	group.SetLimit(r.o.Parallel)
	for i, s := range steps {
		group.Go(func() error {
			mu.Lock()
			stop := failed || ctx.Err() != nil
			mu.Unlock()
			if stop {
				return nil
			}
			if errs[i] = r.one(ctx, s); errs[i] != nil {
				mu.Lock()
				failed = true
				mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs, in the order of the releases
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// one carries out one release and tells how it went.
func (r *run) one(ctx context.Context, s *step) error {
	s.began = r.o.Now()
	r.tell(s, Event{Kind: ReleaseStarted})
	outcome := Applied
	if s.release.Action == diff.Uninstall {
		outcome = Uninstalled
	}
	err := r.between(ctx, s)
	s.result.Elapsed = r.o.Now().Sub(s.began)
	if err != nil {
		s.result.Outcome, s.result.Error = Failed, err.Error()
		r.tell(s, Event{Kind: ReleaseFailed, Message: err.Error()})
		return fmt.Errorf("release %s: %w", s.release.Key(), err)
	}
	s.result.Outcome = outcome
	r.tell(s, Event{Kind: ReleaseDone})
	return nil
}

// between carries out one release between what the user wants done before and after it.
func (r *run) between(ctx context.Context, s *step) error {
	if r.o.Before != nil {
		said, err := r.o.Before(ctx, s.release)
		r.said(s, said)
		if err != nil {
			return err
		}
	}
	var err error
	if s.release.Action == diff.Uninstall {
		err = r.uninstall(ctx, s)
	} else {
		err = r.apply(ctx, s)
	}
	if r.o.After != nil {
		said, failure := r.o.After(ctx, s.release, err)
		r.said(s, said)
		err = errors.Join(err, failure)
	}
	return err
}

func (r *run) said(s *step, text string) {
	if text != "" {
		r.tell(s, Event{Kind: ProgramSaid, Message: text})
	}
}

// tell emits an event of a release.
func (r *run) tell(s *step, e Event) {
	if s.quiet {
		return
	}
	e.Level, e.Release, e.Namespace = s.release.Level, s.release.Name, s.release.Namespace
	e.Action, e.Revision = s.release.Action, s.release.Revision
	e.Elapsed = r.o.Now().Sub(s.began)
	r.emit(e)
}

func (r *run) emit(e Event) { r.events <- e }

// timeout is how long one wait of a release may take.
func (s *step) timeout() time.Duration {
	if s.release.Timeout > 0 {
		return s.release.Timeout
	}
	return defaultTimeout
}
