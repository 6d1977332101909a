package runlevel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
)

// Selector chooses releases by their labels. The zero Selector chooses all.
type Selector struct {
	// any are the selectors as they were given, of which one must hold; all terms of one must hold.
	any [][]term
}

type term struct {
	key, value string
	not        bool
}

// selectorTerm is helmfile's grammar of one term (pkg/state, ParseLabels).
var selectorTerm = regexp.MustCompile(`^([a-zA-Z0-9_./+-]+)(!?=)([a-zA-Z0-9_./+-]+)$`)

// ParseSelectors reads selectors as helmfile does: k=v and k!=v, a comma means and, several texts mean or.
func ParseSelectors(texts []string) (Selector, diag.Diagnostics) {
	var s Selector
	var ds diag.Diagnostics
	for _, text := range texts {
		var all []term
		for _, part := range strings.Split(text, ",") {
			m := selectorTerm.FindStringSubmatch(part)
			if m == nil {
				ds = append(ds, diag.Diagnostic{
					Severity: diag.Error,
					Code:     diag.SelectorMalformed,
					Detail: fmt.Sprintf("the selector %q has the part %q, which is neither KEY=VALUE nor KEY!=VALUE; keys and "+
						"values are made of letters, digits and _ . / + -. Write for example: -l tier=frontend,name!=web", text, part),
				})
				continue
			}
			all = append(all, term{key: m[1], value: m[3], not: m[2] == "!="})
		}
		s.any = append(s.any, all)
	}
	return s, ds
}

// IsZero reports whether the selector chooses all releases because nothing was selected.
func (s Selector) IsZero() bool { return len(s.any) == 0 }

// Matches reports whether the labels are chosen. A label that is absent differs from every value.
func (s Selector) Matches(labels map[string]string) bool {
	if len(s.any) == 0 {
		return true
	}
	return slices.ContainsFunc(s.any, func(all []term) bool {
		return !slices.ContainsFunc(all, func(t term) bool {
			value, ok := labels[t.key]
			return (ok && value == t.value) == t.not
		})
	})
}

// Select returns the levels with only the releases that s chooses. Every level stays, also where none of its releases
// does, so that names and order are those of the whole.
func Select(levels []Level, s Selector) []Level {
	out := make([]Level, len(levels))
	refused := func(r Release) bool { return !s.Matches(r.Labels) }
	for i, l := range levels {
		l.Releases = slices.DeleteFunc(slices.Clone(l.Releases), refused)
		l.Disabled = slices.DeleteFunc(slices.Clone(l.Disabled), refused)
		out[i] = l
	}
	return out
}
