// Package lint finds what is legal but suspicious in the values of all clusters together: what nobody uses, what is said
// twice, what could be said once.
//
// It looks at layers and at the trees they were merged to. It validates nothing and reads no schema: what is to be known of
// one is handed in.
package lint

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/value"
)

// Options say what the schema knows. The zero value is a schema that says nothing.
type Options struct {
	// Lists is the strategy of lists, as in merge.Options: where there is one, every layer's list is used.
	Lists func(value.Path) merge.Strategy
	// Secret says whether the value at a path is secret, so that no line that holds it is shown.
	Secret func(value.Path) bool
	// Default is the default that a path has where nothing is written, in a map that exists; nil is none.
	Default func(value.Path) *value.Node
}

// Linter collects what the clusters of a repository have to say, one after the other. It keeps what the files say, and none
// of the merged trees.
type Linter struct {
	o Options
	// files are the layers that were seen, by name, and names is their order.
	files map[string]*file
	names []string
	// own and clouds are what the clusters of a cloud, and the clouds, say at a path in the layers that are theirs alone.
	own    map[string]map[string]*common
	clouds map[string]map[string]*common
	// members are the names of the clusters, by cloud; order is that of the clouds.
	members map[string][]string
	order   []string
}

// file is a layer with what it says.
type file struct {
	layer    layer.Layer
	clusters int
	says     map[string]*word
	order    []string
}

// word is a leaf of a file.
type word struct {
	path value.Path
	node *value.Node
	key  diag.Range
	// won and redundant are in how many clusters it is used, and in how many a weaker one is equal.
	won, redundant int
	weaker         diag.Range
	// fallback says that the weaker one is a default of the schema.
	fallback bool
	winner   diag.Range
}

// common is what several children say at a path, as long as it is the same.
type common struct {
	path   value.Path
	node   *value.Node
	layer  layer.Layer
	places []diag.Range
	count  int
	differ bool
}

// New returns a Linter that has seen nothing.
func New(o Options) *Linter {
	if o.Lists == nil {
		o.Lists = func(value.Path) merge.Strategy { return merge.Strategy{} }
	}
	if o.Secret == nil {
		o.Secret = func(value.Path) bool { return false }
	}
	if o.Default == nil {
		o.Default = func(value.Path) *value.Node { return nil }
	}
	return &Linter{
		o: o, files: map[string]*file{}, own: map[string]map[string]*common{}, clouds: map[string]map[string]*common{},
		members: map[string][]string{},
	}
}

// linted reports whether a layer is a file of the repository, which its user can change.
func linted(l layer.Layer) bool {
	return !l.Flag && l.Root != nil && !slices.Contains([]string{layer.Defaults, layer.Registry, layer.Derived}, l.Name)
}

// Add takes a cluster with its layers, weakest first, and the tree they were merged to.
func (l *Linter) Add(c layer.Cluster, layers []layer.Layer, merged *value.Node) {
	byName := make(map[string]layer.Layer, len(layers))
	for _, one := range layers {
		if !linted(one) {
			continue
		}
		byName[one.Name] = one
		f := l.files[one.Name]
		if f == nil {
			f = read(one)
			l.files[one.Name] = f
			l.names = append(l.names, one.Name)
		}
		f.clusters++
	}
	if c.ID != "" {
		if l.members[c.Cloud] == nil {
			l.order = append(l.order, c.Cloud)
		}
		l.members[c.Cloud] = append(l.members[c.Cloud], c.Name)
	}
	merged.Leaves(func(p value.Path, n *value.Node) {
		name := p.String()
		chain := append([]*value.Node{n}, n.Overrides...)
		if n.Kind == value.List && l.o.Lists(p) != (merge.Strategy{}) {
			// Each of them is in the result.
			for _, one := range byName {
				if w := l.files[one.Name].says[name]; w != nil {
					w.won++
				}
			}
			return
		}
		for i, said := range chain {
			f := l.files[said.Origin.Layer]
			if f == nil || f.says[name] == nil {
				continue
			}
			w := f.says[name]
			if i == 0 {
				w.won++
			} else if w.winner.IsZero() {
				w.winner = n.Origin.Range
			}
			if i+1 < len(chain) && equal(said, chain[i+1]) {
				w.redundant++
				w.weaker, w.fallback = chain[i+1].Origin.Range, false
			}
			if d := l.fallback(merged, p); i+1 == len(chain) && d != nil && equal(said, d) {
				w.redundant++
				w.weaker, w.fallback = d.Origin.Range, true
			}
		}
		if c.ID != "" {
			l.note(c, p, name, chain, byName)
		}
	})
}

