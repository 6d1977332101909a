package chart

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// dir is the directory of a stack's charts.
const dir = "charts"

// Cache keeps bytes by key and may lose them at any time; package cache has one.
type Cache interface {
	Get(key string) ([]byte, bool)
	Put(key string, data []byte) error
}

// Network fetches charts; a Remote is one.
type Network interface {
	Resolve(ctx context.Context, ref Ref) (Resolved, diag.Diagnostics, error)
	Fetch(ctx context.Context, ref Ref, to Resolved) (Fetched, diag.Diagnostics, error)
}

// Options of a store. With the zero value of all but Stack, only the charts of the stack are found.
type Options struct {
	// Stack is the tree that paths are seen in.
	Stack source.Tree
	// Paths says that a chart of the tree is a path as seen from Ref.Base and nothing else, as in a state file that is of no
	// stack.
	Paths bool
	// Files is the values repository, whose vendor/charts is read. Where there is one, neither Cache nor Network is asked for
	// what charts.lock names.
	Files source.Tree
	// Lock pins all that comes from outside the stack; nil means that nothing is pinned.
	Lock *Lock
	// Cache keeps what was fetched; nil keeps nothing.
	Cache Cache
	// Network fetches what is not here; nil fetches nothing.
	Network Network
}

// Store loads charts, each once. It is safe for concurrent use.
type Store struct {
	o Options
	// drafts are charts as the first who asked for them has them, charts those of who has other repositories.
	drafts memo[draft]
	charts memo[*Chart]
	// contents are what references outside of the stack mean, by their keys; fetches are by address.
	contents memo[content]
	fetches  memo[content]
	// revisions are what branches and tags of git repositories mean.
	revisions memo[Resolved]
	// vendored reports once whether there is a vendor/charts.
	vendored func() (bool, error)
	// locking makes a lock file instead of obeying one.
	locking *locker

	// proofs are verified .prov files.
	proofs memo[[]byte]

	mu      sync.Mutex
	sources diag.Sources
	// signed are .prov files as they came, by the sha256 of what they are of.
	signed map[string][]byte
}

// NewStore returns a store of charts. It reads nothing.
func NewStore(o Options) *Store {
	if r, ok := o.Network.(*Remote); ok && r == nil {
		o.Network = nil
	}
	s := &Store{o: o, sources: diag.Sources{}, signed: map[string][]byte{}}
	s.vendored = sync.OnceValues(func() (bool, error) { return HasVendored(o.Files) })
	if o.Lock != nil && o.Lock.File != "" {
		s.sources[o.Lock.File] = o.Lock.Text
	}
	return s
}

// Sources returns the texts of the files that the diagnostics of this store point at.
func (s *Store) Sources() diag.Sources {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.sources)
}

// source makes the text of a file known.
func (s *Store) source(name string, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[name] = text
}

// Load returns the chart that r names: a directory or a .tgz file of the stack, or one from elsewhere.
//
// In the stack it is ../charts/NAME as seen from a runlevel, ./charts/NAME, charts/NAME or NAME alone, else a path seen from
// r.Base; the version is not looked at, as in Helm. Dependencies that the charts/ of a directory lacks are taken from where
// Chart.yaml says.
//
// From elsewhere it is what charts.lock says, out of vendor/charts, the cache or the network, and nothing that is not
// locked. Without a charts.lock it is what the network says now.
//
// A library is a chart too: who installs one asks Installable.
//
// A chart that is not there, is none, is over a bound, or is not the one that is locked is a diagnostic; the error is a file
// that can't be read or a network that fails. The chart is nil unless both are empty of errors.
func (s *Store) Load(ctx context.Context, r Ref) (*Chart, diag.Diagnostics, error) {
	c, diags, err := s.load(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	if diags.HasErrors() {
		return nil, diags, nil
	}
	return c, diags, nil
}

func (s *Store) load(ctx context.Context, r Ref) (*Chart, diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("loading the chart %s: %w", scrub(r.Chart), err)
	}
	if isRemote(r) {
		key := KeyOf(r)
		wanted, keyring := r.provenance() // what was loaded for who asks for none was not verified
		id := fmt.Sprintf("remote\x00%s\x00%t %q", s.slot(r, key), wanted, keyring)
		return s.once(ctx, id, r, func(a *asks) (*Chart, diag.Diagnostics, error) {
			return s.loadRemote(ctx, r, key, a)
		})
	}
	name, info, diags, err := s.locate(r)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	return s.once(ctx, "local\x00"+name, r, func(a *asks) (*Chart, diag.Diagnostics, error) {
		display := s.o.Stack.Display(name)
		c, diags, err := s.loadLocal(ctx, name, info.IsDir(), r.Known, a)
		if refused, ok := isRefusal(err); ok {
			return nil, diag.Diagnostics{refused.at(display)}, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("loading the chart %s: %w", display, err)
		}
		return c, diags, nil
	})
}

