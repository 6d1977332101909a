package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// wentBack is the description of a rollback, as Helm has it.
func wentBack(revision int) string { return fmt.Sprintf("Rollback to %d", revision) }

// labels are those of a new record. A run that has no inventory leaves the release in the one that it is in, as helm does.
func (r *run) labels(s *step, former []manifest.Record) map[string]string {
	labels := map[string]string{}
	set := func(label, value string) {
		if value != "" {
			labels[label] = value
		}
	}
	set(diff.RevisionLabel, strconv.Itoa(s.release.Revision))
	set(diff.ModeLabel, diff.ModeInstall)
	if s.release.Action == diff.Upgrade {
		set(diff.ModeLabel, diff.ModeUpgrade)
	}
	set(diff.RunLabel, r.o.Run)
	set(diff.HolderLabel, diff.LabelValue(r.o.Holder))
	if s.release.Digest != "" {
		set(diff.DigestLabel, diff.Content(s.release.Digest))
	}
	if s.back > 0 {
		set(diff.RollbackLabel, strconv.Itoa(s.back))
	} else {
		set(diff.CommitLabel, diff.LabelValue(r.commit))
	}
	maps.Copy(labels, r.place(s, former))
	return labels
}

// place are the labels that say which inventory a release is in, and where in its runlevels.
func (r *run) place(s *step, former []manifest.Record) map[string]string {
	if r.inventory != "" {
		return map[string]string{
			diff.InventoryLabel: r.inventory, diff.LevelLabel: diff.LabelValue(s.release.Level), diff.GroupLabel: strconv.Itoa(s.release.Group),
		}
	}
	labels := map[string]string{}
	if len(former) > 0 {
		last := former[len(former)-1]
		for _, label := range []string{diff.InventoryLabel, diff.LevelLabel, diff.GroupLabel} {
			if v := last.Labels[label]; v != "" && last.Status != manifest.Uninstalled {
				labels[label] = v
			}
		}
	}
	return labels
}

// resume finds out which hooks of a release need not run, because a run that was killed or interrupted ran them for the very
// same content. A run that failed is not continued: its next one is a new try.
func (r *run) resume(ctx context.Context, s *step, record *manifest.Stored, former []manifest.Record) error {
	if len(former) == 0 || len(record.Hooks) == 0 {
		return nil
	}
	last := former[len(former)-1]
	digest := record.Labels[diff.DigestLabel]
	if !interrupted(last) || digest == "" || last.Labels[diff.DigestLabel] != digest ||
		last.Labels[diff.ModeLabel] != record.Labels[diff.ModeLabel] || last.Labels[diff.HooksLabel] == "" {
		return nil
	}
	stored, err := r.cluster.Stored(ctx, last.Namespace, last.Name, last.Revision)
	if err != nil {
		return err
	}
	s.done = last.Labels[diff.HooksLabel]
	record.Runs, record.Labels[diff.HooksLabel] = stored.Runs, s.done
	return nil
}

// interrupted reports whether a record of ours was left by a run that ended before its time.
func interrupted(r manifest.Record) bool {
	return diff.Ours(r) && (r.Status.Pending() || r.Status == manifest.Failed && r.Labels[diff.InterruptedLabel] != "")
}

// ran is how many hooks of an event, in their order, an interrupted run completed.
func (s *step) ran(event manifest.Event) int {
	i := max(strings.LastIndex(s.done, "-"), 0)
	at, before := s.done[:i], strings.HasPrefix(string(event), "pre-")
	switch {
	case at == string(event):
		n, _ := strconv.Atoi(s.done[i+1:]) // what is no number is none
		return n
	case before && strings.Replace(string(event), "pre-", "post-", 1) == at:
		// Where those after the objects began, those before them are done.
		return allHooks
	}
	return 0
}

// allHooks is more than any release has.
const allHooks = 1 << 30

// progressed records that a hook is done, so that it is not run again whatever becomes of this run.
func (r *run) progressed(ctx context.Context, event manifest.Event, done int, record *manifest.Stored) error {
	record.Labels = with(record.Labels, diff.HooksLabel, fmt.Sprintf("%s-%d", event, done))
	ctx, finish := finishing(ctx)
	defer finish()
	have, err := r.own(ctx, *record)
	if err != nil {
		return err
	}
	record.Seen = have.Seen
	return r.put(ctx, *record)
}

// refresh writes the labels of records anew that do not say that their releases are as they are wanted. A record that someone
// else wrote meanwhile is left for another time.
func (r *run) refresh(ctx context.Context, plan diff.Plan) error {
	for _, level := range plan.Levels {
		for _, release := range level.Releases {
			if !release.Stale {
				continue
			}
			if err := r.refreshOne(ctx, &step{release: release, result: &ReleaseResult{}, began: r.o.Now(), quiet: true}); err != nil && !conflict(err) {
				return fmt.Errorf("release %s: refreshing its record: %w", release.Key(), err)
			}
		}
	}
	return nil
}

func (r *run) refreshOne(ctx context.Context, s *step) error {
	former, err := r.cluster.Revisions(ctx, s.release.Namespace, s.release.Name)
	if err != nil || len(former) == 0 {
		return err
	}
	last := former[len(former)-1]
	if last.Revision != s.release.Revision || last.Status != manifest.Deployed {
		return nil
	}
	owned := s.release.Owned
	if len(s.release.Upkeep) > 0 {
		prints := newPrints()
		s.release.Objects = s.release.Upkeep
		if err := r.applyCRDs(ctx, s, s.release.Wanted.CRDs, prints); err != nil {
			return err
		}
		if _, err := r.applyObjects(ctx, s, s.release.Wanted.Objects, prints); err != nil {
			return err
		}
		owned = diff.Owned(slices.Collect(maps.Keys(prints.all)), prints.all)
	}
	return r.restate(ctx, last, func(stored *manifest.Stored) {
		labels := maps.Clone(stored.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, r.place(s, former))
		labels[diff.RevisionLabel] = strconv.Itoa(last.Revision)
		labels[diff.WantedLabel], labels[diff.DigestLabel] = diff.Wanted(s.release.Digest, last.Revision), diff.Content(s.release.Digest)
		labels[diff.OwnedLabel] = owned
		if !diff.Ours(last) || labels[diff.ModeLabel] == "" {
			labels[diff.ModeLabel] = diff.ModeUpgrade
		}
		stored.Labels = labels
	})
}
