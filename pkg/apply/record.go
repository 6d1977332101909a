package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// The descriptions that Helm gives to its records.
const (
	installing = "Initial install underway"
	upgrading  = "Preparing upgrade"
	installed  = "Install complete"
	upgraded   = "Upgrade complete"
)

// overtaken is the error of a run whose record is not its own any more.
type overtaken struct {
	revision int
	// by is the run that has the record now; empty where it is gone.
	by string
}

func (e *overtaken) Error() string {
	if e.by == "" {
		return fmt.Sprintf("another run uninstalled the release while this one worked on revision %d: apply again once that run is over", e.revision)
	}
	return fmt.Sprintf("run %s took revision %d over from this one, and goes on with the release: apply again once that run is over",
		e.by, e.revision)
}

// begin makes the record of the new revision, which is the lock on it, and takes over the records that runs before left open.
// Such a run may still be alive: it then finds its record taken when it next looks, and stops.
func (r *run) begin(ctx context.Context, s *step, former []manifest.Record) (manifest.Stored, error) {
	now := r.o.Now()
	record := manifest.Stored{
		Release:       s.release.Wanted,
		Status:        manifest.PendingInstall,
		Description:   installing,
		FirstDeployed: now,
		LastDeployed:  now,
		Labels:        r.labels(s, former),
		Runs:          map[int]manifest.HookRun{},
	}
	for k, v := range s.release.Labels {
		if _, ours := record.Labels[k]; !ours {
			record.Labels[k] = v
		}
	}
	record.Revision = s.release.Revision
	if s.release.Action == diff.Upgrade {
		record.Status, record.Description = manifest.PendingUpgrade, upgrading
	}
	if s.back > 0 {
		record.Status, record.Description = manifest.PendingRollback, wentBack(s.back)
	}
	if r.o.OmitValues {
		record.Values, record.Chart.Values = nil, nil
	}
	if err := r.resume(ctx, s, &record, former); err != nil {
		return manifest.Stored{}, err
	}
	for _, old := range slices.Backward(former) {
		if old.Status == manifest.Deployed || old.Status == manifest.Superseded {
			stored, err := r.cluster.Stored(ctx, old.Namespace, old.Name, old.Revision)
			if err != nil {
				return manifest.Stored{}, err
			}
			record.FirstDeployed = stored.FirstDeployed
			break
		}
	}
	if err := r.createRecord(ctx, record); err != nil {
		if r.arrived(ctx, record) {
			return manifest.Stored{}, r.fail(ctx, record, err)
		}
		return manifest.Stored{}, err
	}
	for _, old := range former {
		if !old.Status.Pending() || !diff.Ours(old) && old.Revision != s.release.TakesOver {
			continue
		}
		if err := r.restate(ctx, old, func(stored *manifest.Stored) {
			stored.Status, stored.Description = manifest.Failed, "taken over by run "+r.o.Run
			stored.Labels = with(stored.Labels, diff.RunLabel, r.o.Run)
			stored.Labels[diff.InterruptedLabel] = "true"
		}); err != nil {
			return manifest.Stored{}, r.fail(ctx, record, err)
		}
	}
	return record, nil
}

// createRecord makes a record, unless ctx has ended. What was begun is finished also after that. One that does not arrive is sent
// again; one that arrived, and only its answer was lost, is made.
func (r *run) createRecord(ctx context.Context, record manifest.Stored) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	whole, done := finishing(ctx)
	defer done()
	for try := 1; ; try++ {
		err := r.cluster.CreateRecord(whole, record)
		var refusal *manifest.Refusal
		var unheld *manifest.Unheld
		switch {
		case err == nil, errors.As(err, &refusal), errors.As(err, &unheld):
			return err
		case r.arrived(ctx, record):
			return nil
		case try == 5 || pause(ctx, time.Duration(try)*250*time.Millisecond) != nil:
			return err
		}
	}
}

