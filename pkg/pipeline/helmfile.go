package pipeline

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/exec"
	"github.com/redkubes/otomi/pkg/hook"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
)

// StateFile are state files without a values repository, as helmfile takes them.
type StateFile struct {
	runlevel.Evaluation
	in   runlevel.Input
	o    StateOptions
	host *source.Host
	p    *Platform
	Hooks
	// outside holds charts that are outside of the directory that is worked on, made at the first use.
	outside *chart.Store
	// known are the repositories that the state files name.
	known []chart.Repository
	// fetch gets the remote files that state files name, and caches keep them.
	fetch    *fetcher
	caches   caches
	cacheErr error
}

// StateOptions say what state files are read and how. The texts are in helmfile's words.
type StateOptions struct {
	// Dir is the working directory, and File the state file or directory; empty means the one that helmfile finds. "-" is
	// Stdin.
	Dir, File string
	Stdin     io.Reader
	// Input is what is evaluated, but for files and permissions; of these it says what turned some off.
	Input runlevel.Input
	// Kubernetes are the schemas that manifests are checked against and lists compared by, as package kubernetes lays them out; nil
	// for who checks none and compares lists place by place.
	Kubernetes fs.FS
	// Allow is what the user allowed the run.
	Allow Permissions
	// Remote says how charts are fetched from the hosts that Allow has.
	Remote RemoteOptions
	// Cache says where the run keeps what it can make again.
	Cache CacheOptions
	// Platform is where Values are from, which are those of Input.Values with their origins; nil where there are none.
	Platform *Platform
	Values   Values
	// DisableHooks names what forbids hooks altogether: a file that has one fails.
	DisableHooks string
	// Prepare is the verb whose hooks of prepare run before the values of releases are read, since these may write them; empty
	// where none do.
	Prepare string
}

// StateInput are the options of an evaluation, for those who do not know the stages.
type StateInput = runlevel.Input

// Release is a release as state files define it, for those who do not know the stages.
type Release = runlevel.Release

// OpenState finds and evaluates state files. The caller closes the result, which is there also with diagnostics.
func OpenState(ctx context.Context, o StateOptions) (*StateFile, diag.Diagnostics, error) {
	host, err := source.OpenHost(o.Dir, source.Worked(o.Dir, o.File), o.Allow.Files)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Concat(o.Input.ValuesFiles, o.Input.ReleaseValuesFiles) {
		host.Name(filepath.ToSlash(name))
		host.Name(template.Join(path.Dir(filepath.ToSlash(o.File)), filepath.ToSlash(name))) // where helmfile looks first
	}
	s := &StateFile{in: o.Input, o: o, host: host}
	s.caches, s.cacheErr = openCaches(o.Cache.Dir)
	if s.fetch = newFetcher(o.Allow, o.Remote, s.caches); o.Platform != nil {
		s.fetch = o.Platform.fetch
	}
	s.in.FS, s.in.Fetch, s.in.Root = s.fetch.over(host), s.fetch, o.Dir
	off := s.in.Allow.Off
	s.in.Allow = o.Allow.templates()
	s.in.Allow.Off = off
	if o.Allow.Exec || o.Allow.Hooks {
		s.in.Programs = exec.Runner{Dir: o.Dir, Env: o.Allow.Environ}
	}
	name, ds, err := s.file(ctx)
	if err != nil || ds.HasErrors() {
		return s, ds, err
	}
	if o.File == "-" {
		text, err := io.ReadAll(o.Stdin)
		if err != nil {
			return s, nil, fmt.Errorf("reading the state file from standard input: %w", err)
		}
		s.in.Files = []runlevel.File{{Name: "-", Display: "-", Path: "-", Text: text}}
	} else if s.in.Files, ds = runlevel.Discover(s.in.FS, name, ""); ds.HasErrors() {
		return s, ds, nil
	}
	var more diag.Diagnostics
	s.Evaluation, more = runlevel.Evaluate(ctx, s.in)
	s.Hooks = Hooks{in: s.in, options: hook.Options{Allowed: o.Allow.Hooks, Off: o.DisableHooks, Programs: s.in.Programs}}
	s.evaluated(s.Evaluation)
	if more.HasErrors() {
		more = append(more, s.Refused(o.Prepare)...) // it may be because of these
	}
	if o.Prepare != "" && o.Allow.Hooks && s.HasHooks(o.Prepare) {
		if more, err = s.prepare(ctx, more); err != nil {
			return s, more, err
		}
	}
	err = s.platform()
	return s, append(ds, more...), err
}