// fallback returns what a path of a merged tree has where no layer says anything there, or nil. Where a map around it has
// no default of its own that is nil: the map may be there for this value alone.
func (l *Linter) fallback(merged *value.Node, p value.Path) *value.Node {
	d := l.o.Default(p)
	for i := 1; i < len(p) && d != nil; i++ {
		around := l.o.Default(p[:i])
		if around == nil || around.Kind != value.Map || len(merged.At(p[:i]).Overrides) > 0 {
			return nil
		}
		if own := around.At(p[i:]); own != nil && !equal(own, d) {
			return nil
		}
	}
	return d
}

// note remembers what the cluster, and its cloud, say at a path.
func (l *Linter) note(c layer.Cluster, p value.Path, name string, chain []*value.Node, byName map[string]layer.Layer) {
	strongest := func(scope layer.Scope) (*value.Node, layer.Layer) {
		for _, n := range chain {
			if one, ok := byName[n.Origin.Layer]; ok && one.Scope == scope {
				return n, one
			}
		}
		return nil, layer.Layer{}
	}
	if n, one := strongest(""); n != nil {
		add(l.own, c.Cloud, name, p, n, one)
	}
	if n, one := strongest(layer.InCloud); n != nil {
		known := l.clouds[c.Cloud][name]
		if known == nil || known.places[0] != n.Origin.Range {
			add(l.clouds, c.Cloud, name, p, n, one)
		}
	}
}

func add(to map[string]map[string]*common, cloud, name string, p value.Path, n *value.Node, one layer.Layer) {
	if to[cloud] == nil {
		to[cloud] = map[string]*common{}
	}
	known := to[cloud][name]
	if known == nil {
		to[cloud][name] = &common{path: p, node: n, layer: one, places: []diag.Range{n.Origin.Range}, count: 1}
		return
	}
	known.count++
	known.differ = known.differ || !equal(known.node, n)
	const places = 4
	if len(known.places) < places {
		known.places = append(known.places, n.Origin.Range)
	}
}

// read lists what a layer says.
func read(one layer.Layer) *file {
	f := &file{layer: one, says: map[string]*word{}}
	var walk func(p value.Path, key diag.Range, n *value.Node)
	walk = func(p value.Path, key diag.Range, n *value.Node) {
		if n.Kind == value.Map {
			for _, field := range n.Fields {
				walk(p.Key(field.Key), field.KeyRange, field.Value)
			}
			return // an empty map changes nothing, and is a place for others
		}
		name := p.String()
		f.says[name] = &word{path: p, node: n, key: key}
		f.order = append(f.order, name)
	}
	walk(nil, diag.Range{}, one.Root)
	return f
}

