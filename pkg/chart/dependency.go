package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// seat is a chart's directory, from which the file:// repositories of its dependencies are seen.
type seat struct {
	// dir is the directory in the stack; git is the reference of one of a git repository instead.
	dir string
	git *Ref
	// commit is the one that the directory of git is of: its neighbours are of the same.
	commit string
	// known are the repositories that dependencies may mean; asks, or nil, takes down which were looked up.
	known []Repository
	asks  *asks
	// display is how the directory is shown.
	display string
	// trail are the directories whose dependencies led here.
	trail []string
}

// place names the directory in a trail.
func (w seat) place() string {
	if w.git != nil {
		return scrub(w.git.Chart)
	}
	return w.display
}

// metadataOf is what Chart.yaml (and requirements.yaml, of a chart with apiVersion v1) say; nil where they can't be read.
func metadataOf(files []File) *helmchart.Metadata {
	c, _ := helmLoad(slices.DeleteFunc(slices.Clone(files), func(f File) bool {
		return f.Name != "Chart.yaml" && f.Name != "requirements.yaml"
	}))
	if c == nil {
		return nil
	}
	return c.Metadata
}

// readLocal reads the directory of a chart of the stack with its dependencies. The error may be a refusal.
func (s *Store) readLocal(ctx context.Context, w seat, left *budget) ([]File, diag.Diagnostics, error) {
	files, err := readDir(s.o.Stack.FS, w.dir, left)
	if err != nil {
		return nil, nil, err
	}
	return s.complete(ctx, files, w, left)
}

// complete adds the dependencies that Chart.yaml names and charts/ lacks, as helm dependency build would put them there
// (pkg/downloader, Manager.Build), but also those of dependencies. Conditions and tags are Helm's business, when it renders.
func (s *Store) complete(ctx context.Context, files []File, w seat, left *budget) ([]File, diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if m := metadataOf(files); m == nil || len(m.Dependencies) == 0 {
		return files, nil, nil
	}
	c, err := helmLoad(files)
	if err != nil {
		return files, nil, nil // build reports it
	}
	var lacking []int
	for i, d := range c.Metadata.Dependencies {
		has := slices.ContainsFunc(c.Dependencies(), func(sub *helmchart.Chart) bool { return sub.Name() == d.Name })
		if d.Repository != "" && !has {
			lacking = append(lacking, i)
		}
	}
	if len(lacking) == 0 {
		return files, nil, nil
	}
	if len(w.trail) > maxNesting {
		return nil, nil, over("", "the chart has dependencies of dependencies more than %d deep. Remove some.", maxNesting)
	}
	for _, i := range lacking {
		if d := c.Metadata.Dependencies[i]; !strings.HasPrefix(d.Repository, "file://") {
			w.asks.add(d)
		}
	}
	var diags diag.Diagnostics
	locked, problem := helmLock(c, files, w)
	if problem != nil {
		return nil, diag.Diagnostics{*problem}, nil
	}
	taken := directories(files)
	added := map[string]bool{}
	for _, i := range lacking {
		d := c.Metadata.Dependencies[i]
		sub, more, err := s.dependency(ctx, d, locked[i], s.dependencyRange(files, w, i), w, left)
		if err != nil {
			return nil, diags, err
		}
		diags = append(diags, more...)
		if more.HasErrors() || len(sub) == 0 {
			continue
		}
		// Two dependencies under two aliases may be one chart.
		if id := digest(sub); !added[id] {
			added[id] = true
			files = append(files, under(free("", nameOf(sub), taken), sub)...)
		}
	}
	return files, diags, nil
}

// dependency returns the files of one dependency. version is the one of Chart.lock, or "".
func (s *Store) dependency(ctx context.Context, d *helmchart.Dependency, version string, at diag.Range, w seat, left *budget) ([]File, diag.Diagnostics, error) {
	if rel, ok := strings.CutPrefix(d.Repository, "file://"); ok {
		return s.neighbour(ctx, d, rel, at, w, left)
	}
	r, problem := dependencyRef(d, version, at, w.known)
	if problem != "" {
		return nil, diag.Diagnostics{lacking(at, d, problem)}, nil
	}
	r.Known = w.known
	got, diags, err := s.content(ctx, r)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	if err := left.all(got.files); err != nil {
		return nil, diags, err
	}
	return shownUnder(got.files, shownAs(KeyOf(r), got.entry)), diags, nil
}

