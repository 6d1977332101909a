package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Health is how many objects of a release are ready, and why the others are not. It is zero where no revision is deployed.
type Health struct {
	Ready, Objects int
	// Waiting are those that are not ready, in the order of the manifest.
	Waiting []Ailing
}

// Ailing is an object that is not ready.
type Ailing struct {
	manifest.ID
	manifest.Readiness
}

// health fills in how the objects of releases are. It costs one request for the records and one for each kind of object, and some
// for the first objects that are not ready.
func health(ctx context.Context, client *Client, releases []ReleaseStatus) error {
	var namespaces []string
	for _, r := range releases {
		if r.Revision > 0 && !slices.Contains(namespaces, r.Release.Namespace) {
			namespaces = append(namespaces, r.Release.Namespace)
		}
	}
	if len(namespaces) == 0 {
		return nil
	}
	deployed, err := client.Deployed(ctx, namespaces)
	if err != nil {
		return err
	}
	newest := map[string]manifest.Stored{}
	for _, s := range deployed {
		if s.Revision > newest[s.Key()].Revision {
			newest[s.Key()] = s
		}
	}
	objects := make([][]manifest.Object, len(releases))
	var all []manifest.Object
	for i, r := range releases {
		stored, found := newest[r.Release.Key()]
		if !found {
			continue
		}
		placed, _, err := client.Place(ctx, stored.Namespace, stored.Objects)
		if err != nil {
			return err
		}
		objects[i] = placed
		all = append(all, placed...)
	}
	if len(all) == 0 {
		return nil
	}
	found, err := client.Readiness(ctx, all)
	if err != nil {
		return fmt.Errorf("looking whether the objects of the releases are ready: %w", err)
	}
	for i := range releases {
		h := &releases[i].Health
		for _, o := range objects[i] {
			h.Objects++
			if r := found[o.ID]; r.Ready {
				h.Ready++
			} else {
				h.Waiting = append(h.Waiting, Ailing{o.ID, r})
			}
		}
	}
	return nil
}
