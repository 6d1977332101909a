package render

import (
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/value"
	"helm.sh/helm/v3/pkg/chartutil"
)

// blamed is the value that a template failed of.
type blamed struct {
	// path leads to it in the release's values.
	path value.Path
	// state is what is wrong with it, as a sentence goes on: "is not set", "is empty", "is a string".
	state string
}

// The forms in which a template names values: by .Values of its chart, or by a field of what it was given.
var (
	valuesRef = regexp.MustCompile(`(?:^|[\s(|=,])(?:\$[A-Za-z0-9_]*)?\.Values((?:\.[A-Za-z_][A-Za-z0-9_]*)+)`)
	fieldRef  = regexp.MustCompile(`(?:^|[\s(|=,])((?:\.[A-Za-z_][A-Za-z0-9_]*)+)`)
	// passes is an include, whose argument is what the other template sees as its dot.
	passes = regexp.MustCompile(`^(?:include|template) (?:"[^"]*"|\S+) (\S+)$`)
	// fieldOf is the mistake of asking what is no map for a field.
	fieldOf = regexp.MustCompile(`^can't evaluate field ([A-Za-z0-9_]+) in type `)
	// wrongKind is any other mistake about the kind of a value.
	wrongKind = regexp.MustCompile(`^(?:range can't iterate over|wrong type for value|the value is not of a type|incompatible types|invalid value)`)
)

// blame finds the value that a template failed of, where there is no doubt: the one that the expression at the failing place
// names, and whose state is what the message complains of.
func (j *job) blame(f failure) (blamed, bool) {
	if len(f.Frames) == 0 || f.syntax {
		return blamed{}, false
	}
	scope := scopeOf(f.Frames[0].Name)
	var found []blamed
	for _, ref := range j.references(f) {
		path := scope.within(ref)
		b := blamed{path: path}
		v, known := valueAt(j.values, path)
		switch {
		case f.authored:
			switch {
			case known < len(path):
				b.state = "is not set"
			case v == nil:
				b.state = "is null"
			case v == "":
				b.state = "is empty"
			default:
				continue
			}
		case nilPointer.MatchString(f.Message):
			// What is null is a step of the path; the one after it is what was wanted of it.
			for n := 1; n < len(path); n++ {
				if v, known := valueAt(j.values, path[:n]); v == nil {
					b.path, b.state = path[:n], "is null"
					if known < n {
						b.state = "is not set"
					}
					break
				}
			}
		case fieldOf.MatchString(f.Message):
			for n := 1; n < len(path); n++ {
				if v, _ := valueAt(j.values, path[:n]); v != nil && kindOf(v) != value.Map {
					b.path, b.state = path[:n], "is "+kindOf(v).WithArticle()
					break
				}
			}
		case wrongKind.MatchString(f.Message) || strings.HasPrefix(f.Message, "error calling "):
			b.state = "is " + kindOf(v).WithArticle()
			if known < len(path) {
				b.state = "is not set"
			}
		}
		if b.state == "" {
			continue
		}
		b.path = slices.Clone(b.path)
		if !slices.ContainsFunc(found, func(o blamed) bool { return o.path.String() == b.path.String() }) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return blamed{}, false
	}
	return found[0], true
}

// references returns the paths, as the chart sees its values, that the innermost expression names; where that is the
// command of a pipe which names none, those of the whole action.
func (j *job) references(f failure) []value.Path {
	last := len(f.Frames) - 1
	expression := f.Frames[last].Expression
	if refs := valuesIn(expression); len(refs) > 0 {
		return refs
	}
	// What the template was given may be a value: include "image" .Values.image.
	if last > 0 {
		if m := passes.FindStringSubmatch(f.Frames[last-1].Expression); m != nil {
			if given := valuesIn(m[1]); len(given) == 1 {
				var refs []value.Path
				for _, m := range fieldRef.FindAllStringSubmatch(expression, -1) {
					refs = append(refs, append(slices.Clip(given[0]), pathOf(m[1])...))
				}
				return refs
			}
		}
	}
	text, ok := j.req.Chart.File(j.file(f.Frames[last].Name))
	if !ok {
		return nil
	}
	return valuesIn(actionAt(text, f.Frames[last].Line, f.Frames[last].Column))
}

// actionAt returns the text of the action around a place of a template, up to the end of its line.
func actionAt(text []byte, line, column int) string {
	for l := range strings.Lines(string(text)) {
		if line--; line > 0 {
			continue
		}
		column = min(max(column-1, 0), len(l))
		start := strings.LastIndex(l[:column], "{{")
		if start < 0 {
			start = 0
		}
		within, _, _ := strings.Cut(l[start:], "}}")
		return strings.TrimLeft(within, "{-")
	}
	return ""
}

// valuesIn returns the paths below .Values that an expression names.
func valuesIn(expression string) []value.Path {
	var out []value.Path
	for _, m := range valuesRef.FindAllStringSubmatch(expression, -1) {
		out = append(out, pathOf(m[1]))
	}
	return out
}

// pathOf reads a chain of fields: .a.b.
func pathOf(fields string) value.Path {
	var path value.Path
	for name := range strings.SplitSeq(strings.TrimPrefix(fields, "."), ".") {
		path = path.Key(name)
	}
	return path
}

// scope is where a chart's values stand in those of the release: nowhere for the root, and below the names of the
// subcharts on the way for others.
type scope value.Path

// scopeOf reads the scope from Helm's name of a template: CHART/charts/SUB/templates/FILE.
func scopeOf(template string) scope {
	var s value.Path
	dirs, _, _ := strings.Cut(template, "/templates/")
	parts := strings.Split(dirs, "/")
	for i := 1; i+1 < len(parts); i += 2 {
		if parts[i] != "charts" {
			break
		}
		s = s.Key(parts[i+1])
	}
	return scope(s)
}

// within returns the path in the release's values of one that a chart sees. Globals are those of the release.
func (s scope) within(path value.Path) value.Path {
	if len(path) > 0 && path[0].Key == chartutil.GlobalKey {
		return path
	}
	return slices.Concat(value.Path(s), path)
}

// kindOf is the kind of a plain value. A number that is whole is an integer, though Helm has a float of it.
func kindOf(v any) value.Kind {
	switch v := v.(type) {
	case nil:
		return value.Null
	case bool:
		return value.Boolean
	case string:
		return value.String
	case []any:
		return value.List
	case map[string]any, chartutil.Values:
		return value.Map
	case float64:
		if v != float64(int64(v)) {
			return value.Number
		}
	}
	return value.Integer
}
