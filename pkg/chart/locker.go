package chart

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/source"
)

// LockOptions say which entries are made anew. The zero value keeps all that still fit.
type LockOptions struct {
	// Update asks again what each reference means, also where it is locked.
	Update bool
	// Names restrict Update to charts of these names.
	Names []string
}

// locker makes a lock file out of what is loaded.
type locker struct {
	old *Lock
	o   LockOptions
	// asked are the keys of the releases' own references.
	asked map[Key]bool

	mu      sync.Mutex
	entries map[Key]Entry
	// bound are the keys of neighbours of charts in git.
	bound map[Key]bool
	// matched are the names of the options that a chart has.
	matched map[string]bool
}

// atOnce is how many charts are fetched side by side.
const atOnce = 4

// Lock returns the lock file for all these references and the dependencies of charts of the stack and of git that come from
// elsewhere: the references of every release of every cluster, since what nobody asks for is dropped. Entries of the
// store's lock stay as they are while they fit, unless an update is asked; the others are resolved and fetched. A chart that
// can't be found is a diagnostic, and then there is no lock file.
func (s *Store) Lock(ctx context.Context, refs []Ref, o LockOptions) (*Lock, diag.Diagnostics, error) {
	options := s.o
	options.Files, options.Lock = source.Tree{}, nil
	making := NewStore(options)
	l := &locker{old: s.o.Lock, o: o, asked: map[Key]bool{}, entries: map[Key]Entry{}, bound: map[Key]bool{}, matched: map[string]bool{}}
	making.locking = l
	var once []Ref
	seen := map[string]bool{}
	for _, r := range refs {
		id := "local\x00" + r.Base + "\x00" + r.Chart
		if isRemote(r) {
			l.asked[KeyOf(r)] = true
			id = KeyOf(r).id()
		}
		for _, known := range r.Known { // by which the dependencies may be others
			known.Range = diag.Range{}
			id += fmt.Sprintf("\x00%q", fmt.Sprint(known))
		}
		if !seen[id] {
			seen[id] = true
			once = append(once, r)
		}
	}
	diags, err := each(len(once), func(i int) (diag.Diagnostics, error) { return making.trace(ctx, once[i]) })
	making.mu.Lock()
	for name, text := range making.sources {
		s.source(name, text)
	}
	making.mu.Unlock()
	if err != nil {
		return nil, diags, err
	}
	diags = append(diags, l.unmatched()...)
	if diags.HasErrors() {
		return nil, diags, nil
	}
	out := &Lock{}
	for _, e := range l.entries {
		e.Range = diag.Range{}
		out.Entries = append(out.Entries, e)
	}
	out.sort()
	return out, diags, nil
}

// each does something for 0 to n-1, a few side by side, and joins what it returns in this order. The first error counts.
func each(n int, do func(i int) (diag.Diagnostics, error)) (diag.Diagnostics, error) {
	found, errs := make([]diag.Diagnostics, n), make([]error, n)
	var group parallel.Group
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error {
			found[i], errs[i] = do(i)
			return nil
		})
	}
	_ = group.Wait() // each has its own
	diags := slices.Concat(found...)
	for _, err := range errs {
		if err != nil {
			return diags, err
		}
	}
	return diags, nil
}

// trace finds all that a reference needs from elsewhere.
func (s *Store) trace(ctx context.Context, r Ref) (diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("locking the chart %s: %w", scrub(r.Chart), err)
	}
	var w seat
	var files []File
	left := newBudget()
	if isRemote(r) {
		got, diags, err := s.content(ctx, r)
		if err != nil || diags.HasErrors() || got.entry.Commit == "" {
			return diags, err
		}
		w, files = seat{git: &r, commit: got.entry.Commit, display: shownAs(KeyOf(r), got.entry), known: r.Known}, got.files
		_, more, err := s.complete(ctx, files, w, left)
		return tracedErr(append(diags, more...), err, w.display)
	}
	name, info, diags, err := s.locate(r)
	if err != nil || diags.HasErrors() || !info.IsDir() {
		return diags, err
	}
	w = seat{dir: name, display: s.o.Stack.Display(name), known: r.Known}
	_, diags, err = s.readLocal(ctx, w, left)
	return tracedErr(diags, err, w.display)
}