// Findings returns what is suspicious, sorted. They are warnings.
func (l *Linter) Findings() diag.Diagnostics {
	var ds diag.Diagnostics
	// A value that another one repeats is told with that one.
	repeated := map[diag.Range]bool{}
	for _, f := range l.files {
		for _, w := range f.says {
			if w.won > 0 && w.redundant == f.clusters {
				repeated[w.weaker] = true
			}
		}
	}
	for _, name := range l.names {
		f := l.files[name]
		for _, at := range f.order {
			w := f.says[at]
			switch {
			case w.won == 0 && repeated[w.node.Origin.Range]:
			case w.won == 0:
				ds = append(ds, l.finding(diag.LintUnusedKey, w, f.layer,
					"no cluster uses this value: a stronger layer sets another one wherever this file counts. Remove it.",
					"this is used instead", w.winner))
			case w.redundant == f.clusters && w.fallback:
				ds = append(ds, l.finding(diag.LintRedundantValue, w, f.layer,
					"the schema's default is the same. Remove it here.", "the default", w.weaker))
			case w.redundant == f.clusters:
				ds = append(ds, l.finding(diag.LintRedundantValue, w, f.layer,
					"a more generic layer already says the same. Remove it here, or there if it is meant to be special here.",
					"the same value", w.weaker))
			}
		}
	}
	return append(ds, l.movable()...).Sorted()
}

func (l *Linter) finding(code diag.Code, w *word, one layer.Layer, detail, message string, at diag.Range) diag.Diagnostic {
	d := diag.Diagnostic{
		Severity: diag.Warning, Code: code, Path: w.path.String(), Range: w.key, Detail: detail,
		Secret: one.Secret || l.o.Secret(w.path),
	}
	if !at.IsZero() {
		d.Notes = []diag.Note{{Message: message, Range: at}}
	}
	return d
}

// movable returns the values that all children of a level say alike.
func (l *Linter) movable() diag.Diagnostics {
	var ds diag.Diagnostics
	for _, cloud := range l.order {
		names := l.members[cloud]
		for _, at := range slices.Sorted(maps.Keys(l.own[cloud])) {
			if c := l.own[cloud][at]; len(names) > 1 && c.count == len(names) && !c.differ {
				ds = append(ds, l.move(c, fmt.Sprintf("all %d clusters of %s say the same. Say it once for the cloud", len(names), cloud),
					without(c.layer.Name, names)))
			}
		}
	}
	if len(l.order) < 2 {
		return ds
	}
	first := l.clouds[l.order[0]]
	for _, at := range slices.Sorted(maps.Keys(first)) {
		all := &common{path: first[at].path, node: first[at].node, layer: first[at].layer}
		for _, cloud := range l.order {
			c := l.clouds[cloud][at]
			if c == nil || c.differ || !equal(c.node, all.node) {
				all = nil
				break
			}
			all.places = append(all.places, c.places[0])
		}
		if all != nil {
			ds = append(ds, l.move(all, fmt.Sprintf("all %d clouds say the same. Say it once for every cluster", len(l.order)),
				without(without(all.layer.Name, l.order), []string{"clouds"})))
		}
	}
	return ds
}

func (l *Linter) move(c *common, detail, where string) diag.Diagnostic {
	if where != "" {
		detail += ", as in " + where
	}
	d := diag.Diagnostic{
		Severity: diag.Warning, Code: diag.LintCouldMoveUp, Path: c.path.String(), Range: c.places[0], Detail: detail + ".",
		Secret: c.layer.Secret || l.o.Secret(c.path),
	}
	for _, p := range c.places[1:] {
		d.Notes = append(d.Notes, diag.Note{Message: "the same value", Range: p})
	}
	return d
}

// without returns a path without the first directory that has one of the names, or "" where none has.
func without(name string, names []string) string {
	segments := strings.Split(path.Dir(name), "/")
	i := slices.IndexFunc(segments, func(s string) bool { return slices.Contains(names, s) })
	if i < 0 {
		return ""
	}
	return path.Join(append(slices.Delete(segments, i, i+1), path.Base(name))...)
}

// equal reports whether two values are the same, wherever they were written. The order of keys does not count.
func equal(a, b *value.Node) bool {
	if a.Kind != b.Kind || a.Scalar != b.Scalar || len(a.Fields) != len(b.Fields) || len(a.Items) != len(b.Items) {
		return false
	}
	for i, item := range a.Items {
		if !equal(item, b.Items[i]) {
			return false
		}
	}
	for _, f := range a.Fields {
		if other := b.Get(f.Key); other == nil || !equal(f.Value, other) {
			return false
		}
	}
	return true
}