// prepare runs the hooks of prepare and evaluates anew: what they write may be what releases read. found is what was wrong before;
// where that is more than the values of releases, no hook runs.
func (s *StateFile) prepare(ctx context.Context, found diag.Diagnostics) (diag.Diagnostics, error) {
	if found.HasErrors() {
		in := s.in
		in.WithoutValues = true
		var more diag.Diagnostics
		if s.Evaluation, more = runlevel.Evaluate(ctx, in); more.HasErrors() {
			return found, nil
		}
		s.evaluated(s.Evaluation)
	}
	said, ds, err := s.Prepare(ctx, s.o.Prepare)
	if err != nil || ds.HasErrors() {
		return ds, err
	}
	s.said = said
	var more diag.Diagnostics
	s.Evaluation, more = runlevel.Evaluate(ctx, s.in)
	s.evaluated(s.Evaluation)
	return append(ds, more...), nil
}

// platform makes what renders: the charts are seen in the directory that is worked on, whose lock file and vendored charts
// count too.
func (s *StateFile) platform() error {
	tree, closer, err := source.Open(s.host.Root(), shownPrefix(s.o.Dir, s.host.Root()))
	if err != nil {
		return err
	}
	p := &Platform{
		sources: s.Sources, dir: s.o.Dir, root: s.host.Root(), tree: tree, stack: tree, build: s.o.Cache.Build,
		allow: s.o.Allow, remote: s.o.Remote, closers: []io.Closer{closer},
		seenFrom: s.host.Abs,
	}
	if s.o.Kubernetes != nil {
		p.kubernetes = sync.OnceValues(func() (*openapi.Library, error) { return openapi.NewLibrary(s.o.Kubernetes) })
	}
	p.fetch, p.caches, p.cacheErr = s.fetch, s.caches, s.cacheErr
	if s.o.Cache.Anew {
		p.caches.render = nil
	}
	p.renderer = p.caches.renderer(s.o.Cache.Build)
	if s.o.Platform != nil {
		p.schema = s.o.Platform.schema // it knows what is secret
	}
	s.known = p.known(s.States)
	s.p = p
	return nil
}

// file is the name of the file that is evaluated: that of Options, or that of what was fetched where it is an address.
func (s *StateFile) file(ctx context.Context) (string, diag.Diagnostics, error) {
	if !strings.Contains(s.o.File, "://") {
		return filepath.ToSlash(s.o.File), nil, nil
	}
	return s.fetch.Fetch(ctx, s.o.File)
}

// Close releases the directory.
func (s *StateFile) Close() error { return errors.Join(s.host.Close(), s.p.Close()) }

// CacheFailure is why a cache was not used, or not written any more.
func (s *StateFile) CacheFailure() error { return s.p.CacheFailure() }

// Secrets returns the passwords of repositories, and those in addresses of charts and files, for the redactor.
func (s *StateFile) Secrets() []string { return append(s.stage().Secrets(), s.fetch.Secrets()...) }

// Path returns where a state file is.
func (s *StateFile) Path(state *runlevel.State) string { return s.host.Abs(state.Path) }

// Alone reports whether one state file was given, beside those that it names.
func (s *StateFile) Alone() bool { return len(s.in.Files) == 1 }

// Shown returns the texts to show diagnostics with.
func (s *StateFile) Shown(ds diag.Diagnostics) diag.Sources {
	if s.p == nil || s.o.Platform == nil {
		return cmp.Or(s.p, &Platform{sources: s.Sources, renderer: render.New()}).Sources()
	}
	out := s.o.Platform.Shown(ds)
	maps.Copy(out, s.p.Shown(ds))
	return out
}

// Argument is an argument for a command line of helm's.
type Argument = runlevel.Argument

// View are the arguments of helmDefaults and of the command line about what is shown.
func (s *StateFile) View() []Argument {
	var out []Argument
	for _, state := range s.States {
		out = append(out, state.View...)
	}
	return out
}

// Listed are the releases that helmfile lists: all, or with selectors those that match and are enabled.
func (s *StateFile) Listed() []runlevel.Release {
	var out []runlevel.Release
	for _, state := range s.States {
		for _, r := range state.Releases {
			if !state.Narrowed || r.Selected && r.Enabled {
				out = append(out, r)
			}
		}
	}
	return out
}

// Matched reports whether any release is to be worked on.
func (s *StateFile) Matched() bool {
	return slices.ContainsFunc(s.Levels, func(l runlevel.Level) bool { return len(l.Releases) > 0 })
}

// Defined are the state files that define the environment of the run.
func (s *StateFile) Defined() []*runlevel.State {
	return slices.DeleteFunc(slices.Clone(s.States), func(state *runlevel.State) bool { return state.Skipped })
}

