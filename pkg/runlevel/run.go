package runlevel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
)

// run is one evaluation: what all its state files share.
type run struct {
	in       Input
	selector Selector
	memo     memo

	// visited counts state files.
	visited atomic.Int64

	// mu guards what follows.
	mu      sync.Mutex
	sources diag.Sources
	digests map[uintptr]digested
	// commandLine are the state values of the command line by the directory they are seen from.
	commandLine map[string]*layers
	missing     []missing
}

// memo keeps results by what they were made of. Who asks for one that is being made waits for it.
type memo struct {
	mu   sync.Mutex
	made map[string]*entry
}

type entry struct {
	once sync.Once
	v    any
}

// do returns what f makes, calling it once for a key.
func (m *memo) do(key string, f func() any) any {
	m.mu.Lock()
	if m.made == nil {
		m.made = map[string]*entry{}
	}
	e, ok := m.made[key]
	if !ok {
		e = &entry{}
		m.made[key] = e
	}
	m.mu.Unlock()
	e.once.Do(func() { e.v = f() })
	return e.v
}

// source remembers a text by the name it is shown by. Of a text that came out differently none is kept: a finding of the one
// must not be shown with a line of the other.
func (r *run) source(name string, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.sources[name]; ok && !bytes.Equal(known, text) {
		text = nil
	}
	r.sources[name] = text
}

// display is the name by which a file is shown.
func (r *run) display(name string) string { return display(r.in.Prefix, name) }

func display(prefix, name string) string {
	if rest, ok := strings.CutPrefix(name, Fetched); ok {
		_, rest, _ = strings.Cut(rest, "/")
		return rest
	}
	if path.IsAbs(name) {
		return name
	}
	return prefix + name
}

// readFile reads a file, once a run.
func (r *run) readFile(name string) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	res := r.memo.do("file\x00"+name, func() any {
		if r.in.FS == nil {
			return result{nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}}
		}
		text, err := r.in.FS.ReadFile(name)
		return result{text, err}
	}).(result)
	return res.text, res.err
}

// unreadable is the diagnostic of a file that is named at a place and can't be read.
func (r *run) unreadable(what, name string, at diag.Range, err error) diag.Diagnostic {
	if detail, ok := template.Forbidden(err); ok {
		return problem(diag.TemplateForbidden, at, "%s", detail)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return problem(diag.RunlevelInvalid, at, "there is no %s %s. Correct the path.", what, shownPath(name))
	}
	return problem(diag.RunlevelInvalid, at, "the %s %s can't be read: %v. Correct the path.", what, shownPath(name), reason(err))
}

// shownPath is a path as a state file has it, or where something was fetched what that is shown as.
func shownPath(name string) string { return display("", name) }

// glob returns the files and directories that a path means, sorted: itself where it is there, and where it is a pattern all that
// match, as Go's filepath.Glob finds them, by which helmfile goes.
func (r *run) glob(pattern string) ([]string, error) {
	if r.in.FS == nil {
		return nil, nil
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		_, err := r.in.FS.Stat(pattern)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return []string{pattern}, nil
	}
	type result struct {
		names []string
		err   error
	}
	res := r.memo.do("glob\x00"+pattern, func() any {
		names, err := r.match(pattern)
		slices.Sort(names)
		return result{names, err}
	}).(result)
	return res.names, res.err
}

