package openapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Place turns a place in an object's text, which has no file, into the one to show, and adds what else there is to see.
type Place func(at diag.Range) (diag.Range, []diag.Note)

// maxFindings bounds what is reported of one object; nobody reads more.
const maxFindings = 50

// Check returns what the API server would refuse in an object of a release, by the path of its fields, and warns of an
// object that it knows no schema of. No detail shows a value. Place is only asked where something is wrong. The error is
// the library's, or that the context ended; one object takes no longer than its patterns are allowed to (maxMatching).
func (c *Checker) Check(ctx context.Context, release string, o manifest.Object, place Place) (diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("checking %s: %w", o.ID, err)
	}
	found, err := c.faults(o)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var root *value.Node
	if len(found) > 1 || len(found[0].path) > 0 {
		root, _ = yaml.Read([]byte(o.Text), yaml.ReadOptions{})
	}
	secret := o.Group == "" && o.Kind == "Secret"
	out := make(diag.Diagnostics, len(found))
	for i, f := range found {
		d := diag.Diagnostic{Severity: diag.Error, Code: f.code, Secret: secret}
		if f.code == diag.ManifestNoSchema {
			d.Severity, d.Detail = diag.Warning, f.detail // it is about the kind
		} else {
			d.Detail = fmt.Sprintf("release %s: %s: %s", release, o.ID, f.detail)
		}
		d.Range, d.Notes = place(f.place(root))
		out[i] = d
	}
	return out.Sorted(), nil
}

// fault is one thing that is wrong with an object.
type fault struct {
	code diag.Code
	// path leads to the field, or to the map that lacks one.
	path   value.Path
	detail string
}

// place is where the fault's field stands in the text of the object: its key where it is a map or a list, or where the key
// is at fault. The nearest one that contains it stands for a field that is not found.
func (f fault) place(root *value.Node) diag.Range {
	at := diag.Range{Start: diag.Pos{Line: 1, Column: 1}}
	if root == nil {
		return at
	}
	n := root
	for i, step := range f.path {
		last := i == len(f.path)-1
		if step.InList {
			if n.Kind != value.List || step.Index >= len(n.Items) {
				return at
			}
			n = n.Items[step.Index]
			at = n.Origin.Range
			if n.Kind == value.Map && len(n.Fields) > 0 {
				at = n.Fields[0].KeyRange
			}
			continue
		}
		field, ok := n.Field(step.Key)
		if !ok {
			return at
		}
		n, at = field.Value, field.KeyRange
		if last && f.code != diag.ManifestUnknownField && n.IsLeaf() && n.Kind != value.List && n.Origin.Range.Start.Line > 0 {
			at = n.Origin.Range
		}
	}
	return at
}

// faults finds the kind of an object and checks it against its schema.
func (c *Checker) faults(o manifest.Object) ([]fault, error) {
	w := &walker{checker: c, work: &work{left: maxMatching}}
	if name, ok := c.book.kinds[kind(o.Group, o.Version, o.Kind)]; ok {
		w.builtIn(nil, c.book.definition(name), o.Data)
		return w.found, nil
	}
	d, ok := c.custom[o.Group+"/"+o.Kind]
	if !ok {
		return c.unknown(o)
	}
	if !slices.Contains(d.served, o.Version) {
		w.add(diag.ManifestUnknownKind, value.Path{{Key: "apiVersion"}}, "the definition of this kind does not serve the version %s. Write %s.",
			o.Version, apiVersions(o.Group, d.served))
		return w.found, nil
	}
	root, readable := d.schema(o.Version)
	if !readable {
		return []fault{{diag.ManifestNoSchema, value.Path{{Key: "apiVersion"}}, fmt.Sprintf("objects of kind %s in %s/%s are not checked: "+
			"the schema of their definition has a keyword that can't be read. Correct the CustomResourceDefinition.", o.Kind, o.Group, o.Version)}}, nil
	}
	if root != nil {
		w.customRoot(nil, root, o.Data)
	}
	if w.work.over {
		w.found = append(w.found, fault{diag.ManifestNoSchema, value.Path{{Key: "apiVersion"}}, fmt.Sprintf("objects of kind %s in %s/%s are not "+
			"checked wholly: the patterns of their definition cost too much. Simplify them.", o.Kind, o.Group, o.Version)})
	}
	return w.found, nil
}

