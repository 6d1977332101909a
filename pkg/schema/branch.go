package schema

import (
	"cmp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// branch is one alternative that a value does not fit, with its findings.
type branch struct {
	err    *jsonschema.ValidationError
	leaves []*jsonschema.ValidationError
	// wrongType: it is for another type of value. otherKind counts the discriminators that do not fit: a const or an enum
	// of a direct key.
	wrongType bool
	otherKind int
}

// alternatives reports why a value fits none of the alternatives: by the one that was most likely meant, or, where they
// differ in one thing only, by all that it may be.
func (c *checker) alternatives(f finding, e *jsonschema.ValidationError) {
	branches := make([]branch, len(e.Causes))
	for i, cause := range e.Causes {
		branches[i] = c.branch(f, cause)
	}
	if c.sameDiscriminator(branches) || c.onlyTypes(f, branches) || c.onlyRequired(f, branches) {
		return
	}
	best := slices.MinFunc(branches, func(a, b branch) int {
		return cmp.Or(
			compareBool(a.wrongType, b.wrongType),
			cmp.Compare(a.otherKind, b.otherKind),
			cmp.Compare(len(a.leaves), len(b.leaves)),
		)
	})
	c.visit(best.err)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (c *checker) branch(f finding, e *jsonschema.ValidationError) branch {
	b := branch{err: e, leaves: leaves(e)}
	for _, leaf := range b.leaves {
		l, ok := c.find(leaf)
		if !ok {
			continue
		}
		switch {
		case l.keyword == "type" && len(l.path) == len(f.path):
			b.wrongType = true
		case (l.keyword == "const" || l.keyword == "enum") && len(l.path) == len(f.path)+1:
			b.otherKind++
		}
	}
	return b
}

// sameDiscriminator reports a key whose value is wrong in every alternative, with all that they allow.
func (c *checker) sameDiscriminator(branches []branch) bool {
	var at finding
	var allowed []*value.Node
	for i, b := range branches {
		found := false
		for _, leaf := range b.leaves {
			l, ok := c.find(leaf)
			if !ok || l.keyword != "const" && l.keyword != "enum" || i > 0 && l.path.String() != at.path.String() {
				continue
			}
			found = true
			at = l
			if l.keyword == "const" {
				allowed = append(allowed, l.asks)
			} else {
				allowed = append(allowed, l.asks.Items...)
			}
			break
		}
		if !found {
			return false
		}
	}
	if len(allowed) == 0 {
		return false
	}
	c.notAllowed(at, allowed)
	return true
}

// onlyTypes reports a value whose type fits no alternative.
func (c *checker) onlyTypes(f finding, branches []branch) bool {
	var words []string
	for _, b := range branches {
		if !b.wrongType {
			return false
		}
		for _, leaf := range b.leaves {
			if l, ok := c.find(leaf); ok && l.keyword == "type" && len(l.path) == len(f.path) {
				for _, t := range textsOf(l.asks) {
					if w := article(typeWord(t)); !slices.Contains(words, w) {
						words = append(words, w)
					}
				}
			}
		}
	}
	c.add(f, diag.ValuesNoBranch, f.place(), "this is %s, and the schema wants %s. Change it.",
		article(string(f.node.Kind)), strings.Join(words, " or "))
	return true
}

// onlyRequired reports alternatives that differ in the keys they require.
func (c *checker) onlyRequired(f finding, branches []branch) bool {
	var sets []string
	for _, b := range branches {
		for _, leaf := range b.leaves {
			l, ok := c.find(leaf)
			if !ok || l.keyword != "required" || len(l.path) != len(f.path) {
				return false
			}
			sets = append(sets, strings.Join(textsOf(l.asks), " and "))
		}
	}
	c.add(f, diag.ValuesNoBranch, f.place(), "one of these keys is needed: %s. Add one.", strings.Join(sets, ", or "))
	return true
}
