package layer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// File makes a layer of a file that the command line names (--state-values-file), by the strict reading of layers. name is
// the file as the user wrote it: it is the layer's name and stands in every range.
func File(name string, text []byte) (Layer, diag.Diagnostics) {
	layer := name
	if slices.Contains([]string{Defaults, Registry, Derived, "schema"}, name) {
		layer = "./" + name // the bare word names another layer
	}
	root, diags := understand(text, name, layer, "or leave it out")
	return Layer{Name: layer, Secret: IsSecret(name), Scope: Everywhere, Root: root}, diags
}

// Assignments makes a layer of what --state-values-set or --state-values-set-string (flag says which) was given, each
// text a list of PATH=VALUE with commas between. Later ones beat earlier ones. The grammar is helmfile's (pkg/maputil,
// cmd/helmfile): a comma always separates, the first = ends the path; a path has dots between keys, \. for a dot in one,
// and [0] into a list whose gaps become null. With --state-values-set true, false and null (in any case) and whole numbers
// without a leading zero are what they look like; everything else, and all of --state-values-set-string, is a string. There
// quotes around a value keep the commas in it, and stay; an assignment without a value is left out, which is a warning, and
// one with a blank in its path, which helmfile leaves out too, is an error.
func Assignments(flag string, texts []string) (Layer, diag.Diagnostics) {
	l := Layer{Name: flag, Flag: true, Scope: Everywhere, Root: value.NewMap(value.Origin{Layer: flag})}
	var diags diag.Diagnostics
	for _, text := range texts {
		for _, assignment := range split(flag, text) {
			key, written, _ := strings.Cut(assignment, "=")
			if flag == SetString && written == "" && strings.HasSuffix(assignment, "=") {
				d := problem(diag.ValuesFlag, diag.Range{}, "%s %q has no value and is left out, as in helmfile; %s %s= sets an empty string.", flag, key, Set, key)
				d.Severity = diag.Warning
				diags = append(diags, d)
				continue
			}
			if err := assign(l.Root, flag, assignment); err != nil {
				diags = append(diags, problem(diag.ValuesFlag, diag.Range{}, "%s %q: %s.", flag, key, err))
			}
		}
	}
	return l, diags
}

// split are the assignments of a text.
func split(flag, text string) []string {
	if flag != SetString {
		return strings.Split(text, ",")
	}
	var out []string
	for {
		end := strings.IndexByte(text, ',')
		if i := strings.IndexByte(text, '='); i >= 0 && (end < 0 || i < end) && i+1 < len(text) && strings.ContainsRune(`'"`, rune(text[i+1])) {
			if closing := strings.IndexAny(text[i+2:], `'"`); closing >= 0 {
				rest := i + 2 + closing + 1
				if end = strings.IndexByte(text[rest:], ','); end >= 0 {
					end += rest
				}
			}
		}
		if end < 0 {
			return append(out, text)
		}
		out = append(out, text[:end])
		text = text[end+1:]
	}
}

// assign carries out one PATH=VALUE. No error shows the value: it may be a secret.
func assign(root *value.Node, flag, text string) error {
	key, written, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("there is no value; write PATH=VALUE. A comma separates assignments, so a value that has one belongs in a --state-values-file")
	}
	path, err := value.ParsePath(key)
	switch {
	case flag == SetString && strings.ContainsAny(key, " \t\r\n"):
		return errors.New("a path has no blanks; leave them out")
	case err != nil:
		return err
	case len(path) == 0 || path[0].InList:
		return errors.New("the path begins with a key; write PATH=VALUE")
	}
	origin := root.Origin
	var scalar any = written
	if flag == Set {
		scalar = typed(written)
	}
	return put(root, path, value.NewScalar(origin, scalar))
}

// typed is what helmfile makes of the text of a value.
func typed(text string) any {
	switch {
	case strings.EqualFold(text, "true"):
		return true
	case strings.EqualFold(text, "false"):
		return false
	case strings.EqualFold(text, "null"):
		return nil
	case text == "0":
		return int64(0)
	case text == "" || text[0] == '0':
		return text
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	return text
}

// put sets the value at a path of a tree that is still being made, and makes the maps and lists on the way. What stood
// there is beaten.
func put(n *value.Node, path value.Path, leaf *value.Node) error {
	for i, step := range path {
		want := value.Map
		if step.InList {
			want = value.List
		}
		switch n.Kind {
		case value.Null:
			*n = value.Node{Kind: want, Origin: leaf.Origin}
		case want:
		default:
			return fmt.Errorf("an earlier assignment makes %s %s, and here it would be %s; set it one way", path[:i], n.Kind.WithArticle(), want.WithArticle())
		}
		n = slot(n, step, leaf.Origin)
	}
	if n.Kind != value.Null {
		before := *n
		before.Overrides = nil
		leaf.Overrides = append([]*value.Node{&before}, n.Overrides...)
	}
	*n = *leaf
	return nil
}

// slot returns the node one step below n, and makes it, and what a list lacks before it, null.
func slot(n *value.Node, step value.Step, origin value.Origin) *value.Node {
	if step.InList {
		for len(n.Items) <= step.Index {
			n.Items = append(n.Items, value.NewScalar(origin, nil))
		}
		return n.Items[step.Index]
	}
	if n.Get(step.Key) == nil {
		n.Fields = append(n.Fields, value.Field{Key: step.Key, Value: value.NewScalar(origin, nil)})
	}
	return n.Get(step.Key)
}