// apiVersions lists what to write as apiVersion.
func apiVersions(group string, versions []string) string {
	out := make([]string, len(versions))
	for i, v := range versions {
		out[i] = strings.TrimPrefix(group+"/"+v, "/")
	}
	if len(out) == 0 {
		return "another kind"
	}
	return strings.Join(out, " or ")
}

// unknown says what is wrong with an object of a kind that neither the book nor the run's definitions have.
func (c *Checker) unknown(o manifest.Object) ([]fault, error) {
	api := strings.TrimPrefix(o.Group+"/"+o.Version, "/")
	at := value.Path{{Key: "apiVersion"}}
	group, versions := o.Group, c.book.versions(o.Group, o.Kind)
	if to, ok := moved[o.Kind]; ok && o.Group == "extensions" {
		group, versions = to, c.book.versions(to, o.Kind)
	}
	removed, was, err := c.library.removedIn(o.Group, o.Version, o.Kind)
	if err != nil {
		return nil, err
	}
	if was && c.asked >= removed {
		advice := "Nothing takes its place: remove the object."
		if len(versions) > 0 {
			advice = fmt.Sprintf("Write apiVersion: %s, and look at what changed between them.", apiVersions(group, versions[:1]))
		}
		return []fault{{diag.ManifestRemovedVersion, at, fmt.Sprintf(
			"Kubernetes %s has no %s of %s any more: %s was the last that had it. %s", inWords(c.asked), o.Kind, api, inWords(removed-1), advice)}}, nil
	}
	if was { // an old cluster has it, and its schema is not bundled
		return []fault{c.noSchema(o, api, "")}, nil
	}
	added, later, err := c.library.addedIn(o.Group, o.Version, o.Kind)
	if err != nil {
		return nil, err
	}
	switch {
	case later && c.asked < added:
		advice := "Render it for newer clusters only."
		if len(versions) > 0 {
			advice = fmt.Sprintf("Write apiVersion: %s.", apiVersions(group, versions[:1]))
		}
		return []fault{{diag.ManifestUnknownKind, at, fmt.Sprintf("Kubernetes %s has no %s of %s yet: %s is the first that has it. %s",
			inWords(c.asked), o.Kind, api, inWords(added), advice)}}, nil
	case len(versions) > 0:
		return []fault{{diag.ManifestUnknownKind, at, fmt.Sprintf("Kubernetes %s has no version %s of this kind. Write apiVersion: %s.",
			inWords(c.asked), api, apiVersions(group, versions))}}, nil
	}
	near := diag.Nearest(o.Kind, c.kindsOf(o.Group))
	if !c.book.groups()[o.Group] {
		return []fault{c.noSchema(o, api, near)}, nil
	}
	advice := "Correct kind or apiVersion."
	elsewhere := c.elsewhere(o.Kind)
	switch {
	case elsewhere != "":
		advice = fmt.Sprintf("It is in another group: write apiVersion: %s.", elsewhere)
	case near != "":
		advice = fmt.Sprintf("Did you mean %s?", near)
	}
	return []fault{{diag.ManifestUnknownKind, value.Path{{Key: "kind"}}, fmt.Sprintf("Kubernetes %s has no kind %s in %s. %s", inWords(c.asked),
		o.Kind, api, advice)}}, nil
}

