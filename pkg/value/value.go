// Package value is the tree of values in which every node knows its origin.
//
// A tree is built by package yaml from text, folded by package merge, and never changed afterwards: a stage that wants
// another tree makes one. The package reads no text, knows no precedence and no schema.
package value

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// Kind is the type of a node, in the words of JSON Schema.
type Kind string

const (
	Null    Kind = "null"
	Boolean Kind = "boolean"
	Integer Kind = "integer"
	Number  Kind = "number"
	String  Kind = "string"
	List    Kind = "list"
	Map     Kind = "map"
)

// WithArticle is the kind as a sentence has it: "an integer", "a map", and null as it is.
func (k Kind) WithArticle() string {
	switch k {
	case Null:
		return "null"
	case Integer:
		return "an integer"
	}
	return "a " + string(k)
}

// Origin says where a value was written: the layer, and the place in its file. A value that no file holds (a flag, a
// default of the schema) has a layer and may have no place.
type Origin struct {
	Layer string
	Range diag.Range
}

// Node is one value of a tree.
type Node struct {
	Kind Kind
	// Scalar is the value of a scalar: bool, int64, float64 or string. It is nil for null, lists and maps.
	Scalar any
	// Exact is a scalar as helmfile's library gives it to a template, where that is none of Scalar's types: a time.Time, whose
	// Scalar is its text, or a uint64, whose Scalar is a float64. It is nil for every other.
	Exact any
	// Items are the elements of a list.
	Items []*Node
	// Fields are the entries of a map, in the order of their appearance; no key stands twice.
	Fields []Field
	// Origin is the place of the value; of a merged map, the place of the strongest layer that opens it.
	Origin Origin
	// Overrides are the values that this one beat, the strongest first. Only merged trees have them.
	Overrides []*Node
}

// Field is one entry of a map.
type Field struct {
	Key string
	// KeyRange is the place of the key itself.
	KeyRange diag.Range
	Value    *Node
}

// NewMap returns a map with the given fields.
func NewMap(origin Origin, fields ...Field) *Node {
	return &Node{Kind: Map, Fields: fields, Origin: origin}
}

// NewScalar returns a scalar node for nil, a bool, int64, float64 or string, and panics for anything else: the caller
// wrote the literal.
func NewScalar(origin Origin, scalar any) *Node {
	kind := Null
	switch scalar.(type) {
	case nil:
	case bool:
		kind = Boolean
	case int64:
		kind = Integer
	case float64:
		kind = Number
	case string:
		kind = String
	default:
		panic("value: no scalar of a tree")
	}
	return &Node{Kind: kind, Scalar: scalar, Origin: origin}
}

// Field returns the entry of a map under key, and whether there is one. A nil node and a node of another kind have none.
func (n *Node) Field(key string) (Field, bool) {
	if n == nil {
		return Field{}, false
	}
	i := slices.IndexFunc(n.Fields, func(f Field) bool { return f.Key == key })
	if i < 0 {
		return Field{}, false
	}
	return n.Fields[i], true
}

// Get returns the value of a map under key, or nil.
func (n *Node) Get(key string) *Node {
	f, _ := n.Field(key)
	return f.Value
}

// At returns the node at path, or nil where the path leads nowhere.
func (n *Node) At(path Path) *Node {
	for _, step := range path {
		switch {
		case n == nil:
			return nil
		case !step.InList:
			n = n.Get(step.Key)
		case step.Index < 0 || step.Index >= len(n.Items):
			return nil
		default:
			n = n.Items[step.Index]
		}
	}
	return n
}

// Text returns the string of a string node, and "" for any other.
func (n *Node) Text() string {
	if n == nil {
		return ""
	}
	s, _ := n.Scalar.(string)
	return s
}

// Plain returns the tree as the plain Go values that templates and JSON want: map[string]any, []any, string, bool,
// int64, float64 and nil. The result shares nothing with the tree.
func (n *Node) Plain() any { return n.plain(false) }

// PlainExact is Plain with what Exact has of each scalar, for the templates of state files.
func (n *Node) PlainExact() any { return n.plain(true) }

func (n *Node) plain(exact bool) any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Map:
		m := make(map[string]any, len(n.Fields))
		for _, f := range n.Fields {
			m[f.Key] = f.Value.plain(exact)
		}
		return m
	case List:
		l := make([]any, len(n.Items))
		for i, item := range n.Items {
			l[i] = item.plain(exact)
		}
		return l
	default:
		if exact && n.Exact != nil {
			return n.Exact
		}
		return n.Scalar
	}
}

// Canonical returns a text that two trees share only where they are equal: of the same kinds, with the keys of maps in any
// order. Origins make no difference.
func (n *Node) Canonical() string { return string(n.appendCanonical(nil)) }

func (n *Node) appendCanonical(text []byte) []byte {
	text = append(text, n.Kind...)
	switch n.Kind {
	case Map:
		text = strconv.AppendInt(append(text, ' '), int64(len(n.Fields)), 10)
		byKey := func(a, b Field) int { return strings.Compare(a.Key, b.Key) }
		for _, f := range slices.SortedFunc(slices.Values(n.Fields), byKey) {
			// Its length, since a quoted text would not tell all invalid UTF-8 apart.
			text = strconv.AppendInt(append(text, ' '), int64(len(f.Key)), 10)
			text = f.Value.appendCanonical(append(append(text, ' '), f.Key...))
		}
	case List:
		text = strconv.AppendInt(append(text, ' '), int64(len(n.Items)), 10)
		for _, item := range n.Items {
			text = item.appendCanonical(append(text, ' '))
		}
	default:
		scalar := n.Scalar
		if scalar == 0.0 {
			scalar = 0.0 // and not -0, which is the same
		}
		written := fmt.Sprint(scalar)
		text = strconv.AppendInt(append(text, ' '), int64(len(written)), 10)
		text = append(append(text, ' '), written...)
	}
	return text
}

// PlainMap is Plain for a tree whose root is a map; any other root gives an empty map.
func (n *Node) PlainMap() map[string]any {
	if m, ok := n.Plain().(map[string]any); ok {
		return m
	}
	return map[string]any{}
}

// Walk calls visit for every node below and including n, parents first, in the order of appearance. It does not go
// below a node for which visit returns false.
func (n *Node) Walk(visit func(Path, *Node) bool) { n.walk(nil, visit) }

func (n *Node) walk(path Path, visit func(Path, *Node) bool) {
	if n == nil || !visit(path, n) {
		return
	}
	for _, f := range n.Fields {
		f.Value.walk(path.Key(f.Key), visit)
	}
	for i, item := range n.Items {
		item.walk(path.Index(i), visit)
	}
}