// WrittenFile is a file that a verb writes.
type WrittenFile struct {
	Name string
	Data []byte
}

// defaultValuesFile is helmfile's template of the names of write-values (pkg/state, GenerateOutputFilePath).
const defaultValuesFile = "{{ .State.BaseName }}-{{ .State.AbsPathSHA1 }}/{{ .Release.Name }}.yaml"

// WrittenValues are the files that write-values writes, their names made by a template.
func (s *StateFile) WrittenValues(ctx context.Context, name string) ([]WrittenFile, diag.Diagnostics, error) {
	if name == "" {
		name = defaultValuesFile
	}
	var out []WrittenFile
	var ds diag.Diagnostics
	for i, l := range s.Levels {
		for _, r := range l.Releases {
			if !r.Installed {
				continue
			}
			values, more := r.Written()
			ds = append(ds, more...)
			file, more := s.OutputPath(ctx, name, s.States[i], r, "")
			ds = append(ds, more...)
			text, err := yaml.MarshalState(values)
			if err != nil {
				return nil, ds, err
			}
			out = append(out, WrittenFile{Name: file, Data: text})
		}
	}
	return out, ds, nil
}

// OutputPath carries out a template of a path as helmfile does for --output-dir-template and --output-file-template.
func (s *StateFile) OutputPath(ctx context.Context, text string, state *runlevel.State, r runlevel.Release, dir string) (string, diag.Diagnostics) {
	at := s.Path(state)
	sum := sha1.Sum([]byte(at)) // as helmfile names them; it guards nothing
	base := filepath.Base(at)
	return template.Execute(ctx, []byte(text), map[string]any{
		"OutputDir": dir,
		"State": map[string]any{
			"BaseName": strings.TrimSuffix(base, filepath.Ext(base)), "Path": state.Path, "AbsPath": at, "AbsPathSHA1": hex.EncodeToString(sum[:])[:8],
		},
		"Release": map[string]any{
			"Name": r.Name, "Namespace": r.WrittenNamespace, "Chart": r.Chart, "ChartVersion": r.Version, "KubeContext": r.KubeContext, "Version": r.Version,
		},
		"Environment": state.Environment.Data(),
	}, template.Options{File: "(output template)"})
}

// Render renders the installed releases of every state file and hands them to take one after the other in the order they are
// applied. After the first error among the diagnostics take is not called any more; some may have been taken before. An object that
// two releases want is a warning, as helmfile prints both; who applies them refuses it.
func (s *StateFile) Render(ctx context.Context, o Capabilities, take func(RenderedRelease) error) (diag.Diagnostics, error) {
	return s.render(ctx, o, rendering{printed: true}, take)
}

// RenderChecked is Render, and checks every object as Platform.RenderChecked does.
func (s *StateFile) RenderChecked(ctx context.Context, o Capabilities, take func(RenderedRelease) error) (diag.Diagnostics, error) {
	return s.render(ctx, o, rendering{printed: true, checked: true}, take)
}

// Lint renders as Render does, and an object that two releases want is an error.
func (s *StateFile) Lint(ctx context.Context) (diag.Diagnostics, error) {
	return s.render(ctx, Capabilities{}, rendering{}, func(RenderedRelease) error { return nil })
}

// rendering says what releases are rendered for: to be printed, and to be checked by the schemas of their kinds.
type rendering struct{ printed, checked bool }

func (s *StateFile) render(ctx context.Context, o Capabilities, to rendering, take func(RenderedRelease) error) (diag.Diagnostics, error) {
	var diags diag.Diagnostics
	failed := false
	for i, l := range s.Levels {
		state := s.States[i]
		set, more, err := s.set(ctx, state, l)
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		if failed = failed || more.HasErrors(); more.HasErrors() {
			continue
		}
		for j := range set.releases {
			set.releases[j].SkipCRDs = false // helmfile asks it when it installs; what is printed is the flag's business
		}
		set.version, set.overlap = o.KubeVersion, to.printed // helmfile template prints both
		caps := Stage{Values: s.o.Values}.capabilities(o)
		more, err = set.settle(ctx, caps)
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		if failed = failed || more.HasErrors(); more.HasErrors() {
			continue
		}
		var look inspect
		if to.checked {
			look, more, err = s.p.inspection(set)
			diags = append(diags, more...)
			if err != nil {
				return diags, err
			}
			if failed = failed || more.HasErrors(); more.HasErrors() {
				continue
			}
		}
		n := 0
		more, err = set.stream(ctx, look, func(r manifest.Release) error {
			rendered := RenderedRelease{State: state, Release: set.releases[n], Rendered: r}
			n++
			if failed {
				return nil
			}
			return take(rendered)
		})
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		failed = failed || more.HasErrors()
	}
	return diags, nil
}

