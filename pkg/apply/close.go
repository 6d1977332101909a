package apply

import (
	"context"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Close marks the revisions of a release failed that a run began and did not finish, helm's among them, and returns them. The
// caller knows that no such run is alive.
func Close(ctx context.Context, namespace, name string, c Cluster, o Options) ([]manifest.Record, error) {
	records, err := c.Revisions(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	r, end := begun(c, o)
	defer end()
	var closed []manifest.Record
	for _, old := range records {
		if !old.Status.Pending() {
			continue
		}
		if err := r.restate(ctx, old, func(stored *manifest.Stored) {
			stored.Status, stored.Description = manifest.Failed, "unlocked by run "+r.o.Run
			stored.Labels = with(stored.Labels, diff.RunLabel, r.o.Run)
		}); err != nil {
			return closed, err
		}
		closed = append(closed, old)
	}
	return closed, nil
}
