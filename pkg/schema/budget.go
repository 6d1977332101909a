package schema

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// The budgets of a schema: references that double at each level multiply.
const (
	// maxCost bounds how many subschemas may be tried on one value.
	maxCost = 10_000
	// maxReach bounds the sum, over all subschemas, of those that may apply together with one.
	maxReach = 2_000_000
	// maxExpanded is the size of the schema, all references expanded, up to which the values cannot make it dear.
	maxExpanded = 20_000
	// maxTrials bounds how many subschemas may be tried on one tree of values.
	maxTrials = 5_000_000
	// maxDefault bounds the keys and items of one default, filled with those below it.
	maxDefault = 100_000
	// maxDefaultWork bounds what may be looked at to count them.
	maxDefaultWork = 5_000_000
)

// close links the shapes that apply together and refuses schemas that are too dear or refer to themselves.
func (r *reader) close() {
	b := &budget{costs: map[*shape]int{}, expanded: map[*shape]int{}}
	var dear []diag.Range
	for _, sh := range r.shapes {
		if b.cost(sh) > maxCost {
			dear = append(dear, sh.node.Origin.Range)
		}
	}
	if b.loop != nil {
		r.report(diag.SchemaInvalid, b.loop.node.Origin.Range,
			"the schema refers to itself here without an end: no value is between. Remove one of the references.")
		return
	}
	if len(dear) > 0 {
		// Whatever contains the fault is dear too; the last place is the nearest to it.
		at := slices.MaxFunc(dear, func(a, b diag.Range) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Start.Line, b.Start.Line), cmp.Compare(a.Start.Column, b.Start.Column))
		})
		r.report(diag.SchemaBudget, at,
			"more than %d alternatives apply to one value here. Use fewer $ref, allOf, anyOf and oneOf inside each other.", maxCost)
		return
	}
	seen := map[*shape]int{}
	total := 0
	for i, sh := range r.shapes {
		sh.sure = reach(sh, nil, false, seen, 2*i+1)
		sh.possible = reach(sh, nil, true, seen, 2*i+2)
		if total += len(sh.possible); total > maxReach {
			r.report(diag.SchemaBudget, sh.node.Origin.Range,
				"the references of the schema lead on to more than %d others in all. Use fewer $ref, allOf, anyOf and oneOf inside each other.", maxReach)
			return
		}
	}
	r.schema.dear = b.expand(r.schema.root) > maxExpanded
	r.defaults()
}

// defaults refuses defaults that are filled without an end, or with too much.
func (r *reader) defaults() {
	c := &defaults{sizes: map[defaultKey]int{}, ids: make(map[*shape]uint32, len(r.shapes))}
	for i, sh := range r.shapes {
		c.ids[sh] = uint32(i)
	}
	for _, sh := range r.shapes {
		if sh.fallback != nil {
			c.size(sh.fallback, sh.fallback.Value, sh.sure)
		}
	}
	switch {
	case c.loop != nil:
		r.report(diag.SchemaInvalid, c.loop.KeyRange,
			"this default is filled with the defaults of its own subschemas, and one of them is this default again: it has no end. "+
				"Remove it, or one of those below it.")
	case c.dear != nil:
		r.report(diag.SchemaBudget, c.dear.KeyRange,
			"this default has more than %d keys and items once it is filled with the defaults of its own subschemas. Use fewer of them.", maxDefault)
	}
}

// defaults counts the keys and items that the schema's defaults have once they are filled.
type defaults struct {
	sizes map[defaultKey]int
	ids   map[*shape]uint32
	work  int
	// loop is a default that was met again in itself, dear the innermost one that is too large.
	loop, dear *value.Field
}

// defaultKey is a value of a default with the shapes that fill it.
type defaultKey struct {
	node   *value.Node
	shapes string
}

// size counts one value, which stands in the default d.
func (c *defaults) size(d *value.Field, n *value.Node, shapes []*shape) int {
	if n.Kind != value.Map && n.Kind != value.List {
		return 1
	}
	id := make([]byte, 0, 4*len(shapes))
	for _, sh := range shapes {
		id = binary.LittleEndian.AppendUint32(id, c.ids[sh])
	}
	key := defaultKey{n, string(id)}
	if size, ok := c.sizes[key]; ok {
		if size == counting && c.loop == nil {
			c.loop = d
		}
		return max(size, 0)
	}
	c.work += 1 + len(n.Fields) + len(n.Items) + len(shapes)
	if c.loop != nil || c.work > maxDefaultWork {
		if c.dear == nil {
			c.dear = d
		}
		return 0
	}
	c.sizes[key] = counting
	size := 1
	add := func(d *value.Field, n *value.Node, shapes []*shape) {
		c.work += len(shapes)
		size = min(size+c.size(d, n, shapes), maxDefault+1)
	}
	for _, f := range n.Fields {
		add(d, f.Value, sure(child(shapes, value.Step{Key: f.Key})))
	}
	for i, item := range n.Items {
		add(d, item, sure(child(shapes, value.Step{Index: i, InList: true})))
	}
	if n.Kind == value.Map {
		for below := range absent(n, shapes) {
			add(below.fallback, below.fallback.Value, below.shapes)
		}
	}
	if size > maxDefault && c.dear == nil {
		c.dear = d
	}
	c.sizes[key] = size
	return size
}

