package apply_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// interrupted is a cluster at which something happens in the middle of a run.
type interrupted struct {
	*cluster.Client
	beforeWait, beforeCreate func()
}

func (c *interrupted) WaitReady(ctx context.Context, objects []manifest.Object, progress func(string)) error {
	if c.beforeWait != nil {
		c.beforeWait()
	}
	return c.Client.WaitReady(ctx, objects, progress)
}

func (c *interrupted) CreateRecord(ctx context.Context, s manifest.Stored) error {
	if c.beforeCreate != nil {
		c.beforeCreate()
	}
	return c.Client.CreateRecord(ctx, s)
}

// statuses are the states of the revisions of the test's release, the oldest first.
func (w *world) statuses() []manifest.Status {
	w.t.Helper()
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(w.t, err)
	var all []manifest.Status
	for _, r := range records {
		all = append(all, r.Status)
	}
	return all
}

func TestRunThatIsOvertakenMarksNothingDeployed(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"))
	first := &interrupted{Client: w.client, beforeWait: func() {
		_, err := apply.Run(w.ctx, w.plan(charts), w.client, apply.Options{Run: "second"})
		require.NoError(t, err)
	}}
	result, err := apply.Run(w.ctx, w.plan(charts), first, apply.Options{Run: "first"})
	require.ErrorContains(t, err, "run second took revision 1 over from this one")
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, apply.Failed, result.Releases[0].Outcome)
	require.Equal(t, []manifest.Status{manifest.Failed, manifest.Deployed}, w.statuses())
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 1)
	require.NoError(t, err)
	require.Equal(t, "taken over by run second", stored.Description)
	require.True(t, w.plan(charts).Empty())
}

func TestRunThatIsOvertakenPrunesNothing(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1"), configMap("b", "k", "1")))
	both := w.one(configMap("a", "k", "2"), configMap("b", "k", "1"))
	first := &interrupted{Client: w.client, beforeWait: func() {
		_, err := apply.Run(w.ctx, w.plan(both), w.client, apply.Options{Run: "second"})
		require.NoError(t, err)
	}}
	_, err := apply.Run(w.ctx, w.plan(w.one(configMap("a", "k", "2"))), first, apply.Options{Run: "first"})
	require.ErrorContains(t, err, "run second took revision 2 over")
	require.NotNil(t, w.get(configMaps, "b"))
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Failed, manifest.Deployed}, w.statuses())
}

func TestRunThatEndsWhileAnotherBeginsStaysDeployedUntilThen(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"))
	var firstErr error
	var done sync.WaitGroup
	waits, goOn := make(chan struct{}), make(chan struct{})
	first := &interrupted{Client: w.client, beforeWait: func() { close(waits); <-goOn }}
	plan := w.plan(charts)
	done.Go(func() { _, firstErr = apply.Run(w.ctx, plan, first, apply.Options{Run: "first"}) })
	<-waits
	// The second run has listed the pending record of the first by the time that it makes its own.
	second := &interrupted{Client: w.client, beforeCreate: func() { close(goOn); done.Wait() }}
	_, err := apply.Run(w.ctx, w.plan(charts), second, apply.Options{Run: "second"})
	require.NoError(t, err)
	require.NoError(t, firstErr)
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Deployed}, w.statuses())
}

func TestRunWhoseReleaseIsUninstalledMeanwhileStops(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"))
	gone := w.one(configMap("a", "k", "1"))
	gone[0].gone = true
	first := &interrupted{Client: w.client, beforeWait: func() {
		_, err := apply.Run(w.ctx, w.plan(gone), w.client, apply.Options{Run: "second"})
		require.NoError(t, err)
	}}
	_, err := apply.Run(w.ctx, w.plan(charts), first, apply.Options{Run: "first"})
	require.ErrorContains(t, err, "another run uninstalled the release")
	require.Empty(t, w.statuses())
}

func TestTwoDeployedRevisionsAreNoticedAndPutRight(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	charts := w.one(configMap("a", "k", "2"))
	w.apply(charts)
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 1)
	require.NoError(t, err)
	stored.Status = manifest.Deployed
	require.NoError(t, w.client.UpdateRecord(w.ctx, stored))

	plan := w.plan(charts)
	require.Equal(t, diff.Upgrade, plan.Levels[0].Releases[0].Action)
	require.Equal(t, "2 revisions are marked deployed", plan.Levels[0].Releases[0].Reason)
	w.apply(charts)
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Superseded, manifest.Deployed}, w.statuses())
}

