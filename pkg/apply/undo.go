package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// undo takes back a release that failed, where it asks for that, and returns the reason with what came of it. The rules are Helm's
// (helm.sh/helm/v3/pkg/action: Install.failRelease, Upgrade.failRelease): an atomic install goes away, an atomic upgrade goes back
// to what was deployed, and what a failed upgrade made is deleted where the release says cleanupOnFail. A run that was
// interrupted or overtaken undoes nothing.
func (r *run) undo(ctx context.Context, s *step, reason error) error {
	var lost *overtaken
	if ctx.Err() != nil || errors.As(reason, &lost) || s.back > 0 {
		return reason
	}
	if s.release.CleanupOnFail && s.release.Action == diff.Upgrade {
		if err := r.deleteCreated(ctx, s); err != nil {
			reason = fmt.Errorf("%w; deleting what it made: %w", reason, err)
		}
	}
	switch {
	case !s.release.Atomic:
		return reason
	case s.release.Action == diff.Install:
		if err := r.takeAway(ctx, s); err != nil {
			return fmt.Errorf("%w; it was to go away, being atomic: %w", reason, err)
		}
		return fmt.Errorf("%w; it was uninstalled, being atomic", reason)
	}
	revision, err := r.goBack(ctx, s)
	if err != nil {
		return fmt.Errorf("%w; it was to go back to what was deployed, being atomic: %w", reason, err)
	}
	return fmt.Errorf("%w; it went back to revision %d, being atomic", reason, revision)
}

// deleteCreated deletes the objects that the plan creates, those of crds/ and namespaces excepted.
func (r *run) deleteCreated(ctx context.Context, s *step) error {
	var made []manifest.Object
	for _, change := range slices.Backward(s.release.Objects) {
		if change.Action == diff.Create && !change.CRD && !stays(change.ID) {
			made = append(made, manifest.Object{ID: change.ID, Version: change.Version, Source: change.Source})
		}
	}
	return r.deleteAndWait(ctx, s, made, s.release.Owner())
}

// stays reports whether an object is never deleted with its release: others may use it.
func stays(id manifest.ID) bool {
	return id.Kind == "Namespace" && id.Group == "" || id.Kind == "CustomResourceDefinition"
}

// takeAway uninstalls a release whose install failed.
func (r *run) takeAway(ctx context.Context, s *step) error {
	going, err := r.gone(ctx, s, s.release.Wanted.Objects, nil)
	if err != nil {
		return err
	}
	back := *s
	back.release.Action, back.release.Objects, back.done = diff.Uninstall, going, ""
	return r.uninstall(ctx, &back)
}

// goBack applies what was deployed before as a new revision, and returns the one that it is taken from.
func (r *run) goBack(ctx context.Context, s *step) (int, error) {
	records, err := r.cluster.Revisions(ctx, s.release.Namespace, s.release.Name)
	if err != nil {
		return 0, err
	}
	target := lastGood(records)
	if target == 0 {
		return 0, errors.New("no revision is deployed")
	}
	return target, r.goBackTo(ctx, s, target)
}

// lastGood is the revision that is deployed; where none is, because a run died between the marks, the last that was. It is 0 where
// none ever was, or the release was uninstalled since.
func lastGood(records []manifest.Record) int {
	deployed, superseded := 0, 0
	for _, record := range records {
		switch record.Status {
		case manifest.Deployed:
			deployed = record.Revision
		case manifest.Superseded:
			superseded = record.Revision
		case manifest.Uninstalled:
			deployed, superseded = 0, 0
		}
	}
	return cmp.Or(deployed, superseded)
}

// goBackTo applies what a revision has as a new one.
func (r *run) goBackTo(ctx context.Context, s *step, revision int) error {
	records, err := r.cluster.Revisions(ctx, s.release.Namespace, s.release.Name)
	if err != nil {
		return err
	}
	stored, err := r.cluster.Stored(ctx, s.release.Namespace, s.release.Name, revision)
	if err != nil {
		return err
	}
	back := *s
	back.back, back.done = revision, ""
	if back.release.Objects, err = r.gone(ctx, s, s.release.Wanted.Objects, stored.Objects); err != nil {
		return err
	}
	again, err := r.replacedAgain(ctx, s, stored.Objects)
	if err != nil {
		return err
	}
	back.release.Objects = append(back.release.Objects, again...)
	// What is wanted of the release is still something else, which a digest would deny.
	back.release.Wanted, back.release.Digest = stored.Release, ""
	back.release.Revision = records[len(records)-1].Revision + 1
	back.release.Wanted.Revision = back.release.Revision
	record, err := r.begin(ctx, &back, records)
	if err != nil {
		return err
	}
	applied, err := r.carryOut(ctx, &back, &record)
	if err != nil {
		return r.fail(ctx, record, err)
	}
	return r.finish(ctx, &back, record, applied.all)
}

// replacedAgain are the changes that replace what the failed upgrade replaced: what could not be changed in place on the way there
// can't be on the way back. What it did not get to is as it was, and is only applied.
func (r *run) replacedAgain(ctx context.Context, s *step, former []manifest.Object) ([]diff.Change, error) {
	placed, _, err := r.cluster.Place(ctx, s.release.Namespace, former)
	if err != nil {
		return nil, err
	}
	var out []diff.Change
	for _, o := range placed {
		if change, _ := s.change(o.ID); change.Action != diff.Replace {
			continue
		}
		_, err := r.cluster.DryRun(ctx, o, s.release.Owner())
		var refusal *manifest.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Reason == manifest.RefusedImmutable:
			out = append(out, diff.Change{ID: o.ID, Version: o.Version, Source: o.Source, Action: diff.Replace})
		case err != nil && refusal == nil:
			return nil, err
		}
	}
	return out, nil
}

// gone are the changes that delete what is among the objects and not among the kept ones.
func (r *run) gone(ctx context.Context, s *step, objects, kept []manifest.Object) ([]diff.Change, error) {
	placed, _, err := r.cluster.Place(ctx, s.release.Namespace, objects)
	if err != nil {
		return nil, err
	}
	if kept, _, err = r.cluster.Place(ctx, s.release.Namespace, kept); err != nil {
		return nil, err
	}
	var out []diff.Change
	for _, o := range placed {
		same := func(k manifest.Object) bool { return k.ID == o.ID }
		change, _ := s.change(o.ID)
		if change.Action == diff.Adopt || change.Action == diff.TakeOver || change.From != "" {
			continue // it was there before the release had it, and goes back to whom it was of, or stays
		}
		if !stays(o.ID) && !manifest.Kept(o.Data) && !slices.ContainsFunc(kept, same) {
			out = append(out, diff.Change{ID: o.ID, Version: o.Version, Source: o.Source, Action: diff.Delete})
		}
	}
	slices.SortStableFunc(out, func(a, b diff.Change) int { return manifest.Rank(b.Kind) - manifest.Rank(a.Kind) })
	return out, nil
}
