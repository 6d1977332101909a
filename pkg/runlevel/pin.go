package runlevel

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
)

// readPins reads the lock file of a state file, where there is one: the versions that `deps` resolved, by the names of charts
// (helmfile 1.7, pkg/state/chart_dependency.go).
func (r *reader) readPins() {
	if len(r.repos) == 0 || r.file.Path == "" || r.in.WithoutPins {
		return
	}
	at := diag.Range{File: r.file.Display}
	name := lockName(r.file.Name)
	if n := r.spec.Get("lockFilePath"); r.word(n) != "" {
		name, at = r.word(n), n.Origin.Range
	}
	file := template.Join(r.state.Dir, name)
	text, err := r.readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.diags = append(r.diags, r.unreadable("lock file", file, at, err))
		return
	}
	shown := r.display(file)
	r.source(shown, text)
	root, ds := yaml.ReadState(text, yaml.ReadOptions{File: shown})
	r.diags = append(r.diags, ds...)
	if ds.HasErrors() {
		return
	}
	r.pins = map[string][]string{}
	for _, entry := range items(root.Get("dependencies")) {
		chart := r.word(entry.Get("name"))
		r.pins[chart] = append(r.pins[chart], r.word(entry.Get("version")))
	}
}

// lockName is the name of the lock file of a state file that names none.
func lockName(file string) string {
	name := strings.TrimSuffix(file, ".gotmpl")
	return strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml") + ".lock"
}

// LockPath is the path of the file's lock file in Input.FS, by which Evaluate finds the versions of charts of repositories; empty for
// a file that is none.
func (s *State) LockPath() string {
	if s.Path == "" || s.Path == "-" {
		return ""
	}
	name := lockName(path.Base(s.Path))
	if n := s.Document.Get("lockFilePath"); n.Text() != "" {
		name = n.Text()
	}
	return template.Join(s.Dir, name)
}

// pin gives a release of a repository the version that the lock file has for it.
func (r *reader) pin(rel *Release) {
	if r.pins == nil || rel.Repository == nil {
		return
	}
	_, chart, _ := strings.Cut(rel.Chart, "/")
	wanted := rel.Version
	if wanted == "" {
		wanted = "*"
	}
	constraint, err := semver.NewConstraint(wanted)
	if err != nil {
		r.report(diag.RunlevelInvalid, rel.Range, "release %s: the version %q is neither a version nor a range of versions. Write one, like ~1.2 or >=1.2 <2.", rel.Name, wanted)
		return
	}
	for _, name := range []string{chart, path.Base(chart)} {
		for _, version := range r.pins[name] {
			if v, err := semver.NewVersion(version); err == nil && constraint.Check(v) {
				rel.Version = version
				return
			}
		}
	}
	r.report(diag.RunlevelInvalid, rel.ChartRange, "release %s: the lock file has no version of %s that answers %s. Write it anew: otomi deps", rel.Name, chart, wanted)
}
