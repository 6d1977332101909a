package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// defaultFetchDir is helmfile's template of the directories of fetch --output-dir (pkg/state, DefaultFetchOutputDirTemplate).
const defaultFetchDir = `{{ .OutputDir }}{{ if .Release.Namespace }}/{{ .Release.Namespace }}{{ end }}` +
	`{{ if .Release.KubeContext }}/{{ .Release.KubeContext }}{{ end }}/{{ .Release.Name }}/{{ .ChartName }}/{{ or .Release.Version "latest" }}`

// FetchedCharts loads the charts of the releases that come from elsewhere, which puts them into the cache, and returns their files
// below dir, where one is named, in the directory that a template names; empty means helmfile's own.
func (s *StateFile) FetchedCharts(ctx context.Context, dir, name string) (files []WrittenFile, charts int, ds diag.Diagnostics, err error) {
	if name == "" {
		name = defaultFetchDir
	}
	for _, r := range s.stage().releases() {
		for _, d := range r.Dependencies {
			if added := dependency(r, d); isRemote(added) {
				_, more, err := s.chart(ctx, added)
				if ds = append(ds, more...); err != nil {
					return nil, 0, ds, err
				}
			}
		}
		if !isRemote(r) {
			continue
		}
		loaded, more, err := s.chart(ctx, r)
		ds = append(ds, more...)
		if err != nil {
			return nil, 0, ds, err
		}
		if loaded == nil {
			continue
		}
		charts++
		if dir == "" {
			continue
		}
		to, more := template.Execute(ctx, []byte(name), map[string]any{
			"OutputDir": dir, "ChartName": r.Chart,
			"Release": map[string]any{
				"Name": r.Name, "Namespace": r.WrittenNamespace, "Chart": r.Chart, "KubeContext": r.KubeContext, "Version": r.Version,
			},
		}, template.Options{File: "(output template)"})
		ds = append(ds, more...)
		for _, f := range loaded.Files {
			files = append(files, WrittenFile{Name: path.Join(to, loaded.Name, f.Name), Data: f.Data})
		}
	}
	return files, charts, ds, nil
}

// StateLock is the lock file of a state file, to be written.
type StateLock struct {
	WrittenFile
	Charts int
}

// Locks are the lock files of the state files whose releases have charts of repositories, in helmfile's format, by which helmfile
// takes the same versions. The newest versions that answer what the files ask for are taken. now is when they are made.
func (s *StateFile) Locks(ctx context.Context, now time.Time) ([]StateLock, diag.Diagnostics, error) {
	var out []StateLock
	var ds diag.Diagnostics
	store := s.p.looseStore(nil)
	for i, state := range s.States {
		var refs []chart.Ref
		var releases []runlevel.Release
		for _, r := range s.Levels[i].Releases {
			if r.Repository != nil {
				ds = append(ds, s.ownFiles(s.p.reference(s.stage(), r))...)
				refs, releases = append(refs, s.p.reference(s.stage(), r)), append(releases, r)
			}
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
		var entries []lockedDependency
		for j, r := range releases {
			if e, ok := lock.Find(chart.KeyOf(refs[j])); ok {
				entries = append(entries, newLockedDependency(r, e.Version))
			}
		}
		slices.SortFunc(entries, func(a, b lockedDependency) int {
			return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.version, b.version), strings.Compare(a.repository, b.repository))
		})
		entries = slices.Compact(entries)
		text, err := stateLock(entries, now)
		if err != nil {
			return nil, ds, err
		}
		out = append(out, StateLock{WrittenFile: WrittenFile{Name: s.host.Abs(state.LockPath()), Data: text}, Charts: len(entries)})
	}
	return out, ds, nil
}

// lockedDependency is an entry of helmfile's lock file (helmfile 1.7, pkg/state, ResolvedChartDependency).
type lockedDependency struct{ name, repository, version string }

func newLockedDependency(r runlevel.Release, version string) lockedDependency {
	_, name, _ := strings.Cut(r.Chart, "/")
	out := lockedDependency{name: name, repository: r.Repository.URL, version: version}
	if r.Repository.OCI {
		out.repository = "oci://" + path.Join(strings.TrimPrefix(r.Repository.URL, "oci://"), path.Dir(name))
		out.name = path.Base(name)
	}
	return out
}

// lockedVersion is the version of helmfile whose lock files these are; an older helmfile warns of them.
const lockedVersion = "1.7.2"

// stateLock writes a lock file as helmfile does (pkg/state, ChartLockedRequirements).
func stateLock(entries []lockedDependency, now time.Time) ([]byte, error) {
	word := func(s string) *value.Node { return value.NewScalar(value.Origin{}, s) }
	fields := func(pairs ...string) *value.Node {
		var out []value.Field
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, value.Field{Key: pairs[i], Value: word(pairs[i+1])})
		}
		return value.NewMap(value.Origin{}, out...)
	}
	var items []*value.Node
	var lines []string
	for _, e := range entries {
		items = append(items, fields("name", e.name, "repository", e.repository, "version", e.version))
		lines = append(lines, e.name+" "+e.repository+" "+e.version)
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return yaml.WriteState(value.NewMap(value.Origin{},
		value.Field{Key: "version", Value: word(lockedVersion)},
		value.Field{Key: "dependencies", Value: &value.Node{Kind: value.List, Items: items}},
		value.Field{Key: "digest", Value: word("sha256:" + hex.EncodeToString(sum[:]))},
		value.Field{Key: "generated", Value: word(now.UTC().Format(time.RFC3339))},
	))
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
			if more := s.ownFiles(ref); more.HasErrors() {
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