// set loads the charts of the installed releases of a level.
func (s *StateFile) set(ctx context.Context, state *runlevel.State, l runlevel.Level) (*renderSet, diag.Diagnostics, error) {
	change := s.changes(state)
	set := &renderSet{
		platform: s.p, values: s.o.Values, input: s.in, charts: map[string]*chart.Chart{}, last: map[string]manifest.Release{}, room: settledBytes,
		change: change.apply,
	}
	diags, err := s.load(ctx, set, change, l)
	return set, diags, err
}

// changes carry out what the releases of a state file ask.
func (s *StateFile) changes(state *runlevel.State) changes {
	return changes{platform: s.p, in: s.in, state: state, host: s.host, namespaces: map[string]string{}}
}

// load loads the charts of the installed releases of a level into a set.
func (s *StateFile) load(ctx context.Context, set *renderSet, change changes, l runlevel.Level) (diag.Diagnostics, error) {
	var diags diag.Diagnostics
	for _, r := range l.Releases {
		if !r.Installed {
			continue
		}
		loaded, more, err := change.chart(ctx, r, s.chart)
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		set.releases = append(set.releases, r)
		set.charts[r.Key()] = loaded
	}
	return diags, nil
}

// RenderedRelease is a release of a state file with its manifests.
type RenderedRelease struct {
	State    *runlevel.State
	Release  runlevel.Release
	Rendered manifest.Release
}

// stage is all that the state files want.
func (s *StateFile) stage() Stage { return Stage{Levels: s.Levels, known: s.known} }

// chart loads the chart of a release.
func (s *StateFile) chart(ctx context.Context, r runlevel.Release) (*chart.Chart, diag.Diagnostics, error) {
	store, diags, err := s.p.charts()
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	ref := s.p.reference(s.stage(), r)
	if isRemote(r) {
		if ds := s.ownFiles(ref, r); ds.HasErrors() {
			return nil, ds, nil
		}
		return store.Load(ctx, ref)
	}
	if _, _, ok := s.fetch.mounted(template.Join(r.Base, r.Chart)); ok {
		return s.p.fetched(ctx, r, s.known)
	}
	root, inside, err := s.host.Seat(template.Join(r.Base, r.Chart))
	if detail, refused := template.Forbidden(err); refused {
		return nil, diag.Diagnostics{{Severity: diag.Error, Code: diag.ChartUnsupported, Range: r.ChartRange,
			Detail: fmt.Sprintf("release %s: the chart %s", r.Name, detail)}}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("loading the chart %s: %w", r.Chart, err)
	}
	if root != s.host.Root() {
		if store, err = s.elsewhere(root); err != nil {
			return nil, nil, err
		}
	}
	if base, err := filepath.Rel(root, s.host.Abs(r.Base)); err == nil {
		ref.Base = filepath.ToSlash(base)
	}
	if path.Join(ref.Base, ref.Chart) != inside || path.IsAbs(ref.Chart) {
		ref.Base, ref.Chart = "", inside
	}
	return store.Load(ctx, ref)
}

// ownFiles refuses files that a state file names for a repository or, with the release r, for its chart, and may not read.
func (s *StateFile) ownFiles(ref chart.Ref, r runlevel.Release) diag.Diagnostics {
	refusal := func(name string, at diag.Range) diag.Diagnostics {
		if name == "" {
			return nil
		}
		_, err := s.host.Stat(filepath.ToSlash(name))
		if detail, refused := template.Forbidden(err); refused {
			return diag.Diagnostics{{Severity: diag.Error, Code: diag.TemplateForbidden, Range: at, Detail: detail}}
		}
		return nil
	}
	if ref.Repository != nil {
		for _, name := range []string{ref.Repository.CAFile, ref.Repository.CertFile, ref.Repository.KeyFile, ref.Repository.Keyring} {
			if ds := refusal(name, ref.Repository.Range); ds.HasErrors() {
				return ds
			}
		}
	}
	return refusal(ref.Keyring, r.KeyRange("keyring"))
}

// elsewhere is a store of the charts that are outside of the directory that is worked on.
func (s *StateFile) elsewhere(root string) (*chart.Store, error) {
	if s.outside != nil {
		return s.outside, nil
	}
	tree, closer, err := source.Open(root, filepath.ToSlash(root))
	if err != nil {
		return nil, err
	}
	s.p.closers = append(s.p.closers, closer)
	o := s.p.storeOptions(s.p.shelf.lock)
	o.Stack = tree
	s.outside = chart.NewStore(o)
	s.p.loose = append(s.p.loose, s.outside)
	return s.outside, nil
}