// tracedErr makes a diagnostic of a refusal.
func tracedErr(diags diag.Diagnostics, err error, display string) (diag.Diagnostics, error) {
	if err == nil {
		return diags, nil
	}
	if r, ok := isRefusal(err); ok {
		return append(diags, r.at(display)), nil
	}
	return diags, fmt.Errorf("locking the chart %s: %w", display, err)
}

// content records what a reference means. The files of a chart that stays as it is are fetched only where they may name
// dependencies.
func (l *locker) content(ctx context.Context, s *Store, r Ref, key Key) (content, diag.Diagnostics, error) {
	if e, ok := l.kept(key); ok && (r.commit == "" || e.Commit == r.commit) {
		got := content{entry: e}
		if e.Commit != "" {
			p, diags, err := s.parcel(ctx, r, e)
			if err != nil || diags.HasErrors() {
				return got, diags, err
			}
			files, refused := p.files()
			if refused != nil {
				return got, append(diags, refused.at(shownAs(key, e))), nil
			}
			got.files = files
		}
		l.add(e, r.commit != "")
		return got, nil, nil
	}
	got, diags, err := s.current(ctx, r, key)
	if err == nil && !diags.HasErrors() {
		l.add(got.entry, r.commit != "")
	}
	return got, diags, err
}

// kept returns the entry that stays for a key.
func (l *locker) kept(key Key) (Entry, bool) {
	e, ok := l.old.Find(key)
	if !ok {
		e, ok = l.old.satisfying(key, l.asked)
	}
	if l.updates(key, e) {
		return Entry{}, false
	}
	return e, ok
}

// updates reports whether an update is asked for a key whose entry is e, if it has one.
func (l *locker) updates(key Key, e Entry) bool {
	if !l.o.Update {
		return false
	}
	if len(l.o.Names) == 0 {
		return true
	}
	found := false
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.o.Names {
		if name == e.Name || name == key.Chart || name == chartName(key.Chart) {
			l.matched[name], found = true, true
		}
	}
	return found
}

// chartName is the last part of an address, without a tag, digest or revision.
func chartName(address string) string {
	name := path.Base(address)
	if i := strings.IndexAny(name, ":@"); i > 0 {
		name = name[:i]
	}
	return name
}

// add takes an entry down. Of several of one key that of the neighbour of a chart in git stands (bound), whose commit is
// given, then the newest, whatever came first.
func (l *locker) add(e Entry, bound bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.entries[e.Key]
	switch {
	case !ok, bound && !l.bound[e.Key]:
	case !bound && l.bound[e.Key]:
		return
	case e.Version == old.Version && e.SHA256 >= old.SHA256, Newer(old.Version, e.Version):
		return
	}
	l.entries[e.Key], l.bound[e.Key] = e, bound
}

// unmatched reports the names that an update was asked for and no chart has.
func (l *locker) unmatched() diag.Diagnostics {
	var names []string
	for _, e := range l.entries {
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	var diags diag.Diagnostics
	for _, name := range l.o.Names {
		if !l.o.Update || l.matched[name] {
			continue
		}
		detail := fmt.Sprintf("no chart that comes from elsewhere is called %q. They are: %s.", name, strings.Join(names, ", "))
		if near := diag.Nearest(name, names); near != "" {
			detail = fmt.Sprintf("no chart that comes from elsewhere is called %q. Did you mean %q?", name, near)
		}
		diags = append(diags, diag.Diagnostic{Severity: diag.Error, Code: diag.ChartNotLocked, Detail: detail})
	}
	return diags
}
