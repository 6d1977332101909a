package schema

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// masked is what stands for a secret value.
const masked = "(secret)"

// Mask returns the tree with "(secret)" for every scalar that the schema marks with x-secret, in whatever alternative, or
// that a secrets.* file holds. The masked nodes keep their origins and lose what they override.
func (s *Schema) Mask(root *value.Node) *value.Node {
	return mask(root, s.root.possible, false)
}

func mask(n *value.Node, shapes []*shape, secret bool) *value.Node {
	secret = secret || marked(n, shapes)
	out := *n
	out.Overrides = nil
	switch n.Kind {
	case value.Null:
	case value.Map:
		out.Fields = make([]value.Field, len(n.Fields))
		for i, f := range n.Fields {
			f.Value = mask(f.Value, possible(child(shapes, value.Step{Key: f.Key})), secret)
			out.Fields[i] = f
		}
	case value.List:
		out.Items = make([]*value.Node, len(n.Items))
		for i, item := range n.Items {
			out.Items[i] = mask(item, possible(child(shapes, value.Step{Index: i, InList: true})), secret)
		}
	default:
		if secret {
			out.Kind, out.Scalar = value.String, masked
		}
	}
	return &out
}

// marked reports whether a node is secret by its schema or by the file it is from. A map is never secret by its file: it
// may be merged from several.
func marked(n *value.Node, shapes []*shape) bool {
	return n.Kind != value.Map && strings.HasPrefix(path.Base(n.Origin.Layer), "secrets.") ||
		slices.ContainsFunc(shapes, func(sh *shape) bool { return sh.secret })
}

// minSecret is the shortest text that is redacted: shorter ones stand in too many other words, and guard nothing.
const minSecret = 4

// SecretTexts returns the texts that must reach no writer: every secret scalar of at least four characters, those that it
// overrides, and the longer lines of those with several. Booleans are no secrets.
func (s *Schema) SecretTexts(root *value.Node) []string {
	seen := map[string]bool{}
	var texts []string
	add := func(text string, least int) {
		if len(text) >= least && !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	var collect func(n *value.Node, shapes []*shape, secret bool)
	collect = func(n *value.Node, shapes []*shape, secret bool) {
		secret = secret || marked(n, shapes)
		for _, f := range n.Fields {
			collect(f.Value, possible(child(shapes, value.Step{Key: f.Key})), secret)
		}
		for i, item := range n.Items {
			collect(item, possible(child(shapes, value.Step{Index: i, InList: true})), secret)
		}
		for _, o := range n.Overrides {
			collect(o, shapes, secret)
		}
		if _, boolean := n.Scalar.(bool); boolean || !secret || n.Scalar == nil {
			return
		}
		text := fmt.Sprint(n.Scalar)
		add(text, minSecret)
		add(strings.TrimSpace(text), minSecret)
		if lines := strings.Split(strings.TrimSpace(text), "\n"); len(lines) > 1 {
			for _, line := range lines {
				// A template may indent the lines of a key: then only they are found again.
				add(strings.TrimSpace(line), 2*minSecret)
			}
		}
	}
	collect(root, s.root.possible, false)
	return texts
}

// secretAt reports whether the value at a path is secret, stands in one that is, or stands where a map or list with secrets
// is wanted: the secret may have been written in its place.
func (s *Schema) secretAt(root *value.Node, p value.Path) bool {
	n, shapes := root, s.root.possible
	for i := 0; ; i++ {
		if n != nil && (marked(n, shapes) || misplaced(n, shapes)) || slices.ContainsFunc(shapes, func(sh *shape) bool { return sh.secret }) {
			return true
		}
		if i == len(p) {
			return false
		}
		shapes = possible(child(shapes, p[i]))
		if n != nil {
			n = n.At(p[i : i+1])
		}
	}
}

// misplaced reports whether a value stands where the schema has a map or a list of secrets: it is likely one of them, in
// the wrong shape. Booleans are no secrets.
func misplaced(n *value.Node, shapes []*shape) bool {
	if n.Kind == value.Null || n.Kind == value.Boolean {
		return false
	}
	var below []*shape
	for _, sh := range shapes {
		if n.Kind != value.Map {
			for _, p := range sh.props {
				below = append(below, p.shape)
			}
			for _, p := range sh.patterns {
				below = append(below, p.shape)
			}
			if sh.additional != nil {
				below = append(below, sh.additional)
			}
		}
		if n.Kind != value.List {
			below = append(below, sh.prefix...)
			if sh.items != nil {
				below = append(below, sh.items)
			}
		}
	}
	return slices.ContainsFunc(possible(below), func(sh *shape) bool { return sh.secret })
}

// inSecretFile reports whether a place is in a secrets.* file.
func inSecretFile(at diag.Range) bool { return strings.HasPrefix(path.Base(at.File), "secrets.") }