// isRemote reports whether a chart comes from outside of the stack.
func isRemote(r Ref) bool { return r.Repository != nil || IsRemote(r.Chart) }

func (k Key) id() string { return k.Repository + "\x00" + k.Chart + "\x00" + k.Constraint }

// at is the diagnostic of a refusal about a chart that is shown as display.
func (r refusal) at(display string) diag.Diagnostic {
	if r.file != "" {
		display += "/" + r.file
	}
	return diag.Diagnostic{Severity: diag.Error, Code: r.code, Detail: r.detail, Range: diag.Range{File: display}}
}

// locate finds the directory or archive of the stack that a reference names.
func (s *Store) locate(r Ref) (name string, info fs.FileInfo, diags diag.Diagnostics, err error) {
	candidates := local(r)
	if s.o.Paths {
		candidates = seen(r)
	}
	for _, name := range candidates {
		info, err := fs.Stat(s.o.Stack.FS, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() && !isArchive(name) {
			continue
		}
		if err != nil {
			if link, lstat := fs.Lstat(s.o.Stack.FS, name); lstat == nil && link.Mode()&fs.ModeSymlink != 0 {
				refused := illegal("", "%s is a link that leads out of the stack. Replace it by a copy of the chart.", s.o.Stack.Display(name))
				return "", nil, diag.Diagnostics{refused.at(s.o.Stack.Display(name))}, nil
			}
			return "", nil, nil, fmt.Errorf("loading the chart %s: %w", s.o.Stack.Display(name), err)
		}
		return name, info, nil, nil
	}
	alias, _, plain := strings.Cut(r.Chart, "/")
	plain = plain && strings.Count(r.Chart, "/") == 1 && !strings.HasPrefix(r.Chart, ".") && alias != "" && alias != dir
	if len(candidates) > 0 && (!plain || s.isDir(path.Join(r.Base, alias))) {
		return "", nil, diag.Diagnostics{s.missing(candidates, r)}, nil
	}
	detail := fmt.Sprintf("the chart %q is not within the stack", r.Chart)
	switch {
	case strings.Contains(r.Chart, "://") || strings.Contains(r.Chart, "::"):
		detail = "otomi does not fetch charts from an address of this form. Write oci://HOST/PATH, https://HOST/PATH.tgz or " +
			"git+https://HOST/REPOSITORY//PATH@REVISION"
	case plain:
		detail += fmt.Sprintf(", and no repository is called %q. Add it to repositories, or put the chart into %s and write: chart: ../charts/NAME", alias, s.o.Stack.Display(dir))
	default:
		detail += fmt.Sprintf(". Put it into %s and write: chart: ../charts/NAME", s.o.Stack.Display(dir))
	}
	return "", nil, diag.Diagnostics{{Severity: diag.Error, Code: diag.ChartUnsupported, Detail: detail + ".", Range: r.Range}}, nil
}

func (s *Store) isDir(name string) bool {
	info, err := fs.Stat(s.o.Stack.FS, name)
	return err == nil && info.IsDir()
}

func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tgz") || strings.HasSuffix(name, ".tar.gz")
}

// local returns the paths of the stack that a reference may mean, the one that counts first. There is none where it leads
// out of the stack.
func local(r Ref) []string {
	ref := strings.TrimSuffix(r.Chart, "/")
	if ref == "" || ref == "." || ref == ".." || strings.HasPrefix(ref, "/") || strings.ContainsAny(ref, `\:`) || strings.Contains(ref, "\x00") {
		return nil
	}
	out := slices.DeleteFunc(seen(r), func(name string) bool { return name == "." || name == dir })
	rest := strings.TrimPrefix(strings.TrimPrefix(ref, "../"), "./")
	name, prefixed := strings.CutPrefix(rest, dir+"/")
	switch {
	case strings.Contains(name, "/") || name == "" || name == "." || name == "..":
	case prefixed:
		out = append(out, path.Join(dir, name))
	case rest == ref:
		// A name alone means the stack's chart before a directory beside the file.
		out = append([]string{path.Join(dir, name)}, out...)
	}
	return slices.Compact(out)
}

