package diff

import (
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
)

// history is the records of one release, the oldest first. An uninstalled release whose history was kept begins anew.
type history []manifest.Record

// histories sorts records by the key of their release.
func histories(records []manifest.Record) map[string]history {
	all := map[string]history{}
	for _, r := range records {
		key := manifest.Key(r.Namespace, r.Name)
		all[key] = append(all[key], r)
	}
	for key, h := range all {
		slices.SortFunc(h, func(a, b manifest.Record) int { return a.Revision - b.Revision })
		all[key] = h
	}
	return all
}

// next is the revision that comes after all others.
func (h history) next() int {
	if len(h) == 0 {
		return 1
	}
	return h[len(h)-1].Revision + 1
}

// current leaves out what was uninstalled.
func (h history) current() history {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Status == manifest.Uninstalled {
			return h[i+1:]
		}
	}
	return h
}

// last is the newest record.
func (h history) last() (manifest.Record, bool) {
	if len(h) == 0 {
		return manifest.Record{}, false
	}
	return h[len(h)-1], true
}

// everDeployed reports whether any revision became live. Until one does, every run is an install, or the hooks of the
// install would be lost after a first run that failed.
func (h history) everDeployed() bool {
	return slices.ContainsFunc(h, func(r manifest.Record) bool {
		return r.Status == manifest.Deployed || r.Status == manifest.Superseded
	})
}

// open are the records whose objects may be in the cluster: the deployed one, and those after it that did not get so far;
// all where none is deployed. Where several are, they begin with the first of them.
func (h history) open() history {
	for i, r := range h {
		if r.Status == manifest.Deployed {
			return h[i:]
		}
	}
	return h
}

// deployed are the revisions that are marked deployed. More than one are left by a run that another one overtook, or by a
// crash between the marks.
func (h history) deployed() []int {
	var revisions []int
	for _, r := range h {
		if r.Status == manifest.Deployed {
			revisions = append(revisions, r.Revision)
		}
	}
	return revisions
}

// seen is a digest of the records as they were listed.
func (h history) seen() string {
	lines := make([]string, len(h))
	for i, r := range h {
		lines[i] = fmt.Sprintf("%d %s %s", r.Revision, r.Status, r.Seen)
	}
	return sum(lines...)
}