// with is a map of labels with one more.
func with(labels map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range labels {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// arrived reports whether a write that opened a record arrived although it ended in an error: then the record is this run's
// to close. Where the cluster is out of reach, which the error says, the answer is no.
func (r *run) arrived(ctx context.Context, record manifest.Stored) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	have, err := r.own(ctx, record)
	return err == nil && have.Status.Pending()
}

// restate changes a former record, unless someone else changed its status since it was listed.
func (r *run) restate(ctx context.Context, old manifest.Record, change func(*manifest.Stored)) error {
	for {
		stored, err := r.cluster.Stored(ctx, old.Namespace, old.Name, old.Revision)
		if err != nil {
			return err
		}
		if stored.Status != old.Status {
			return nil
		}
		change(&stored)
		if err := r.cluster.UpdateRecord(ctx, stored); !conflict(err) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
}

// put writes a record that this run opened or opens. A conflict may be this run's own write, whose answer was lost and which was sent
// again: where the record is as it was to be, and this run's, it was written. Where it is this run's and not so, it is written
// over: nobody else writes to it without putting a name of its own on it.
func (r *run) put(ctx context.Context, record manifest.Stored) error {
	for try := 1; ; try++ {
		err := r.cluster.UpdateRecord(ctx, record)
		var refusal *manifest.Refusal
		var unheld *manifest.Unheld
		if err == nil || errors.As(err, &unheld) || errors.As(err, &refusal) && !conflict(err) {
			return err
		}
		have, missing := r.own(ctx, record)
		var lost *overtaken
		switch {
		case missing == nil && have.Status == record.Status && have.Labels[diff.HooksLabel] == record.Labels[diff.HooksLabel]:
			return nil
		case missing == nil:
			record.Seen = have.Seen
		case errors.As(missing, &lost):
			return err
		}
		if try == tries || pause(ctx, time.Duration(try)*100*time.Millisecond) != nil {
			return err
		}
	}
}

// conflict reports whether an error says that the record was written by someone else since it was read.
func conflict(err error) bool {
	var refusal *manifest.Refusal
	return errors.As(err, &refusal) && refusal.Reason == manifest.RefusedConflict
}

// own looks at a record that this run made. The error is *overtaken where another run has it now.
func (r *run) own(ctx context.Context, record manifest.Stored) (manifest.Record, error) {
	records, err := r.cluster.Revisions(ctx, record.Namespace, record.Name)
	if err != nil {
		return manifest.Record{}, err
	}
	return r.mine(records, record)
}

// mine finds the record among those of its release.
func (r *run) mine(records []manifest.Record, record manifest.Stored) (manifest.Record, error) {
	i := slices.IndexFunc(records, func(have manifest.Record) bool { return have.Revision == record.Revision })
	if i < 0 {
		return manifest.Record{}, &overtaken{revision: record.Revision}
	}
	if run := records[i].Labels[diff.RunLabel]; run != r.o.Run {
		return manifest.Record{}, &overtaken{revision: record.Revision, by: run}
	}
	return records[i], nil
}

// finish marks the former revisions superseded and the record deployed. The release is live by now: the record is finished
// also after ctx was cancelled.
func (r *run) finish(ctx context.Context, s *step, record manifest.Stored, prints map[manifest.ID]string) error {
	open := record
	record.Status, record.Description = manifest.Deployed, installed
	if s.release.Action == diff.Upgrade {
		record.Description = upgraded
	}
	if s.back > 0 {
		record.Description = wentBack(s.back)
	}
	record.LastDeployed = r.o.Now()
	record.Labels = maps.Clone(record.Labels)
	delete(record.Labels, diff.HooksLabel)
	if s.release.Digest != "" {
		record.Labels[diff.WantedLabel] = diff.Wanted(s.release.Digest, s.release.Revision)
	}
	if owned := diff.Owned(slices.Collect(maps.Keys(prints)), prints); owned != "" {
		record.Labels[diff.OwnedLabel] = owned
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	have, err := r.supersede(late, record)
	if err == nil {
		err = r.endFrom(late, record, have)
	}
	switch {
	case err == nil:
		return nil
	case late.Err() != nil:
		return unclosed(err)
	}
	return r.fail(ctx, open, err)
}

// unclosed is the error of a record that could not be brought to its last state.
func unclosed(err error) error {
	return fmt.Errorf("its record can't be closed now and stays open until the next apply, which closes it: %w", err)
}

// supersede marks every older revision superseded that is marked deployed. That comes before the record's own mark, as with
// Helm: a crash between the two leaves a pending record, which the next run takes over, and never two that are deployed. It returns
// the record as it was listed.
func (r *run) supersede(ctx context.Context, record manifest.Stored) (manifest.Record, error) {
	records, err := r.cluster.Revisions(ctx, record.Namespace, record.Name)
	if err != nil {
		return manifest.Record{}, err
	}
	have, err := r.mine(records, record)
	if err != nil {
		return manifest.Record{}, err
	}
	for _, old := range records {
		if old.Status != manifest.Deployed || old.Revision >= record.Revision {
			continue
		}
		if err := r.restate(ctx, old, func(stored *manifest.Stored) { stored.Status = manifest.Superseded }); err != nil {
			return manifest.Record{}, err
		}
	}
	return have, nil
}

// end writes the last state of a record that this run made. It tries until ctx ends, unless the cluster declines or another
// run has the record; a record that has its last state already, because only an answer was lost, is fine.
func (r *run) end(ctx context.Context, record manifest.Stored) error {
	return r.endFrom(ctx, record, manifest.Record{})
}

// endFrom is end for who has just listed the record.
func (r *run) endFrom(ctx context.Context, record manifest.Stored, have manifest.Record) error {
	for {
		var err error
		if have.Seen == "" {
			have, err = r.own(ctx, record)
		}
		if err == nil && !have.Status.Pending() {
			return nil
		}
		if err == nil {
			record.Seen = have.Seen
			err = r.cluster.UpdateRecord(ctx, record)
		}
		var lost *overtaken
		var refusal *manifest.Refusal
		var unheld *manifest.Unheld
		if err == nil || errors.As(err, &lost) || errors.As(err, &unheld) || errors.As(err, &refusal) && !conflict(err) {
			return err
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return err
		}
		have = manifest.Record{}
	}
}

// fail marks the record failed, also after ctx was cancelled, and returns the reason with what came of it.
func (r *run) fail(ctx context.Context, record manifest.Stored, reason error) error {
	what := "Release"
	switch record.Status {
	case manifest.PendingUpgrade:
		what = "Upgrade"
	case manifest.PendingRollback:
		what = "Rollback"
	}
	return r.failed(ctx, record, fmt.Sprintf("%s %q failed: %s", what, record.Name, recorded(reason)), reason)
}

// failUninstall marks the record failed, also after ctx was cancelled: a record that says "uninstalling" locks the release.
func (r *run) failUninstall(ctx context.Context, record manifest.Stored, reason error) error {
	return r.failed(ctx, record, fmt.Sprintf("Uninstallation failed: %s", recorded(reason)), reason)
}

// failed marks the record failed with a description.
func (r *run) failed(ctx context.Context, record manifest.Stored, description string, reason error) error {
	var lost *overtaken
	if errors.As(reason, &lost) {
		return reason
	}
	record.Status, record.Description = manifest.Failed, description
	if ctx.Err() != nil {
		record.Labels = with(record.Labels, diff.InterruptedLabel, "true")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	switch err := r.end(ctx, record); {
	case err == nil:
		return reason
	case errors.As(err, &lost):
		return fmt.Errorf("%w; %w", reason, err)
	default:
		return fmt.Errorf("%w; %w", reason, unclosed(err))
	}
}

// trim drops the oldest records so that one more makes the history that is kept. The deployed one stays however old it is,
// as with Helm (helm.sh/helm/v3/pkg/storage.removeLeastRecent).
func (r *run) trim(ctx context.Context, s *step, former []manifest.Record) error {
	keep := cmp.Or(r.o.History, s.release.History, defaultHistory)
	if keep < 0 {
		return nil
	}
	excess := len(former) + 1 - keep
	for _, old := range former {
		if excess <= 0 {
			break
		}
		if old.Status == manifest.Deployed {
			continue
		}
		if err := r.cluster.DeleteRecord(ctx, old.Namespace, old.Name, old.Revision); err != nil {
			return err
		}
		excess--
	}
	return nil
}
