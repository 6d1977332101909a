package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/transform"
	"github.com/redkubes/otomi/pkg/value"
)

// defaultFetchDir is helmfile's template of the directories of fetch --output-dir (pkg/state, DefaultFetchOutputDirTemplate).
const defaultFetchDir = `{{ .OutputDir }}{{ if .Release.Namespace }}/{{ .Release.Namespace }}{{ end }}` +
	`{{ if .Release.KubeContext }}/{{ .Release.KubeContext }}{{ end }}/{{ .Release.Name }}/{{ .ChartName }}/{{ or .Release.Version "latest" }}`

// Fetched are the charts of the releases of state files.
type Fetched struct {
	// Charts counts them, and Files are those that are to be written.
	Charts int
	Files  []WrittenFile
	// paths are the directories of the charts that are written, by the namespace and name of their release as they are written.
	paths map[*runlevel.State]map[[2]string]string
}

// State is a state file whose releases take their charts from where they are written, as helmfile's fetch --write-output prints it
// (helmfile 1.7, pkg/app, Fetch).
func (f Fetched) State(s *runlevel.State) *runlevel.State {
	out := *s
	document := *s.Document
	document.Fields = slices.Clone(document.Fields)
	out.Document = &document
	for i, field := range document.Fields {
		if field.Key != "releases" {
			continue
		}
		list := *field.Value
		list.Items = slices.Clone(list.Items)
		for j, n := range list.Items {
			to, ok := f.paths[s][[2]string{n.Get("namespace").Text(), n.Get("name").Text()}]
			if !ok {
				continue
			}
			release := *n
			release.Fields = nil
			for _, one := range n.Fields {
				switch one.Key {
				case "chartPath":
					continue
				case "chart":
					one.Value = value.NewScalar(one.Value.Origin, to)
				}
				release.Fields = append(release.Fields, one)
			}
			list.Items[j] = &release
		}
		document.Fields[i].Value = &list
	}
	return &out
}

// FetchedCharts loads the charts of the installed releases that come from elsewhere, which puts them into the cache. Where dir is
// named it returns their files in the directory below it that a template names, empty means helmfile's own; and those of local
// charts, as helmfile copies them.
func (s *StateFile) FetchedCharts(ctx context.Context, dir, name string) (Fetched, diag.Diagnostics, error) {
	if name == "" {
		name = defaultFetchDir
	}
	out := Fetched{paths: map[*runlevel.State]map[[2]string]string{}}
	var ds diag.Diagnostics
	for i, l := range s.Levels {
		change := s.changes(s.States[i])
		paths := map[[2]string]string{}
		out.paths[s.States[i]] = paths
		for _, r := range l.Releases {
			if !r.Installed {
				continue
			}
			for _, d := range r.Dependencies {
				if added := dependency(r, d); isRemote(added) {
					_, more, err := s.chart(ctx, added)
					if ds = append(ds, more...); err != nil {
						return Fetched{}, ds, err
					}
				}
			}
			if !isRemote(r) {
				if tree, at, _ := change.directory(r); dir == "" || !transform.HasChart(tree, at) {
					continue
				}
			}
			loaded, more, err := s.chart(ctx, r)
			ds = append(ds, more...)
			if err != nil {
				return Fetched{}, ds, err
			}
			if loaded == nil {
				continue
			}
			out.Charts++
			if dir == "" {
				continue
			}
			data := change.data(r)
			data["OutputDir"], data["ChartName"] = dir, fetchedName(r)
			data["Release"].(map[string]any)["Version"] = r.Version
			to, more := template.Execute(ctx, []byte(name), data, template.Options{File: "(output template)"})
			ds = append(ds, more...)
			if isRemote(r) {
				to = path.Join(to, loaded.Name) // where helm unpacks the archive
			}
			paths[[2]string{r.WrittenNamespace, r.Name}] = to
			for _, f := range loaded.Files {
				out.Files = append(out.Files, WrittenFile{Name: path.Join(to, f.Name), Data: f.Data})
			}
		}
	}
	return out, ds, nil
}

// fetchedName is the chart of a release as helmfile names its directory (pkg/state, getOCIQualifiedChartName, forcedDownloadChart): that
// of a registry without the repository, that of an address and of a path by its last part.
func fetchedName(r runlevel.Release) string {
	switch {
	case r.Repository == nil:
		name, _, _ := strings.Cut(path.Base(r.Chart), "@")
		name, _, _ = strings.Cut(name, ":")
		return name
	case r.Repository.OCI:
		_, name, _ := strings.Cut(r.Chart, "/")
		return name
	}
	return r.Chart
}