// seen returns the path of the stack that a reference is as seen from its base, if it leads nowhere else.
func seen(r Ref) []string {
	name := path.Join(r.Base, r.Chart)
	if !fs.ValidPath(name) || strings.HasPrefix(r.Chart, "/") || strings.Contains(r.Chart, "://") {
		return nil
	}
	return []string{name}
}

// loadLocal reads a directory or an archive of the stack.
func (s *Store) loadLocal(ctx context.Context, name string, isDir bool, known []Repository, a *asks) (*Chart, diag.Diagnostics, error) {
	display := s.o.Stack.Display(name)
	left := newBudget()
	if !isDir {
		files, sum, err := s.readArchive(name, left)
		if err != nil {
			return nil, nil, err
		}
		return s.build(files, display, Origin{Source: StackSource, SHA256: sum})
	}
	files, diags, err := s.readLocal(ctx, seat{dir: name, display: display, known: known, asks: a}, left)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	c, more, err := s.build(files, display, Origin{Source: StackSource})
	return c, append(diags, more...), err
}

// readArchive unpacks an archive of the stack, and returns its sha256.
func (s *Store) readArchive(name string, left *budget) (files []File, sum string, err error) {
	packed, err := readFile(s.o.Stack.FS, name, maxArchive)
	if errors.Is(err, errLarge) {
		return nil, "", over("", "the archive has more than %d MiB. Name in .helmignore what is no part of the chart, and pack it again.", maxArchive>>20)
	}
	if err != nil {
		return nil, "", err
	}
	files, err = unpack(packed, left, 0)
	return files, sumOf(packed), err
}

// loadRemote makes the chart that a reference outside of the stack means.
func (s *Store) loadRemote(ctx context.Context, r Ref, key Key, a *asks) (*Chart, diag.Diagnostics, error) {
	got, diags, err := s.content(ctx, r)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	display, files := shownAs(key, got.entry), got.files
	if got.entry.Commit != "" {
		left := newBudget()
		err := left.all(files)
		if err == nil {
			var more diag.Diagnostics
			files, more, err = s.complete(ctx, files, seat{git: &r, commit: got.entry.Commit, display: display, known: r.Known, asks: a}, left)
			diags = append(diags, more...)
		}
		if refused, ok := isRefusal(err); ok {
			return nil, append(diags, refused.at(display)), nil
		}
		if err != nil || diags.HasErrors() {
			return nil, diags, err
		}
	}
	from := Origin{Source: scrub(orElse(key.Repository, key.Chart)), SHA256: got.entry.SHA256, Commit: got.entry.Commit}
	c, more, err := s.build(files, display, from)
	return c, append(diags, more...), err
}

// shownAs is the Display of a chart from elsewhere: its address without the scheme, as if the archive were a directory.
func shownAs(key Key, e Entry) string {
	_, address, _ := strings.Cut(scrub(orElse(key.Repository, key.Chart)), "://")
	switch {
	case key.Repository != "":
		return fmt.Sprintf("%s/%s-%s.tgz", address, key.Chart, e.Version)
	case strings.HasPrefix(key.Chart, "git+") || isArchive(address):
		return address
	}
	if i := strings.IndexAny(path.Base(address), ":@"); i >= 0 {
		address = address[:len(address)-len(path.Base(address))+i]
	}
	return fmt.Sprintf("%s-%s.tgz", address, e.Version)
}

// build makes a chart of its files.
func (s *Store) build(files []File, display string, from Origin) (*Chart, diag.Diagnostics, error) {
	c := &Chart{Files: files, Digest: digest(files), Display: display, Range: diag.Range{File: display + "/Chart.yaml"}}
	c.shown = map[string]string{}
	for _, f := range files {
		if f.Shown != "" {
			c.shown[f.Name] = f.Shown
		}
	}
	loaded, err := helmLoad(files)
	if refused, ok := isRefusal(err); ok {
		return nil, diag.Diagnostics{refused.at(display)}, nil
	}
	if err != nil {
		return nil, diag.Diagnostics{invalid(c.Range, fmt.Sprintf("Helm can't load the chart %s: %v. Correct it; helm lint tells more.", path.Base(display), err))}, nil
	}
	problem := uninstallable(loaded)
	if text, ok := c.File("Chart.yaml"); ok && (problem != "" || loaded.Metadata.Type == "library") {
		s.source(c.Range.File, text)
	}
	if problem != "" {
		return nil, diag.Diagnostics{invalid(c.Range, problem)}, nil
	}
	c.Name, c.Version, c.AppVersion = loaded.Metadata.Name, loaded.Metadata.Version, loaded.Metadata.AppVersion
	c.KubeVersion = loaded.Metadata.KubeVersion
	if c.Metadata, err = json.Marshal(loaded.Metadata); err != nil {
		return nil, nil, fmt.Errorf("loading the chart %s: writing the metadata as JSON: %w", display, err)
	}
	c.Origin = from
	c.Origin.Version = c.Version
	if c.Origin.SHA256 == "" {
		c.Origin.SHA256 = c.Digest
	}
	return c, nil, nil
}