func (r *run) match(pattern string) ([]string, error) {
	dir, last := path.Split(pattern)
	dir = path.Clean(dir)
	dirs, err := r.glob(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range dirs {
		entries, err := r.in.FS.ReadDir(d)
		if _, refused := template.Forbidden(err); refused {
			return nil, err
		}
		if err != nil {
			continue // no directory, or none that may be looked into
		}
		for _, e := range entries {
			ok, err := path.Match(last, e.Name())
			if err != nil {
				return nil, fmt.Errorf("the pattern %s is none: %w", pattern, err)
			}
			if ok {
				out = append(out, path.Join(d, e.Name()))
			}
		}
	}
	return out, nil
}

// helpers reads the files _*.tpl of a directory, whose named templates include finds.
func (r *run) helpers(dir string) ([]template.Helper, diag.Diagnostics) {
	type result struct {
		helpers []template.Helper
		diags   diag.Diagnostics
	}
	res := r.memo.do("helpers\x00"+dir, func() any {
		var res result
		if r.in.FS == nil {
			return res
		}
		entries, err := r.in.FS.ReadDir(dir)
		if err != nil {
			return res // who may not look there has no helpers
		}
		for _, e := range entries {
			if e.IsDir() || !strings.HasPrefix(e.Name(), "_") || !strings.HasSuffix(e.Name(), ".tpl") {
				continue
			}
			name := path.Join(dir, e.Name())
			text, err := r.readFile(name)
			if err != nil {
				res.diags = append(res.diags, r.unreadable("file", name, diag.Range{File: r.display(name)}, err))
				continue
			}
			r.source(r.display(name), text)
			res.helpers = append(res.helpers, template.Helper{File: r.display(name), Text: text})
		}
		return res
	}).(result)
	return res.helpers, res.diags
}

// word is the text of a scalar. What a state file has where a string is asked for is one by then (see checker.shape).
func (r *run) word(n *value.Node) string {
	if isNull(n) {
		return ""
	}
	switch s := n.Scalar.(type) {
	case string:
		return s
	case bool:
		return strconv.FormatBool(s)
	case int64:
		return strconv.FormatInt(s, 10)
	case float64:
		return strconv.FormatFloat(s, 'g', -1, 64)
	}
	return ""
}

// visit is how a state file is come to.
type visit struct {
	// selectors choose of its releases.
	selectors []string
	override  *layers
	// inherited is what a file takes of the one that names it.
	inherited *inherited
	// via are the files on the way, so that none names itself.
	via []string
}

// inherited is what `inherits` gives a state file of the one that names it.
type inherited struct {
	spec *value.Node
	env  *layers
}

// files processes state files: in their order, and what is found in that order too, also where they are evaluated side by side.
func (r *run) files(ctx context.Context, files []File, v func(File) visit) ([]*evaluated, diag.Diagnostics) {
	results := make([][]*evaluated, len(files))
	found := make([]diag.Diagnostics, len(files))
	process := func(i int) { results[i], found[i] = r.file(ctx, files[i], v(files[i])) }
	if r.in.Allow.Exec || len(files) < 2 {
		// Programs may depend on each other's effects.
		for i := range files {
			process(i)
		}
		return slices.Concat(results...), slices.Concat(found...)
	}
	var group parallel.Group
	group.SetLimit(workers)
	for i := range files {
		group.Go(func() error {
			process(i)
			return nil
		})
	}
	_ = group.Wait() // no work of it fails
	return slices.Concat(results...), slices.Concat(found...)
}

// maxStates bounds the state files of a run: files that name others twice each grow without end.
const maxStates = 10_000

// workers is how many state files are evaluated at once.
const workers = 8

// evaluated is a state file with its releases before they are put in order.
type evaluated struct {
	state    *State
	level    level
	selector Selector
	whole    bool
	// chain is how the file came to be read, the nearest first.
	chain []diag.Note
}

// file processes one state file: first those it names, then itself.
func (r *run) file(ctx context.Context, f File, v visit) ([]*evaluated, diag.Diagnostics) {
	if err := ctx.Err(); err != nil {
		return nil, diag.Diagnostics{problem(diag.RunlevelInvalid, diag.Range{File: f.Display}, "the time for it was over before it was evaluated. Try again.")}
	}
	if r.visited.Add(1) > maxStates {
		return nil, nil // reported by Evaluate
	}
	l := loading{dir: f.dir(), override: v.override}
	if v.inherited != nil {
		l.inherited = v.inherited.env
	}
	file := r.load(ctx, f, l)
	ds := file.diags
	state := &State{File: f.Display, Path: f.Path, Dir: f.dir()}
	if file.undefined {
		state.Skipped = true
		return []*evaluated{{state: state, level: level{name: f.level(), file: f.Display}, whole: true}}, ds
	}
	if v.inherited != nil {
		file.spec = inherit(v.inherited.spec, file.spec)
	}
	selector, more := ParseSelectors(v.selectors)
	ds = append(ds, more...)
	out, more := r.subs(ctx, f, file, v)
	ds = append(ds, more...)
	e, more := r.state(ctx, f, file, state)
	e.selector, state.Narrowed = selector, !selector.IsZero()
	return append(out, e), append(ds, more...)
}

// subs processes the state files that one names in helmfiles.
func (r *run) subs(ctx context.Context, f File, file loaded, v visit) ([]*evaluated, diag.Diagnostics) {
	list := file.spec.Get("helmfiles")
	if list == nil {
		return nil, nil
	}
	var out []*evaluated
	var ds diag.Diagnostics
	for i, n := range list.Items {
		results, more := r.sub(ctx, f, file, v, n, fmt.Sprintf("helmfiles[%d]", i))
		out = append(out, results...)
		ds = append(ds, more...)
	}
	return out, ds
}

// inheritable are the keys that `inherits` may name (helmfile's allowedInherits).
var inheritable = []string{"repositories", "helmDefaults", "commonLabels", "apiVersions", "kubeVersion", "templates", "environments"}

func (r *run) sub(ctx context.Context, f File, file loaded, v visit, n *value.Node, what string) ([]*evaluated, diag.Diagnostics) {
	var ds diag.Diagnostics
	at := n.Origin.Range
	name := n.Text()
	next := visit{selectors: v.selectors, via: append(slices.Clone(v.via), f.Path)}
	if r.in.ExplicitSelectors {
		next.selectors = nil
	}
	if n.Kind != value.Map && n.Kind != value.String {
		return nil, nil // reported
	}
	if n.Kind == value.Map {
		name = r.word(n.Get("path"))
		if p := n.Get("path"); p != nil {
			at = p.Origin.Range
		}
		if name == "" {
			return nil, diag.Diagnostics{problem(diag.RunlevelMissing, start(n), "%s has no path. Add one: path: ../other/helmfile.yaml", what)}
		}
		inheritsSelectors := false
		if b := n.Get("selectorsInherited"); b != nil {
			inheritsSelectors, _ = truth(b)
		}
		if s := n.Get("selectors"); !isNull(s) {
			own := r.words(s)
			if inheritsSelectors && len(own) > 0 {
				ds = append(ds, problem(diag.RunlevelInvalid, s.Origin.Range, "%s has selectors of its own and inherits others. Leave out one of selectors and selectorsInherited.", what))
			}
			if !inheritsSelectors {
				next.selectors = own
			}
			if !inheritsSelectors && len(own) > 0 && !compatible(r.in.Selectors, own) {
				return nil, ds
			}
		}
		if inheritsSelectors {
			next.selectors = v.selectors
		}
		wanted := r.words(n.Get("inherits"))
		for i, w := range wanted {
			if slices.Contains(inheritable, w) {
				continue
			}
			hint := "It may have " + strings.Join(inheritable, ", ") + "."
			if near := diag.Nearest(w, inheritable); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			ds = append(ds, problem(diag.RunlevelInvalid, n.Get("inherits").Items[i].Origin.Range, "%s inherits %q, which can't be inherited. %s", what, w, hint))
		}
		if len(wanted) > 0 {
			next.inherited = inheritance(file, wanted)
		}
		if values := n.Get("values"); values != nil && len(values.Items) > 0 {
			m, more := r.entries(ctx, values, entriesOptions{dir: f.dir()})
			ds = append(ds, more...)
			next.override = &layers{name: r.in.Environment, values: m}
		}
	}
	if r.in.Values != nil {
		next.override = (&layers{name: r.in.Environment, values: r.in.Values}).merge(next.override)
	}
	if ds.HasErrors() {
		return nil, ds
	}
	name, more := r.located(ctx, name, at)
	if ds = append(ds, more...); more.HasErrors() {
		return nil, ds
	}
	names, more := r.resolve(name, f.dir(), "state file", file.spec.Get("missingFileHandler"), at)
	ds = append(ds, more...)
	var out []*evaluated
	for _, name := range names {
		files, more := Discover(r.in.FS, name, r.in.Prefix)
		for i := range files {
			files[i].Display = r.display(files[i].Path)
		}
		ds = append(ds, chained(more, "it is named here", at)...)
		if back := slices.IndexFunc(files, func(f File) bool { return slices.Contains(next.via, f.Path) }); back >= 0 {
			ds = append(ds, problem(diag.RunlevelInvalid, at, "%s names %s, which leads back here. Remove it.", what, r.display(files[back].Path)))
			continue
		}
		results, more := r.files(ctx, files, func(File) visit { return next })
		for _, e := range results {
			e.chain = append(e.chain, diag.Note{Message: f.Display + " names it here", Range: at})
		}
		out = append(out, results...)
		ds = append(ds, chained(more, f.Display+" names it here", at)...)
	}
	return out, ds
}

// words are the texts of a list.
func (r *run) words(n *value.Node) []string {
	if n == nil {
		return nil
	}
	out := []string{}
	for _, item := range n.Items {
		out = append(out, r.word(item))
	}
	return out
}

// inheritance is what a state file gives to one that it names.
func inheritance(file loaded, wanted []string) *inherited {
	out := &inherited{spec: value.NewMap(value.Origin{})}
	for _, f := range file.spec.Fields {
		if f.Key != "environments" && slices.Contains(wanted, f.Key) {
			out.spec.Fields = append(out.spec.Fields, f)
		}
	}
	if slices.Contains(wanted, "environments") {
		env := file.env
		out.env = &env
	}
	return out
}

// inherit fills the gaps of a state file with what it inherits (helmfile's MergeInherited): its own values win, and of two
// repositories of one name its own.
func inherit(parent, self *value.Node) *value.Node {
	out := overlay(parent, self, replaced)
	for _, key := range []string{"repositories", "apiVersions"} {
		theirs, own := parent.Get(key), self.Get(key)
		if theirs == nil || own == nil {
			continue
		}
		merged := *own
		merged.Items = nil
		for _, item := range theirs.Items {
			hidden := slices.ContainsFunc(own.Items, func(n *value.Node) bool {
				return n.Kind == value.Map && n.Get("name").Text() == item.Get("name").Text() || n.Kind != value.Map && n.Text() == item.Text()
			})
			if !hidden {
				merged.Items = append(merged.Items, item)
			}
		}
		merged.Items = append(merged.Items, own.Items...)
		out = with(out, key, &merged)
	}
	return out
}

// compatible reports whether a release can match both lists of selectors (helmfile's SelectorsAreCompatible).
func compatible(a, b []string) bool {
	left, ds := ParseSelectors(a)
	right, more := ParseSelectors(b)
	if len(a) == 0 || len(b) == 0 || ds.HasErrors() || more.HasErrors() {
		return true
	}
	for _, x := range left.any {
		for _, y := range right.any {
			conflict := slices.ContainsFunc(x, func(t term) bool {
				return !t.not && slices.ContainsFunc(y, func(u term) bool { return !u.not && u.key == t.key && u.value != t.value })
			})
			if !conflict {
				return true
			}
		}
	}
	return false
}

// start is the place where a node begins; a release that spans many lines is shown by its first.
func start(n *value.Node) diag.Range {
	at := n.Origin.Range
	at.End = diag.Pos{}
	return at
}