// budget counts what a schema may cost.
type budget struct {
	costs, expanded map[*shape]int
	// loop is a shape that was met again below itself, on the same value.
	loop *shape
}

// counting marks a shape that is being counted: who meets it again has gone in a circle.
const counting = -1

// cost counts the subschemas that apply to one value, each as often as it is tried.
func (b *budget) cost(sh *shape) int {
	if c, ok := b.costs[sh]; ok {
		if c == counting {
			if b.loop == nil {
				b.loop = sh
			}
			return maxCost + 1
		}
		return c
	}
	b.costs[sh] = counting
	c := 1
	for _, subs := range [][]*shape{sh.refs, sh.all, sh.some, sh.tried} {
		for _, sub := range subs {
			c = min(c+b.cost(sub), maxCost+1)
		}
	}
	b.costs[sh] = c
	return c
}

// expand counts the subschemas of a schema with all its references expanded, also those of values below. One that comes
// back to itself has no end.
func (b *budget) expand(sh *shape) int {
	if n, ok := b.expanded[sh]; ok {
		if n == counting {
			return maxExpanded + 1
		}
		return n
	}
	b.expanded[sh] = counting
	n := 1
	for _, subs := range [][]*shape{sh.refs, sh.held} {
		for _, sub := range subs {
			n = min(n+b.expand(sub), maxExpanded+1)
		}
	}
	b.expanded[sh] = n
	return n
}

// inPlace returns the shapes that may apply to the same value.
func (sh *shape) inPlace() []*shape {
	return slices.Concat(sh.refs, sh.all, sh.some)
}

// reach adds to out the shape and those that apply where it does; with some also those that may. Seen holds the number of
// the walk that last met a shape.
func reach(sh *shape, out []*shape, some bool, seen map[*shape]int, walk int) []*shape {
	if seen[sh] == walk {
		return out
	}
	seen[sh] = walk
	out = append(out, sh)
	next := [][]*shape{sh.refs, sh.all, nil}
	if some {
		next[2] = sh.some
	}
	for _, subs := range next {
		for _, sub := range subs {
			out = reach(sub, out, some, seen, walk)
		}
	}
	return out
}

// overBudget reports whether so many subschemas would be tried on the values of a tree that checking them has no end in
// sight. Compile cannot tell: a schema that refers to itself below its values is as dear as they are deep.
func (s *Schema) overBudget(root *value.Node) bool {
	t := &trials{applied: map[*shape][]weighted{}}
	return t.over(root, map[*shape]int{s.root: 1})
}

// trials counts the subschemas that the library tries on a tree.
type trials struct {
	applied map[*shape][]weighted
	n       int
}

// weighted is a shape, and how often it is tried.
type weighted struct {
	shape *shape
	n     int
}

func (t *trials) over(n *value.Node, starts map[*shape]int) bool {
	tried := make(map[*shape]int, len(starts))
	for sh, count := range starts {
		for _, w := range t.inPlace(sh) {
			// A count is at most maxTrials and a weight at most maxCost: the product is far from the end of int.
			if tried[w.shape] += count * w.n; tried[w.shape] > maxTrials {
				return true
			}
			t.n += count * w.n
		}
		if t.n > maxTrials {
			return true
		}
	}
	for _, f := range n.Fields {
		if t.overChild(f.Value, tried, value.Step{Key: f.Key}) {
			return true
		}
	}
	for i, item := range n.Items {
		if t.overChild(item, tried, value.Step{Index: i, InList: true}) {
			return true
		}
	}
	return false
}

func (t *trials) overChild(n *value.Node, tried map[*shape]int, step value.Step) bool {
	starts := map[*shape]int{}
	for sh, count := range tried {
		below := child([]*shape{sh}, step)
		if step.InList {
			below = append(below, sh.loose.items...)
		} else {
			below = append(below, sh.loose.values...)
		}
		for _, b := range below {
			starts[b] += count
		}
	}
	return len(starts) > 0 && t.over(n, starts)
}

// inPlace returns the shapes that are tried on a value because one is, itself among them, with how often.
func (t *trials) inPlace(sh *shape) []weighted {
	if w, ok := t.applied[sh]; ok {
		return w
	}
	if t.n > maxTrials {
		return []weighted{{sh, 1}}
	}
	counts := map[*shape]int{sh: 1}
	order := []*shape{sh}
	for _, subs := range [][]*shape{sh.refs, sh.all, sh.some, sh.tried} {
		for _, sub := range subs {
			for _, w := range t.inPlace(sub) {
				if counts[w.shape] == 0 {
					order = append(order, w.shape)
				}
				counts[w.shape] += w.n
			}
		}
	}
	out := make([]weighted, len(order))
	for i, o := range order {
		out[i] = weighted{o, counts[o]}
	}
	t.n += len(out)
	t.applied[sh] = out
	return out
}
