package diff

import (
	"context"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// Move is one thing that is not as it was when a plan was made.
type Move struct {
	// Release is NAMESPACE/NAME of the release that is touched.
	Release string `json:"release"`
	// Object is the one that moved; zero where it is the records of the release.
	Object manifest.ID `json:"object,omitzero"`
	// Reason says what happened to it: "was changed by kubectl-edit".
	Reason string `json:"reason"`
}

// String is the move as a sentence without its end.
func (m Move) String() string {
	if m.Object == (manifest.ID{}) {
		return "release " + m.Release + ": " + m.Reason
	}
	return m.Object.String() + " " + m.Reason
}

// Moved finds what a plan is about to touch and is no longer as it was when the plan was made: the records of its releases, and
// its objects. An object that has the resource version it had costs one request for its kind; others are read, and have not
// moved where only parts of them did that the plan does not speak of.
func Moved(ctx context.Context, p Plan, live Live) ([]Move, error) {
	type touched struct {
		release Release
		change  Change
		object  manifest.Object
	}
	var releases []Release
	var objects []touched
	for _, level := range p.Levels {
		for _, r := range level.Releases {
			if r.Action == Same {
				continue
			}
			releases = append(releases, r)
			for _, c := range r.Objects {
				if c.Seen != "" {
					objects = append(objects, touched{r, c, manifest.Object{ID: c.ID, Version: c.Version, Data: r.wanted(c)}})
				}
			}
		}
	}
	if len(releases) == 0 {
		return nil, nil
	}
	records, err := live.Records(ctx)
	if err != nil {
		return nil, err
	}
	var moves []Move
	now := histories(records)
	for _, r := range releases {
		if h := now[r.Key()]; h.seen() != r.Seen {
			moves = append(moves, Move{Release: r.Key(), Reason: h.told()})
		}
	}
	all := make([]manifest.Object, len(objects))
	for i, t := range objects {
		all[i] = t.object
	}
	versions, err := live.Versions(ctx, all)
	if err != nil {
		return nil, err
	}
	found := make([]*Move, len(objects))
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(defaultParallel)
	for i, t := range objects {
		version, there := versions[t.change.ID]
		if there && version.Seen == t.change.Seen && version.UID == t.change.UID || !there && t.change.Seen == manifest.Absent {
			// One that came into being and belongs to no release is found when it is written to.
			continue
		}
		group.Go(func() error {
			data, there, err := live.Get(ctx, t.object)
			if err != nil {
				return err
			}
			reason := ""
			switch {
			case !there && t.change.Seen == manifest.Absent:
			case !there:
				reason = "was deleted"
			case t.change.Seen == manifest.Absent:
				reason = "was created" + by(data)
			case UID(data) != t.change.UID:
				reason = "was deleted and made anew" + by(data)
			case t.object.Data != nil && LiveDigest(data, t.object.Data) != t.change.Live:
				reason = "was changed" + by(data)
			}
			if reason != "" {
				found[i] = &Move{Release: t.release.Key(), Object: t.change.ID, Reason: reason}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, m := range found {
		if m != nil {
			moves = append(moves, *m)
		}
	}
	return moves, nil
}

// wanted is the data of the object that a change makes; nil where it deletes one. A rendered object may name another namespace
// than that of its place.
func (r Release) wanted(c Change) map[string]any {
	if c.Action == Delete {
		return nil
	}
	for _, exact := range []bool{true, false} {
		for _, o := range slices.Concat(r.Wanted.CRDs, r.Wanted.Objects) {
			if o.ID == c.ID {
				return Without(o.Data, c.Ignored)
			}
			if o.ID.Namespace == "" || c.Namespace == "" {
				o.Namespace = c.Namespace
			}
			if !exact && o.ID == c.ID {
				return Without(o.Data, c.Ignored)
			}
		}
	}
	return nil
}

// by names who wrote to an object last, and when.
func by(live map[string]any) string {
	return byAt(lastWriter(live))
}

// byAt is " by MANAGER at TIME", or nothing where nobody is known.
func byAt(manager, at string) string {
	switch {
	case manager == "":
		return ""
	case at == "":
		return " by " + manager
	}
	return " by " + manager + " at " + at
}

// told says what the records of a release are.
func (h history) told() string {
	last, found := h.last()
	if !found {
		return "its records are gone"
	}
	return fmt.Sprintf("revision %d is %s now", last.Revision, last.Status)
}