// StateLock is the lock file of a state file, to be written.
type StateLock struct {
	WrittenFile
	Charts int
}

// Locks are the lock files of the state files whose releases have charts of repositories, in helmfile's format, by which helmfile
// takes the same versions. The newest versions that answer what the files ask for are taken; also for releases whose condition
// does not hold, since helmfile asks the file for them too. now is when they are made.
func (s *StateFile) Locks(ctx context.Context, now time.Time) ([]StateLock, diag.Diagnostics, error) {
	var out []StateLock
	var ds diag.Diagnostics
	store := s.p.looseStore(nil)
	for i, state := range s.States {
		var refs []chart.Ref
		var pins []chart.Pin
		for _, r := range s.defined(i) {
			if r.Repository == nil {
				continue
			}
			ref := s.p.reference(s.stage(), r)
			ds = append(ds, s.ownFiles(ref, r)...)
			refs = append(refs, ref)
			pins = append(pins, chart.Pin{Namespace: r.WrittenNamespace, Release: r.Name, Ref: ref})
		}
		if len(refs) == 0 || state.LockPath() == "" {
			continue
		}
		if ds.HasErrors() {
			return nil, ds, nil
		}
		lock, more, err := store.Lock(ctx, refs, chart.LockOptions{})
		if ds = append(ds, more...); err != nil {
			return nil, ds, err
		}
		if more.HasErrors() {
			continue
		}
		for j := range pins {
			e, ok := lock.Find(chart.KeyOf(refs[j]))
			if !ok {
				return nil, ds, fmt.Errorf("locking the chart %s: nothing was found of it", refs[j].Chart)
			}
			pins[j].Version = e.Version
		}
		old, err := s.host.ReadFile(state.LockPath())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, ds, fmt.Errorf("reading the lock file: %w", err)
		}
		text, charts, err := chart.StateLock(pins, old, now)
		if err != nil {
			return nil, ds, fmt.Errorf("writing the lock file: %w", err)
		}
		out = append(out, StateLock{WrittenFile: WrittenFile{Name: s.host.Abs(state.LockPath()), Data: text}, Charts: charts})
	}
	return out, ds, nil
}

// defined are the releases of a state file that are of the run, the disabled ones among them, in the order of their definition.
func (s *StateFile) defined(i int) []runlevel.Release {
	level := s.Levels[i]
	order := map[[2]string]int{}
	if list := s.States[i].Document.Get("releases"); list != nil {
		for at, n := range list.Items {
			order[[2]string{n.Get("namespace").Text(), n.Get("name").Text()}] = at
		}
	}
	out := slices.Clone(level.Releases)
	if len(s.in.Selectors) == 0 {
		out = append(out, level.Disabled...)
	}
	slices.SortStableFunc(out, func(a, b runlevel.Release) int {
		return order[[2]string{a.WrittenNamespace, a.Name}] - order[[2]string{b.WrittenNamespace, b.Name}]
	})
	return out
}

// RepositoryReach is what was found of a repository of state files.
type RepositoryReach struct {
	Name, URL string
	// Chart is the one that was asked for, or empty where no release has one of the repository, and Versions how many it has.
	Chart    string
	Versions int
}

// repositories are those of all files; of several with one name the first counts.
func (s *StateFile) repositories() []*runlevel.Repository {
	var out []*runlevel.Repository
	for _, state := range s.States {
		out = append(out, state.Repositories...)
	}
	return out
}

// ReachRepositories asks every repository for the versions of the charts that releases take from it. One that can't be reached is a
// diagnostic.
func (s *StateFile) ReachRepositories(ctx context.Context) ([]RepositoryReach, diag.Diagnostics, error) {
	remote := s.p.network()
	var out []RepositoryReach
	var ds diag.Diagnostics
	known := map[string]bool{}
	for _, repo := range s.repositories() {
		if known[repo.Name] {
			continue
		}
		known[repo.Name] = true
		found := RepositoryReach{Name: repo.Name, URL: repo.URL}
		releases := s.stage().releases()
		i := slices.IndexFunc(releases, func(r runlevel.Release) bool { return r.Repository != nil && r.Repository.Name == repo.Name })
		if i >= 0 && remote != nil {
			found.Chart = releases[i].Chart
			ref := s.p.reference(s.stage(), releases[i])
			if more := s.ownFiles(ref, releases[i]); more.HasErrors() {
				ds = append(ds, more...)
				continue
			}
			versions, more, err := remote.Versions(ctx, ref)
			if ds = append(ds, more...); err != nil {
				return out, ds, err
			}
			if more.HasErrors() {
				continue
			}
			found.Versions = len(versions)
		}
		out = append(out, found)
	}
	return out, ds, nil
}
