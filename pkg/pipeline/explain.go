package pipeline

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

// Path leads to a value.
type Path = value.Path

// ParsePath reads a path in the grammar of Helm's --set.
func ParsePath(text string) (Path, error) { return value.ParsePath(text) }

// Description is what the schema says about a value.
type Description = schema.Description

// Explanation is why a value is what it is.
type Explanation struct {
	Cluster string
	Path    value.Path
	// Value is the value, masked unless secrets were asked for; nil where nothing sets it.
	Value *value.Node
	// Near is a path like this one at which something is, where nothing sets this one; it may be empty.
	Near Path
	// Beaten are the values that it beat, the strongest first, down to the schema's default.
	Beaten []*value.Node
	// Leaves are the winners below a map, or below a list whose items come from several layers.
	Leaves []Leaf
	// Schema is what the schema says of the path, where Described.
	Schema    Description
	Described bool
	// Change is what git knows of the value's line, where Tracked. Untold says why it could not be asked.
	Change  source.Change
	Tracked bool
	Untold  string
}

// Leaf is a value with the path it stands at.
type Leaf struct {
	Path  value.Path
	Value *value.Node
}

// ExplainOptions change what Explain tells. The zero value shows no secret.
type ExplainOptions struct {
	// Reveal shows secrets.
	Reveal bool
}

// shown is the tree that may be shown.
func (o ExplainOptions) shown(v Values) *value.Node {
	if o.Reveal {
		return v.Root
	}
	return v.Masked()
}

// Explain tells why the value at a path of compiled values is what it is. A path at which nothing is, and of which the
// schema knows nothing, is a diagnostic.
func (p *Platform) Explain(ctx context.Context, values Values, path value.Path, o ExplainOptions) (Explanation, diag.Diagnostics, error) {
	shown := values.Masked()
	if o.Reveal {
		shown = values.Root
	}
	e := Explanation{Cluster: values.Cluster.ID, Path: path, Value: shown.At(path)}
	e.Schema, e.Described = p.schema.Describe(path)
	if e.Value == nil {
		known, n := reach(values.Root, path)
		if !e.Described || known == len(path) || path[known].InList {
			return e, diag.Diagnostics{UnknownPath(values.Root, path)}, nil
		}
		e.Near = near(values.Root, n, path, known)
		return e, nil, nil
	}
	if e.Schema.Default != nil && e.Schema.Secret && !o.Reveal {
		e.Schema.Default = p.masked(path, e.Schema.Default)
	}
	for _, n := range values.Root.Beaten(path) {
		if !o.Reveal {
			n = p.masked(path, n)
		}
		e.Beaten = append(e.Beaten, n)
	}
	if d := e.Schema.Default; d != nil && e.Value.Kind != value.Map && e.Value.Origin.Layer != schema.Layer {
		e.Beaten = append(e.Beaten, d)
	}
	e.Leaves = winners(path, e.Value)
	if len(e.Leaves) > 0 {
		return e, nil, nil
	}
	at := e.Value.Origin.Range
	if at.Start.Line == 0 || !p.onDisk(e.Value.Origin) {
		return e, nil, nil
	}
	var err error
	e.Change, e.Tracked, err = source.LastChange(ctx, p.path(at.File), at.Start.Line)
	switch {
	case ctx.Err() != nil:
		return e, nil, ctx.Err()
	case err != nil:
		// A repository that go-git can't read is no reason to hide the rest.
		e.Untold = err.Error()
	}
	return e, nil, nil
}

// onDisk reports whether a value was written in a file of the repository, of a stack that is a directory, or of the user.
func (p *Platform) onDisk(o value.Origin) bool {
	return !strings.HasPrefix(o.Range.File, "builtin:") && o.Layer != layer.Derived
}

// winners returns the leaves below a map, or below a list whose items come from several layers.
func winners(path value.Path, n *value.Node) []Leaf {
	var out []Leaf
	switch {
	case n.Kind == value.Map:
		for _, f := range n.Fields {
			below := path.Key(f.Key)
			if f.Value.IsLeaf() {
				out = append(out, Leaf{Path: below, Value: f.Value})
				continue
			}
			out = append(out, winners(below, f.Value)...)
		}
	case n.Kind == value.List && mixed(n):
		for i, item := range n.Items {
			out = append(out, Leaf{Path: path.Index(i), Value: item})
		}
	}
	return out
}