// neighbour returns the files of a dependency that is another directory.
func (s *Store) neighbour(ctx context.Context, d *helmchart.Dependency, rel string, at diag.Range, w seat, left *budget) ([]File, diag.Diagnostics, error) {
	if strings.HasPrefix(rel, "/") || strings.Contains(rel, `\`) {
		return nil, diag.Diagnostics{lacking(at, d, "it is an absolute path. Write one that is seen from the chart's directory: file://../NAME")}, nil
	}
	next := seat{commit: w.commit, known: w.known, asks: w.asks, trail: append(slices.Clip(w.trail), w.place())}
	if w.git != nil {
		r, ok := besides(*w.git, rel)
		if !ok {
			return nil, diag.Diagnostics{lacking(at, d, "it leads out of the git repository. Put it into charts/")}, nil
		}
		r.commit = w.commit
		next.git, next.display = &r, shownAs(KeyOf(r), Entry{})
	} else {
		next.dir = path.Join(w.dir, rel)
		if !fs.ValidPath(next.dir) || next.dir == "." {
			return nil, diag.Diagnostics{lacking(at, d, "it leads out of the stack. Put the chart into the stack, or into charts/")}, nil
		}
		next.display = s.o.Stack.Display(next.dir)
	}
	if i := slices.Index(next.trail, next.place()); i >= 0 {
		return nil, diag.Diagnostics{lacking(at, d, fmt.Sprintf("the charts depend on each other: %s. Remove one of these dependencies",
			strings.Join(append(slices.Clone(next.trail[i:]), next.place()), " → ")))}, nil
	}
	files, diags, err := s.neighbourFiles(ctx, d, at, next, left)
	if err != nil || diags.HasErrors() {
		return nil, diags, within(err, "charts/"+d.Name)
	}
	m := metadataOf(files)
	switch {
	case m == nil:
		return nil, append(diags, lacking(at, d, fmt.Sprintf("%s has no Chart.yaml that can be read. Correct the path, or the file", next.display))), nil
	case m.Name != d.Name:
		return nil, append(diags, lacking(at, d, fmt.Sprintf("the chart in %s is called %q. Correct the name or the path", next.display, m.Name))), nil
	case !satisfies(m.Version, orElse(d.Version, "*")):
		return nil, append(diags, lacking(at, d, fmt.Sprintf("the chart in %s has version %s. Correct one of the versions", next.display, m.Version))), nil
	}
	return shownUnder(files, next.display), diags, nil
}

func (s *Store) neighbourFiles(ctx context.Context, d *helmchart.Dependency, at diag.Range, next seat, left *budget) ([]File, diag.Diagnostics, error) {
	if next.git != nil {
		next.git.Range = at
		got, diags, err := s.content(ctx, *next.git)
		if err != nil || diags.HasErrors() {
			return nil, diags, err
		}
		if err := left.all(got.files); err != nil {
			return nil, diags, err
		}
		files, more, err := s.complete(ctx, got.files, next, left)
		return files, append(diags, more...), err
	}
	switch info, err := fs.Stat(s.o.Stack.FS, next.dir); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, diag.Diagnostics{lacking(at, d, fmt.Sprintf("there is no directory %s. Correct the path", next.display))}, nil
	case err != nil:
		return nil, nil, err
	case !info.IsDir():
		return nil, diag.Diagnostics{lacking(at, d, fmt.Sprintf("%s is no directory. Correct the path", next.display))}, nil
	}
	return s.readLocal(ctx, next, left)
}

// shownUnder gives files that are not in the chart's directory the names that they are shown by.
func shownUnder(files []File, display string) []File {
	out := slices.Clone(files)
	for i := range out {
		if out[i].Shown == "" {
			out[i].Shown = display + "/" + out[i].Name
		}
	}
	return out
}

func lacking(at diag.Range, d *helmchart.Dependency, problem string) diag.Diagnostic {
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.ChartDependency, Range: at,
		Detail: fmt.Sprintf("the dependency %s from %s: %s.", d.Name, scrub(d.Repository), problem),
	}
}

// dependencyRange is the place of a dependency in Chart.yaml or requirements.yaml, whose text is made known.
func (s *Store) dependencyRange(files []File, w seat, i int) diag.Range {
	at := diag.Range{File: w.display + "/Chart.yaml"}
	for _, f := range files {
		if f.Name != "Chart.yaml" && f.Name != "requirements.yaml" {
			continue
		}
		root, _ := yaml.Read(f.Data, yaml.ReadOptions{File: w.display + "/" + f.Name, Map: true})
		list := root.Get("dependencies")
		if list == nil || i >= len(list.Items) {
			continue
		}
		s.source(w.display+"/"+f.Name, f.Data)
		at = list.Items[i].Origin.Range
		if name := list.Items[i].Get("name"); name != nil {
			at = name.Origin.Range
		}
	}
	return at
}

// dependencyRef is the reference that a dependency means. The problem is a sentence without its full stop.
func dependencyRef(d *helmchart.Dependency, version string, at diag.Range, known []Repository) (r Ref, problem string) {
	if strings.ContainsAny(d.Name, `/\:@`) || d.Name == "" {
		return r, "that is no name of a chart. Correct it"
	}
	r = Ref{Version: orElse(version, d.Version), Range: at}
	alias, isAlias := strings.CutPrefix(d.Repository, "@")
	if !isAlias {
		alias, isAlias = strings.CutPrefix(d.Repository, "alias:")
	}
	if isAlias {
		for _, k := range known {
			if k.Name == alias {
				r.Repository, r.Chart = &k, k.Name+"/"+d.Name
				return r, ""
			}
		}
		return r, fmt.Sprintf("no repository is called %q. Add it to repositories, or write its address", alias)
	}
	if u, err := url.Parse(d.Repository); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "oci" {
		return r, "that is no address of a repository. Write https://HOST/PATH, oci://HOST/PATH or file://../NAME"
	}
	return inRepository(r, d.Repository, d.Name, known), ""
}

// inRepository returns r as the chart called name at the address of a repository, with the credentials that are known for
// it.
func inRepository(r Ref, address, name string, known []Repository) Ref {
	if oci := strings.HasPrefix(address, "oci://"); oci {
		r.Chart = strings.TrimSuffix(address, "/") + "/" + name
	} else {
		host := "repository"
		if u, err := url.Parse(address); err == nil {
			host = u.Host
		}
		r.Chart, r.Repository = host+"/"+name, &Repository{Name: host, URL: address}
	}
	return withCredentials(r, known)
}

// withCredentials returns r by the known repository that means the same, if there is one.
func withCredentials(r Ref, known []Repository) Ref {
	key := KeyOf(r)
	for _, repository := range known {
		name := key.Chart
		if repository.OCI || strings.HasPrefix(repository.URL, "oci://") {
			above := scrubbed("oci://" + strings.TrimSuffix(strings.TrimPrefix(repository.URL, "oci://"), "/"))
			below, ok := strings.CutPrefix(name, above+"/")
			if !ok {
				continue
			}
			name = below
		}
		same := r
		same.Repository, same.Chart = &repository, repository.Name+"/"+name
		if KeyOf(same) == key {
			return same
		}
	}
	return r
}

// besides returns the reference of the directory rel as seen from that of a git reference; ok is false where it is not
// within the repository.
func besides(r Ref, rel string) (_ Ref, ok bool) {
	scheme, rest, _ := strings.Cut(r.Chart, "://")
	host, rest, _ := strings.Cut(rest, "/")
	revision := ""
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest, revision = rest[:i], rest[i:]
	}
	repository, dir, _ := strings.Cut(rest, "//")
	dir = path.Join(dir, rel)
	if !fs.ValidPath(dir) {
		return r, false
	}
	r.Chart = scheme + "://" + host + "/" + repository
	if dir != "." {
		r.Chart += "//" + dir
	}
	r.Chart += revision
	return r, true
}

// helmLock returns the version that Chart.lock (or requirements.lock) has for each dependency of Chart.yaml, "" where it has
// none. A lock that was not made for these dependencies is a diagnostic, as in helm dependency build (Helm 3.22,
// pkg/downloader, Manager.Build; internal/resolver, HashReq and HashV2Req).
func helmLock(c *helmchart.Chart, files []File, w seat) ([]string, *diag.Diagnostic) {
	asked := c.Metadata.Dependencies
	versions := make([]string, len(asked))
	if c.Lock == nil {
		return versions, nil
	}
	// Helm writes the digest with @NAME replaced by the address.
	addressed := make([]*helmchart.Dependency, len(asked))
	for i, d := range asked {
		resolved := *d
		resolved.Repository = named(d.Repository, w.known)
		addressed[i] = &resolved
	}
	inSync := c.Lock.Digest == hash([2][]*helmchart.Dependency{asked, c.Lock.Dependencies}) ||
		c.Lock.Digest == hash([2][]*helmchart.Dependency{addressed, c.Lock.Dependencies})
	if c.Metadata.APIVersion == helmchart.APIVersionV1 {
		inSync = inSync || c.Lock.Digest == hash(map[string][]*helmchart.Dependency{"dependencies": asked})
	}
	if !inSync {
		name := "Chart.lock"
		if _, ok := (&Chart{Files: files}).File(name); !ok {
			name = "requirements.lock"
		}
		d := diag.Diagnostic{
			Severity: diag.Error, Code: diag.ChartDependency, Range: diag.Range{File: w.display + "/" + name},
			Detail: fmt.Sprintf("%s was not made for the dependencies that the chart %s has now. Make it again with: helm dependency update", name, c.Name()),
		}
		return nil, &d
	}
	// Helm writes one for each of Chart.yaml, in its order. Where somebody sorted them, the first that fits and that no other
	// dependency has.
	used := make([]bool, len(c.Lock.Dependencies))
	fits := func(i, j int) bool {
		d, l := asked[i], c.Lock.Dependencies[j]
		same := l.Repository == d.Repository || l.Repository == addressed[i].Repository
		return !used[j] && l.Name == d.Name && same && satisfies(l.Version, orElse(d.Version, "*"))
	}
	for i := range asked {
		if i < len(used) && fits(i, i) {
			versions[i], used[i] = c.Lock.Dependencies[i].Version, true
		}
	}
	for i := range asked {
		for j := 0; versions[i] == "" && j < len(used); j++ {
			if fits(i, j) {
				versions[i], used[j] = c.Lock.Dependencies[j].Version, true
			}
		}
	}
	return versions, nil
}

// hash is Helm's digest of dependencies.
func hash(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "" // matches no digest
	}
	h := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(h[:])
}
