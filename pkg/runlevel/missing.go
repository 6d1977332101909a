package runlevel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// maxMissing is how many missing files, and releases, one diagnostic names.
const maxMissing = 5

// missing is a file that a release names, that is not there, and is left out as missingFileHandler wants it.
type missing struct {
	at diag.Range
	// what is a values file or a secrets file, name is as it is shown, and dir what it is seen from, as it is shown.
	what, name, dir string
	// file is the state file of the release.
	file, release string
}

// leftOut notes a file that is left out.
func (r *run) leftOut(m missing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing = append(r.missing, m)
}

// missed tells of the files that were left out: once for each place, however many releases it is of.
func (r *run) missed(places *placer) diag.Diagnostics {
	type where struct {
		file      string
		line      int
		what, dir string
	}
	slices.SortFunc(r.missing, func(a, b missing) int {
		return cmp.Or(strings.Compare(a.at.File, b.at.File), a.at.Start.Line-b.at.Start.Line, a.at.Start.Column-b.at.Start.Column,
			strings.Compare(a.file, b.file), strings.Compare(a.release, b.release), strings.Compare(a.name, b.name))
	})
	found := map[where][]missing{}
	var order []where
	for _, m := range r.missing {
		at, _ := places.place(m.at)
		w := where{at.File, at.Start.Line, m.what, m.dir}
		if found[w] == nil {
			order = append(order, w)
		}
		found[w] = append(found[w], m)
	}
	var ds diag.Diagnostics
	for _, w := range order {
		all := found[w]
		var names, releases []string
		for _, m := range all {
			if !slices.Contains(names, m.name) {
				names = append(names, m.name)
			}
			if !slices.Contains(releases, m.release) {
				releases = append(releases, m.release)
			}
		}
		detail := fmt.Sprintf("there is no %s %s (seen from %s), and it is left out", w.what, several(names, "or"), w.dir)
		if len(releases) > 1 {
			detail += fmt.Sprintf(" of %d releases: %s", len(releases), several(releases, "and"))
		}
		d := problem(diag.RunlevelInvalid, all[0].at, "%s. Correct the path.", detail)
		d.Severity = diag.Warning
		ds = append(ds, d)
	}
	return ds
}

// several joins names, and only counts those that are too many.
func several(names []string, last string) string {
	if more := len(names) - maxMissing; more > 0 {
		return fmt.Sprintf("%s %s %d more", strings.Join(names[:maxMissing], ", "), last, more)
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " " + last + " " + names[n]
	}
	return names[0]
}
