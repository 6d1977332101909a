package pipeline

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// maxTried bounds the values of a cluster that are tried for one value of a release: each costs an evaluation of its state
// file.
const maxTried = 32

// origin finds the value of the cluster that the one at a path of a release's values was made of: one that is equal to it, or
// a part of its text, and whose change changes it. It is sure only where a single one does, and says nothing else.
func (s *renderSet) origin(ctx context.Context, r runlevel.Release, path value.Path) (diag.Range, bool) {
	i := slices.IndexFunc(s.input.Files, func(f runlevel.File) bool {
		return r.Range.File == f.Display || r.Range.File == f.Display+" (rendered)"
	})
	wanted, ok := below(r.Values, path)
	if i < 0 || !ok || s.values.Root == nil {
		return diag.Range{}, false
	}
	for _, like := range []func(any) bool{
		func(v any) bool { return reflect.DeepEqual(yaml.ToChart(v), wanted) },
		func(v any) bool { return isPart(v, wanted) },
	} {
		var causes []*value.Node
		for _, leaf := range s.candidates(path, like) {
			if ctx.Err() == nil && s.changes(ctx, s.input.Files[i], r, path, leaf.Path, wanted) {
				causes = append(causes, leaf.Value)
			}
		}
		if len(causes) == 1 && !causes[0].Origin.Range.IsZero() {
			return causes[0].Origin.Range, true
		}
		if len(causes) > 0 {
			break
		}
	}
	return diag.Range{}, false
}

// isPart reports whether v is a text within another one; a letter or two would be in many.
func isPart(v, whole any) bool {
	const least = 3
	part, ok := v.(string)
	text, isText := whole.(string)
	return ok && isText && len(part) >= least && strings.Contains(text, part)
}

// candidates returns the cluster's values that are like the wanted one, those first whose path ends as path does.
func (s *renderSet) candidates(path value.Path, like func(any) bool) []Leaf {
	var out []Leaf
	s.values.Root.Leaves(func(p value.Path, n *value.Node) {
		if like(n.Plain()) {
			out = append(out, Leaf{Path: p, Value: n})
		}
	})
	slices.SortStableFunc(out, func(a, b Leaf) int { return cmp.Compare(sharedEnd(b.Path, path), sharedEnd(a.Path, path)) })
	return out[:min(len(out), maxTried)]
}

// sharedEnd returns how many steps two paths have in common at their ends.
func sharedEnd(a, b value.Path) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// changes reports whether the value at a path of a release's values is another one when the cluster's value at from is.
func (s *renderSet) changes(ctx context.Context, file runlevel.File, r runlevel.Release, path, from value.Path, wanted any) bool {
	changed := s.values.Root.PlainMap()
	if !alter(changed, from) {
		return false
	}
	in := s.input
	in.Files, in.Values = []runlevel.File{file}, changed
	// To look for a place is no reason to run a program.
	in.Programs, in.Allow.Exec = nil, false
	// Of one file alone the needs may lead nowhere; what the releases are given is known all the same.
	evaluated, _ := runlevel.Evaluate(ctx, in)
	for _, level := range evaluated.Levels {
		for _, other := range slices.Concat(level.Releases, level.Disabled) {
			if other.Key() == r.Key() {
				v, _ := below(other.Values, path)
				return !reflect.DeepEqual(v, wanted)
			}
		}
	}
	return false
}

// alter puts another value in place of the one at a path of a tree.
func alter(tree any, path value.Path) bool {
	for i, step := range path {
		last := i == len(path)-1
		switch at := tree.(type) {
		case map[string]any:
			if last {
				at[step.Key] = another(at[step.Key])
				return true
			}
			tree = at[step.Key]
		case []any:
			if step.Index >= len(at) {
				return false
			}
			if last {
				at[step.Index] = another(at[step.Index])
				return true
			}
			tree = at[step.Index]
		default:
			return false
		}
	}
	return false
}

// another returns a value of the same kind that is not v.
func another(v any) any {
	switch v := v.(type) {
	case string:
		return v + "x"
	case bool:
		return !v
	case int64:
		return v + 1
	case float64:
		return v + 1
	case []any:
		return append(slices.Clone(v), "x")
	case map[string]any:
		return map[string]any{"x": "x"}
	}
	return "x"
}

// below returns the value at a path of a plain tree, and whether there is one.
func below(tree any, path value.Path) (any, bool) {
	for _, step := range path {
		switch at := tree.(type) {
		case map[string]any:
			v, ok := at[step.Key]
			if !ok {
				return nil, false
			}
			tree = v
		case []any:
			if !step.InList || step.Index >= len(at) {
				return nil, false
			}
			tree = at[step.Index]
		default:
			return nil, false
		}
	}
	return tree, true
}
