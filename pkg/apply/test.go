package apply

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
)

// TestOptions say how the tests of a release go. The zero value is useful.
type TestOptions struct {
	// Timeout bounds the wait for each test; 0 means 300 seconds.
	Timeout time.Duration
	// Cleanup deletes what tests made, also where their policies keep it.
	Cleanup bool
	// Logs tells what the Pods of the tests wrote.
	Logs bool
	// Found is told the revision that is tested before its tests run; nil for nobody.
	Found func(manifest.Stored)
}

// Test runs the test hooks of the deployed revision of a release, one after the other by weight and name, as helm test does, and
// returns how many there are. The first that fails ends the run. The record tells how they went. A release that is not
// deployed is an error.
func Test(ctx context.Context, namespace, name string, c Cluster, to TestOptions, o Options) (int, error) {
	records, err := c.Revisions(ctx, namespace, name)
	if err != nil {
		return 0, err
	}
	var deployed manifest.Record
	for _, record := range records {
		if record.Status == manifest.Deployed {
			deployed = record
		}
	}
	if deployed.Revision == 0 {
		return 0, errors.New("not deployed; apply it first")
	}
	stored, err := c.Stored(ctx, namespace, name, deployed.Revision)
	if err != nil {
		return 0, err
	}
	if to.Found != nil {
		to.Found(stored)
	}
	stored.Runs = maps.Clone(stored.Runs)
	if stored.Runs == nil {
		stored.Runs = map[int]manifest.HookRun{}
	}
	r, end := begun(c, o)
	defer end()
	s := &step{logs: to.Logs, began: r.o.Now(), release: diff.Release{
		Name: name, Namespace: namespace, Revision: deployed.Revision, Wanted: stored.Release, Timeout: to.Timeout,
	}}
	var made []manifest.Object
	for _, h := range stored.Hooks {
		if h.Runs(manifest.Test) {
			made = append(made, render.Flat(h)...)
		}
	}
	if len(made) == 0 {
		return 0, nil
	}
	err = r.hooks(ctx, s, manifest.Test, &stored)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	err = errors.Join(err, r.restate(late, deployed, func(record *manifest.Stored) { record.Runs = stored.Runs }))
	if to.Cleanup {
		err = errors.Join(err, r.cleanUp(late, s, made))
	}
	return len(made), err
}

// cleanUp deletes what tests made.
func (r *run) cleanUp(ctx context.Context, s *step, made []manifest.Object) error {
	for _, o := range made {
		if err := r.placeHook(ctx, s, &o); err != nil {
			return err
		}
		if _, err := r.cluster.Delete(ctx, o, manifest.Owner{}); err != nil {
			return from(o, err)
		}
	}
	return nil
}