// mixed reports whether the values of a list come from several layers.
func mixed(list *value.Node) bool {
	layers := map[string]bool{}
	list.Walk(func(p value.Path, n *value.Node) bool {
		if len(p) > 0 && n.IsLeaf() && n.Origin.Layer != schema.Layer {
			layers[n.Origin.Layer] = true
		}
		return true
	})
	return len(layers) > 1
}

// masked returns a value as it may be shown at a path.
func (p *Platform) masked(path value.Path, n *value.Node) *value.Node {
	root := n
	for _, step := range slices.Backward(path) {
		if !step.InList {
			root = value.NewMap(value.Origin{}, value.Field{Key: step.Key, Value: root})
			continue
		}
		list := &value.Node{Kind: value.List}
		for range step.Index {
			list.Items = append(list.Items, value.NewScalar(value.Origin{}, nil))
		}
		list.Items = append(list.Items, root)
		root = list
	}
	return p.schema.Mask(root).At(path)
}

// UnknownPath is the diagnostic of a path that leads nowhere in a tree: how far it leads, and what is near or there.
func UnknownPath(root *value.Node, path value.Path) diag.Diagnostic {
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.ValuesNoPath, Path: path.String()}
	known, n := reach(root, path)
	where := "the root"
	if known > 0 {
		where = path[:known].String()
	}
	if known == len(path) {
		d.Detail = "nothing is set. Name a path."
		return d
	}
	step := path[known]
	switch {
	case n.Kind == value.List && step.InList:
		d.Detail = fmt.Sprintf("the list %s has no item %d: it has %d, counted from 0. Name one of them.", where, step.Index, len(n.Items))
	case n.Kind == value.List:
		d.Detail = fmt.Sprintf("%s is a list. Name an item by its number: %s[0].", where, where)
	case n.Kind != value.Map || step.InList:
		d.Detail = fmt.Sprintf("%s is %s and has nothing below it. Leave out what follows.", where, n.Kind.WithArticle())
		if n.Kind == value.Map {
			d.Detail = fmt.Sprintf("%s is a map. Name a key of it, or write \\[ for a bracket within a key.", where)
		}
	default:
		keys := make([]string, len(n.Fields))
		for i, f := range n.Fields {
			keys[i] = f.Key
		}
		slices.Sort(keys)
		d.Detail = fmt.Sprintf("%s has no %q.", where, step.Key)
		const most = 12
		near := diag.Nearest(step.Key, keys)
		if near == "" {
			near = elsewhere(root, step.Key)
		} else {
			near = path[:known].Key(near).String()
		}
		switch {
		case near != "":
			d.Detail += fmt.Sprintf(" Did you mean %q?", near)
		case len(keys) == 0:
			d.Detail += " It is empty. Set the value first."
		case len(keys) > most:
			d.Detail += fmt.Sprintf(" There are %s and %d more. `otomi values` shows them all.", strings.Join(keys[:most], ", "), len(keys)-most)
		default:
			d.Detail += fmt.Sprintf(" There are: %s. Name one of them.", strings.Join(keys, ", "))
		}
	}
	return d
}

// reach returns how many steps of a path lead somewhere, and where they lead.
func reach(root *value.Node, path Path) (int, *value.Node) {
	n, known := root, 0
	for known < len(path) && n.At(path[known:known+1]) != nil {
		n = n.At(path[known : known+1])
		known++
	}
	return known, n
}

// near returns a path at which something is and that differs from path in one misspelt key, that of its first step which
// leads nowhere; n is the map in which it does.
func near(root, n *value.Node, path Path, known int) Path {
	keys := make([]string, len(n.Fields))
	for i, f := range n.Fields {
		keys[i] = f.Key
	}
	guess := slices.Clone(path)
	guess[known].Key = diag.Nearest(path[known].Key, keys)
	if root.At(guess) == nil {
		return nil
	}
	return guess
}

// elsewhere returns the path at which a key stands in a tree, the shortest of several, or "".
func elsewhere(root *value.Node, key string) string {
	var found value.Path
	root.Walk(func(p value.Path, n *value.Node) bool {
		if len(p) > 0 && !p[len(p)-1].InList && p[len(p)-1].Key == key && (found == nil || len(p) < len(found)) {
			found = slices.Clone(p)
		}
		return true
	})
	return found.String()
}