// maxChartItems bounds the keys and items of what Helm reads as YAML when it loads a chart, over all its subcharts: five
// kilobytes of archive may be millions. Large charts have some ten thousand lines.
const maxChartItems = 500_000

// readYAML reports whether Helm's loader reads a file as YAML: those are in the directories of the chart and of its subcharts.
func readYAML(name string) bool {
	dir, base := path.Split(name)
	switch base {
	case "Chart.yaml", "Chart.lock", "values.yaml", "requirements.yaml", "requirements.lock":
		return dir == "" || path.Base(path.Dir(path.Clean(dir))) == "charts"
	}
	return false
}

// helmLoad makes Helm's chart of files. The error is a refusal where reading them would cost too much.
func helmLoad(files []File) (*helmchart.Chart, error) {
	left := maxChartItems
	for _, f := range files {
		if !readYAML(f.Name) {
			continue
		}
		if left -= items(f.Data); left < 0 {
			return nil, over(f.Name, "with %s the chart has more than %d keys and items in its values.yaml and Chart.yaml, those of its subcharts "+
				"among them. Take out what nobody sets, or ask who made it.", f.Name, maxChartItems)
		}
	}
	buffered := make([]*loader.BufferedFile, len(files))
	for i, f := range files {
		buffered[i] = &loader.BufferedFile{Name: f.Name, Data: f.Data}
	}
	return loader.LoadFiles(buffered)
}

// nameOf is the name that Chart.yaml gives a chart, or "".
func nameOf(files []File) string {
	m := metadataOf(files)
	if m == nil {
		return ""
	}
	return m.Name
}

// Installable reports a chart that can only be part of others, as helm install does before it begins (cmd/helm, checkIfInstallable).
func Installable(c *Chart) diag.Diagnostics {
	var metadata struct{ Type string }
	if err := json.Unmarshal(c.Metadata, &metadata); err != nil {
		panic(fmt.Sprintf("chart: metadata that was written as JSON can't be read: %v", err))
	}
	if metadata.Type != "library" {
		return nil
	}
	return diag.Diagnostics{invalid(c.Range, fmt.Sprintf(
		"the chart %s is of type library, which can only be part of other charts. Install one of these, or make its type application.", c.Name))}
}

// uninstallable says what keeps a chart that can be loaded from being used: dependencies that it lacks (Helm 3.22, pkg/action,
// CheckDependencies).
func uninstallable(c *helmchart.Chart) string {
	var missing []string
	for _, d := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(sub *helmchart.Chart) bool { return sub.Name() == d.Name }) {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("the chart %s depends on %s, which its charts/ does not have. Put them there with: helm dependency build",
			c.Name(), strings.Join(missing, ", "))
	}
	return ""
}

func invalid(at diag.Range, detail string) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: diag.ChartInvalid, Detail: detail, Range: at}
}

// missing is the diagnostic of a chart that is not there; it names what is.
func (s *Store) missing(candidates []string, r Ref) diag.Diagnostic {
	name := candidates[0]
	for _, c := range candidates {
		if path.Dir(c) == dir {
			name = c
		}
	}
	parent, base := path.Dir(name), path.Base(name)
	var names []string
	entries, _ := fs.ReadDir(s.o.Stack.FS, parent) // where the directory can't be read there is nothing to suggest
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && (e.IsDir() || isArchive(e.Name())) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	hint := "Put one there."
	const most = 12
	if near := diag.Nearest(base, names); near != "" {
		hint = fmt.Sprintf("Did you mean %q?", strings.TrimSuffix(strings.TrimSuffix(r.Chart, "/"), base)+near)
	} else if len(names) > 0 && len(names) <= most && parent == dir {
		hint = "Its charts are " + strings.Join(names, ", ") + "."
	}
	what := "directory"
	if isArchive(name) {
		what = "archive"
	}
	return diag.Diagnostic{
		Severity: diag.Error,
		Code:     diag.ChartMissing,
		Detail:   fmt.Sprintf("the stack has no chart %q: there is no %s %s. %s", base, what, s.o.Stack.Display(name), hint),
		Range:    r.Range,
	}
}

// sumOf is the sha256 of bytes as hex.
func sumOf(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
