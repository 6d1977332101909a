package schema

import (
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// Conceal returns the text of a layer file without the lines that may show a secret: each is replaced by
// diag.Concealed. These are the lines of every value that is secret in root, the tree that the text was read as, and of
// every key that the schema marks secret somewhere, with the deeper lines below it: a value that a duplicate key beat is in
// no tree, and a text that is no YAML has none (root is nil).
func (s *Schema) Conceal(text []byte, root *value.Node) []byte {
	lines := strings.Split(string(text), "\n")
	hidden := make([]bool, len(lines))
	hide := func(from, to int) {
		for n := max(from, 1); n <= min(max(from, to), len(lines)); n++ {
			hidden[n-1] = true
		}
	}
	if root != nil {
		concealed(root, s.root.possible, hide)
	}
	s.concealKeys(lines, hide)
	for i := range lines {
		if hidden[i] {
			indent := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
			lines[i] = lines[i][:indent] + diag.Concealed
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// concealed hides the lines of the secret values of a tree.
func concealed(n *value.Node, shapes []*shape, hide func(from, to int)) {
	if marked(n, shapes) || misplaced(n, shapes) {
		hide(n.Origin.Range.Start.Line, lastLine(n))
		return
	}
	for _, f := range n.Fields {
		concealed(f.Value, possible(child(shapes, value.Step{Key: f.Key})), hide)
	}
	for i, item := range n.Items {
		concealed(item, possible(child(shapes, value.Step{Index: i, InList: true})), hide)
	}
}

// lastLine is the last line that a value stands on.
func lastLine(n *value.Node) int {
	last := max(n.Origin.Range.Start.Line, n.Origin.Range.End.Line)
	for _, f := range n.Fields {
		last = max(last, lastLine(f.Value))
	}
	for _, item := range n.Items {
		last = max(last, lastLine(item))
	}
	return last
}

// keyWithin matches the keys of a line, also those within braces.
var keyWithin = regexp.MustCompile(`([^\s"'{}\[\],:]+)["']?\s*:`)

// concealKeys hides the lines with a key that is secret somewhere in the schema or holds secrets under names or in places that
// the schema does not list, and the deeper lines below.
func (s *Schema) concealKeys(lines []string, hide func(from, to int)) {
	secret := func(sh *shape) bool {
		return sh != nil && slices.ContainsFunc(sh.possible, func(b *shape) bool { return b.secret })
	}
	keys := map[string]bool{}
	for _, sh := range s.shapes {
		for _, p := range sh.props {
			for _, b := range p.shape.possible {
				keys[p.name] = keys[p.name] || b.secret || secret(b.additional) || secret(b.items) || slices.ContainsFunc(b.prefix, secret) ||
					slices.ContainsFunc(b.patterns, func(p patternShape) bool { return secret(p.shape) })
			}
		}
	}
	within := -1 // the indentation of the key whose lines are hidden
	for i, line := range lines {
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if within >= 0 && (indent > within || body == "") {
			hide(i+1, i+1)
			continue
		}
		within = -1
		for _, key := range keyWithin.FindAllStringSubmatch(body, -1) {
			if keys[key[1]] {
				hide(i+1, i+1)
				within = indent
			}
		}
	}
}