// Group are the clusters that have one value at a path.
type Group struct {
	// Value is the value, masked unless secrets were asked for; nil where nothing sets it.
	Value *value.Node
	// Places are where it is set.
	Places []GroupPlace
	// plain is what groups are told apart by.
	plain any
}

// GroupPlace are the clusters that have a value from one place.
type GroupPlace struct {
	Origin   value.Origin
	Clusters []string
}

// Clusters returns how many clusters are in the group.
func (g Group) Clusters() int {
	n := 0
	for _, p := range g.Places {
		n += len(p.Clusters)
	}
	return n
}

// ExplainAll groups clusters by their value at a path, in the order in which their first cluster is given. The secrets
// are those of all trees. A path at which no cluster has anything, and of which the schema knows nothing, is a diagnostic.
func (p *Platform) ExplainAll(
	ctx context.Context, clusters []Cluster, path value.Path, o ExplainOptions,
) (groups []Group, secrets []string, diags diag.Diagnostics, err error) {
	type result struct {
		value, shown *value.Node
		secrets      []string
		missing      diag.Diagnostic
		diags        diag.Diagnostics
	}
	results := make([]result, len(clusters))
	err = each(ctx, len(clusters), func(ctx context.Context, i int) error {
		values, diags, err := p.Compile(ctx, clusters[i])
		results[i] = result{secrets: values.Secrets(), diags: diags}
		if err != nil || diags.HasErrors() {
			return err
		}
		results[i].value, results[i].shown = values.Root.At(path), values.Masked().At(path)
		if o.Reveal {
			results[i].shown = results[i].value
		}
		if results[i].value == nil {
			results[i].missing = UnknownPath(values.Root, path)
		}
		return nil
	})
	if err != nil {
		return nil, nil, nil, err
	}
	seen := map[string]bool{}
	found := false
	for i, r := range results {
		diags = append(diags, r.diags...)
		for _, s := range r.secrets {
			if !seen[s] {
				seen[s] = true
				secrets = append(secrets, s)
			}
		}
		found = found || r.value != nil
		groups = join(groups, r.value, r.shown, clusters[i].ID)
	}
	if diags.HasErrors() {
		return nil, secrets, diags, nil
	}
	if _, described := p.schema.Describe(path); !found && len(clusters) > 0 && (!described || len(path) == 0) {
		return nil, secrets, append(diags, results[0].missing), nil
	}
	return groups, secrets, diags, nil
}

// join puts a cluster into the group of its value.
func join(groups []Group, n, shown *value.Node, cluster string) []Group {
	var plain any
	var origin value.Origin
	if n != nil {
		plain, origin = n.Plain(), n.Origin
	}
	i := slices.IndexFunc(groups, func(g Group) bool {
		return (g.Value == nil) == (n == nil) && reflect.DeepEqual(g.plain, plain)
	})
	if i < 0 {
		i = len(groups)
		groups = append(groups, Group{Value: shown, plain: plain})
	}
	g := &groups[i]
	j := slices.IndexFunc(g.Places, func(p GroupPlace) bool { return p.Origin == origin })
	if j < 0 {
		j = len(g.Places)
		g.Places = append(g.Places, GroupPlace{Origin: origin})
	}
	g.Places[j].Clusters = append(g.Places[j].Clusters, cluster)
	return groups
}

// Difference is a place at which two clusters have different values, as they may be shown; nil is no value.
type Difference struct {
	Path value.Path
	A, B *value.Node
	// PlaceA and PlaceB are where the values were written.
	PlaceA, PlaceB value.Origin
}

// Differences compares the values of two clusters at and below a path. Secrets are compared and, unless o says so, not
// shown.
func Differences(a, b Values, path Path, o ExplainOptions) []Difference {
	var out []Difference
	shownA, shownB := o.shown(a), o.shown(b)
	for _, d := range value.Differences(a.Root.At(path), b.Root.At(path)) {
		d.Path = slices.Concat(path, d.Path)
		entry := Difference{Path: d.Path}
		// An item that one side lacks has the other side's number, at which this side may have another item.
		if d.A != nil {
			entry.A, entry.PlaceA = shownA.At(d.Path), d.A.Origin
		}
		if d.B != nil {
			entry.B, entry.PlaceB = shownB.At(d.Path), d.B.Origin
		}
		out = append(out, entry)
	}
	return out
}
