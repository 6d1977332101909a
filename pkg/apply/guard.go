package apply

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// tries is how often one object is written that others write at the same time.
const tries = 10

// finishing returns a context for work that is finished once it was begun: it outlives ctx by goodbye.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	whole, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-whole.Done():
		case <-time.After(goodbye):
			cancel(context.Cause(ctx))
		}
	})
	return whole, func() {
		stop()
		cancel(nil)
	}
}

// again compares an object again that is not as it was when the plan was made, and returns what a write may replace now. That
// is so where only others' parts of it moved, where our own write arrived and its answer did not, and where a hook of the
// release ran in between, whose purpose it may be. Else somebody changed what was shown: nothing is written to it, and the
// error names who.
func (r *run) again(
	ctx context.Context, s *step, o manifest.Object, owner manifest.Owner, change diff.Change, reason error,
) (seen, uid string, err error) {
	live, found, err := r.cluster.Get(ctx, o)
	if err != nil {
		return "", "", err
	}
	moved := func(what string) error {
		return &manifest.Refusal{ID: o.ID, Reason: manifest.RefusedConflict, Message: what + " since it was compared, and was left as it is. Apply again: that shows what is different now"}
	}
	switch {
	case !found && (s.hooked || o.Seen == manifest.Absent):
		return manifest.Absent, "", nil
	case !found:
		return "", "", moved("it was deleted")
	case diff.Seen(live) == o.Seen && diff.UID(live) == o.UID:
		return "", "", reason // the conflict is another one
	case s.hooked && manifest.OwnerOf(live) == owner, change.Live != "" && diff.LiveDigest(live, diff.Without(o.Data, change.Ignored)) == change.Live:
		return diff.Seen(live), diff.UID(live), nil
	}
	data := o.Data
	for try := 1; found && try < tries; try++ {
		o.Data = diff.Unforced(data, live, change.Ignored)
		wanted, err := r.rehearse(ctx, o, owner)
		var refusal *manifest.Refusal
		switch {
		case err == nil && reflect.DeepEqual(diff.Cleaned(live), diff.Cleaned(wanted)):
			return diff.Seen(live), diff.UID(live), nil
		case err != nil && !errors.As(err, &refusal):
			// Whether it is as it was to be is not known.
			return "", "", err
		}
		// A controller may have written to it between the two looks, as the one of Deployments does at once.
		now, there, err := r.cluster.Get(ctx, o)
		if err != nil {
			return "", "", err
		}
		if there && diff.Seen(now) == diff.Seen(live) {
			break
		}
		live, found = now, there
	}
	if !found {
		return "", "", moved("it was deleted")
	}
	what := "it was changed"
	if o.Seen == manifest.Absent {
		what = "it was created"
	}
	if by := diff.ChangedBy(live); by != "" {
		what += " by " + by
	}
	return "", "", moved(what)
}

// rehearse is a dry run that is tried again where the server itself failed: its answer to that is also that to a webhook that
// fails, and says nothing of the object.
func (r *run) rehearse(ctx context.Context, o manifest.Object, owner manifest.Owner) (map[string]any, error) {
	for try := 1; ; try++ {
		wanted, err := r.cluster.DryRun(ctx, o, owner)
		if err == nil || try == 5 || pause(ctx, time.Duration(try)*100*time.Millisecond) != nil {
			return wanted, err
		}
	}
}