// dying is a cluster that is gone for good once one record was updated.
type dying struct {
	*cluster.Client
	dead bool
}

var errDead = &manifest.Refusal{Reason: manifest.RefusedForbidden, Message: "gone"}

func (d *dying) Revisions(ctx context.Context, namespace, name string) ([]manifest.Record, error) {
	if d.dead {
		return nil, errDead
	}
	return d.Client.Revisions(ctx, namespace, name)
}

func (d *dying) UpdateRecord(ctx context.Context, s manifest.Stored) error {
	if d.dead {
		return errDead
	}
	d.dead = true
	return d.Client.UpdateRecord(ctx, s)
}

func TestRunThatDiesBetweenTheMarksLeavesNoTwoDeployedRevisions(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	charts := w.one(configMap("a", "k", "2"))
	_, err := apply.Run(w.ctx, w.plan(charts), &dying{Client: w.client}, apply.Options{Run: "dies"})
	require.ErrorContains(t, err, "its record can't be closed now and stays open until the next apply, which closes it")
	require.NotContains(t, err.Error(), "\n")
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.PendingUpgrade}, w.statuses())
	w.apply(charts)
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Failed, manifest.Deployed}, w.statuses())
}

// away is a cluster whose records are out of reach for some requests.
type away struct {
	*cluster.Client
	mu   sync.Mutex
	left int
}

func (a *away) UpdateRecord(ctx context.Context, s manifest.Stored) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.left > 0 {
		a.left--
		return errors.New("connection refused")
	}
	return a.Client.UpdateRecord(ctx, s)
}

func TestRecordIsClosedOnceTheClusterIsBack(t *testing.T) {
	w := enter(t)
	charts := w.one(deployment("web", "playground.otomi.io/pod: pending"))
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	_, err := apply.Run(ctx, w.plan(charts), &away{Client: w.client, left: 3}, apply.Options{Run: "r", Emit: func(e apply.Event) {
		if e.Kind == apply.Waiting {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []manifest.Status{manifest.Failed}, w.statuses())
}

func TestRecordThatIsTooLargeSaysWhatToDo(t *testing.T) {
	w := enter(t)
	noise := make([]byte, 3<<20)
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = 'a' + byte(state>>24)%26
	}
	charts := []chart{{name: "app", values: map[string]any{"noise": string(noise)}, docs: []string{configMap("a", "k", "1")}}}
	_, _, err := w.run(w.plan(charts))
	require.ErrorContains(t, err, "a Secret holds 1024 KiB; before compression its manifest has 101 B, hooks 0 B, notes 10 B, values 3073 KiB")
	require.ErrorContains(t, err, "--record-values=omit")
	require.Nil(t, w.get(configMaps, "a"), "nothing was written")
	_, err = apply.Run(w.ctx, w.plan(charts), w.client, apply.Options{OmitValues: true})
	require.NoError(t, err)
	stored, readErr := w.client.Stored(w.ctx, w.namespace, "app", 1)
	require.NoError(t, readErr)
	require.Empty(t, stored.Values)
	require.True(t, w.plan(charts).Empty(), "what the record leaves out is no difference")
	_, _, err = w.run(w.planWith(charts, diff.Options{Every: true}))
	require.Less(t, len(err.Error()), 1000)
}

func TestTimesAreSecondsInJSON(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{
		`"elapsedSeconds":1.5`:  apply.Event{Elapsed: 1500 * time.Millisecond},
		`"elapsedSeconds":2`:    apply.Result{Releases: []apply.ReleaseResult{{Elapsed: 2 * time.Second}}},
		`"timeoutSeconds":300`:  diff.Release{Timeout: 5 * time.Minute},
		`"name":"a"`:            diff.Release{Name: "a"},
		`"kind":"release-done"`: apply.Event{Kind: apply.ReleaseDone},
	} {
		require.Contains(t, encoded(t, value), want)
	}
}
