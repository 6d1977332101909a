// Package schema checks a tree of values against the stack's JSON schema, fills in its defaults and marks its secrets.
//
// The library (santhosh-tekuri/jsonschema/v5) says what does not validate; this package says it to a person, at the line
// to change. It reads the schema a second time for what the library drops: places, defaults, and the keywords x-secret,
// x-merge and x-deprecated, which also count beside a $ref. It reads nothing but the stack; no network, ever.
package schema

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/merge"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Layer is the origin's layer of values that come from the schema's defaults.
const Layer = "schema"

// Schema is a compiled schema. It does not change and may be used by several goroutines.
type Schema struct {
	compiled *jsonschema.Schema
	root     *shape
	files    map[string]*file
	// order is the files in the order in which they were read, the root's first.
	order   []*file
	sources diag.Sources
	draft07 bool
	// dear says that how much work the values make must be counted before it is done.
	dear   bool
	shapes map[*value.Node]*shape
	// deprecates says that some shape is deprecated.
	deprecates bool
	// quiet says that no detail shows a value: which of a chart's are secret, nobody says.
	quiet bool
	// documents are those of a chart's schema, by the addresses that the library knows them by.
	documents map[string]*value.Node
}

// file is one file of the schema.
type file struct {
	path    string
	root    *value.Node
	id      string
	anchors map[string]*value.Node
}

// document returns the root of the document that the library knows by an address, or nil for one that is not ours.
func (s *Schema) document(address string) *value.Node {
	if s.documents != nil {
		return s.documents[address]
	}
	if f := s.files[strings.TrimPrefix(address, scheme)]; f != nil {
		return f.root
	}
	return nil
}

// shape is one subschema as it applies to a value: what the library does not tell about it.
type shape struct {
	file *file
	node *value.Node

	refs []*shape // $ref, $dynamicRef
	all  []*shape // allOf
	some []*shape // subschemas that apply under a condition: anyOf, oneOf, then, else, dependentSchemas

	props      []property
	byName     map[string]*shape
	patterns   []patternShape
	additional *shape
	items      *shape
	prefix     []*shape

	// tried are not and if: subschemas that are tried on the same value and never apply to it.
	tried []*shape
	// loose are the subschemas of values below that other keywords decide about.
	loose struct{ items, values []*shape }
	// held are all subschemas that are tried on this value or on those below it, references excepted.
	held []*shape

	secret     bool
	deprecated string
	fallback   *value.Field // the keyword default
	merge      merge.Strategy

	// sure are the shapes that apply wherever this one does, itself first; possible has also those that may.
	sure, possible []*shape
}

type property struct {
	name  string
	shape *shape
}

type patternShape struct {
	re    *regexp.Regexp
	shape *shape
}

// Compile reads the schema at path, in YAML or JSON, and the files of the stack that it refers to. It understands the
// drafts 07 and 2020-12 (the latter where none is named), asserts formats in both, and finds every fault of the schema
// that it can. With one, only the Sources of the schema may be used. It has no warnings: they are for the schema's author, and
// Check gives them.
func Compile(stack source.Tree, path string) (*Schema, diag.Diagnostics, error) {
	r := newReader(stack)
	if err := r.read(path); err != nil {
		return nil, nil, err
	}
	if !r.diags.HasErrors() {
		r.close()
	}
	if !r.diags.HasErrors() {
		if err := r.compile(); err != nil {
			return nil, nil, err
		}
	}
	return r.schema, faults(r.diags), nil
}

// faults returns the errors of ds.
func faults(ds diag.Diagnostics) diag.Diagnostics {
	return slices.DeleteFunc(slices.Clone(ds), func(d diag.Diagnostic) bool { return d.Severity != diag.Error })
}

// Sources returns the texts of the schema's files, by the names that ranges use.
func (s *Schema) Sources() diag.Sources { return maps.Clone(s.sources) }

// Lists returns the strategy that the schema gives the list at a path (x-merge), for merge.Options.
func (s *Schema) Lists(path value.Path) merge.Strategy {
	for _, sh := range s.at(path) {
		if sh.merge != (merge.Strategy{}) {
			return sh.merge
		}
	}
	return merge.Strategy{}
}

// at returns all shapes that may apply at a path.
func (s *Schema) at(path value.Path) []*shape {
	shapes := s.root.possible
	for _, step := range path {
		shapes = possible(child(shapes, step))
	}
	return shapes
}

// child returns the shapes that apply at one step below a value that shapes apply to.
func child(shapes []*shape, step value.Step) []*shape {
	var out []*shape
	for _, sh := range shapes {
		switch {
		case step.InList && step.Index < 0: // a path of the user's; there is no such item
		case step.InList && step.Index < len(sh.prefix):
			out = append(out, sh.prefix[step.Index])
		case step.InList:
			if sh.items != nil {
				out = append(out, sh.items)
			}
		default:
			out = append(out, sh.named(step.Key)...)
		}
	}
	return out
}

// named returns the shapes that a map's shape gives the value under key.
func (sh *shape) named(key string) []*shape {
	var out []*shape
	if p := sh.byName[key]; p != nil {
		out = append(out, p)
	}
	for _, p := range sh.patterns {
		if p.re.MatchString(key) {
			out = append(out, p.shape)
		}
	}
	if len(out) == 0 && sh.additional != nil {
		out = append(out, sh.additional)
	}
	return out
}

// names reports whether a closed map's shape knows key.
func (sh *shape) names(key string) bool {
	return sh.byName[key] != nil || slices.ContainsFunc(sh.patterns, func(p patternShape) bool { return p.re.MatchString(key) })
}

// sure returns the shapes that apply wherever all of shapes do.
func sure(shapes []*shape) []*shape {
	return spread(shapes, func(sh *shape) []*shape { return sh.sure })
}

// possible returns the shapes that may apply where all of shapes do.
func possible(shapes []*shape) []*shape {
	return spread(shapes, func(sh *shape) []*shape { return sh.possible })
}

func spread(shapes []*shape, more func(*shape) []*shape) []*shape {
	if len(shapes) == 1 {
		return more(shapes[0])
	}
	var out []*shape
	for _, sh := range shapes {
		for _, m := range more(sh) {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// refuse is the only loader that the library gets: every file was read before.
func refuse(url string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("%s is not in the stack", url)
}