// elsewhere returns the best apiVersion of a kind in any group, or "".
func (c *Checker) elsewhere(name string) string {
	var found []string
	for key := range c.book.kinds {
		if group, _, k := splitKind(key); k == name && !slices.Contains(found, group) {
			found = append(found, group)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		return ""
	}
	return apiVersions(found[0], c.book.versions(found[0], name)[:1])
}

// noSchema is the warning about a kind of which nothing is known. It names no object, so that it is the same for all of them.
func (c *Checker) noSchema(o manifest.Object, api, near string) fault {
	advice := "Let the chart that carries its CustomResourceDefinition be part of the runlevels."
	if near != "" {
		advice = fmt.Sprintf("Did you mean %s?", near)
	}
	return fault{diag.ManifestNoSchema, value.Path{{Key: "apiVersion"}}, fmt.Sprintf(
		"objects of kind %s in %s are not checked: Kubernetes has no such kind of its own, and this run brings no definition of it. %s",
		o.Kind, api, advice)}
}

// walker walks an object along its schema.
type walker struct {
	checker *Checker
	found   []fault
	// work is what the patterns may still cost, for the walkers of all alternatives together.
	work *work
}

// maxMatching bounds the matching of patterns with the strings of one object, in steps of an automaton: a second or so.
const maxMatching = 100_000_000

type work struct {
	left int
	// over says that some pattern was not matched.
	over bool
}

// matches reports whether a string matches the pattern of a schema, or that is not looked at.
func (w *walker) matches(s *schema, text string) bool {
	if s.heavy {
		w.work.over = true
	}
	if s.pattern == nil {
		return true
	}
	if w.work.left -= s.weight * (len(text) + 1); w.work.left < 0 {
		w.work.over = true
		return true
	}
	return s.pattern.MatchString(text)
}

func (w *walker) add(code diag.Code, path value.Path, format string, args ...any) {
	if len(w.found) < maxFindings {
		w.found = append(w.found, fault{code, slices.Clone(path), fmt.Sprintf(format, args...)})
	}
}

// field and item lead one step on. Unlike those of value.Path they reuse the memory of the path: a walker follows one at a
// time, and add keeps a copy.
func field(path value.Path, key string) value.Path { return append(path, value.Step{Key: key}) }

func item(path value.Path, i int) value.Path { return append(path, value.Step{Index: i, InList: true}) }

// shown names a field in a sentence.
func shown(path value.Path) string {
	if len(path) == 0 {
		return "the object"
	}
	return path.String()
}

// wrongType reports a value of another type than the schema wants.
func (w *walker) wrongType(path value.Path, v any, wanted string) {
	advice := "Correct the template, or the value that it prints."
	if wanted == "a string" {
		switch v.(type) {
		case float64, int, int64, uint64, bool:
			advice = "Quote it in the template: {{ … | quote }}."
		}
	}
	w.add(diag.ManifestWrongType, path, "%s is %s, and Kubernetes wants %s. %s", shown(path), typeOf(v), wanted, advice)
}

// typeOf says what a value is.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case float64, int, int64, uint64:
		return "a number" // what is written as 1.0 is no integer to a reader
	case []any:
		return "a list"
	default:
		return "a map"
	}
}

// unknownField reports a field that the schema of a map does not name.
func (w *walker) unknownField(path value.Path, name string, known []string) {
	advice := "Remove it, or correct its indentation."
	if near := diag.Nearest(name, known); near != "" {
		advice = fmt.Sprintf("Did you mean %q?", near)
	} else if len(known) > 0 && len(known) <= 12 {
		slices.Sort(known)
		advice = fmt.Sprintf("Known are %s. Remove it, or correct its indentation.", strings.Join(known, ", "))
	}
	where := ""
	if len(path) > 0 {
		where = " in " + path.String()
	}
	w.add(diag.ManifestUnknownField, path.Key(name), "there is no field %q%s. %s", name, where, advice)
}

func (w *walker) missing(path value.Path, name string) {
	w.add(diag.ManifestMissingField, path, "%s has no %q, which is required. Add it.", shown(path), name)
}
