package schema

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Docs returns the reference of the values in markdown: a section for each map with a table of its keys, then each
// definition that something refers to, once. The same schema gives the same text, and a section keeps its anchor as long as
// its path or its definition keeps its name.
func (s *Schema) Docs() []byte {
	d := &docs{
		schema: s, definitions: map[*shape]string{}, anchors: map[*shape]string{}, taken: map[string]bool{},
		paths: map[*value.Node]value.Path{},
	}
	for _, f := range s.order {
		f.root.Walk(func(p value.Path, n *value.Node) bool {
			d.paths[n] = p
			return true
		})
	}
	title := cmp.Or(s.root.node.Get("title").Text(), "Values")
	fmt.Fprintf(&d.out, "# %s\n\n", line(title))
	d.out.WriteString("<!-- Written by `otomi schema docs` from the schema: change it there. -->\n")
	d.name(s.root)
	d.section(place{shape: s.root, heading: "##", title: "The values", anchor: "values"})
	names := make([]*shape, 0, len(d.definitions))
	for sh := range d.definitions {
		names = append(names, sh)
	}
	slices.SortFunc(names, func(a, b *shape) int {
		return cmp.Or(cmp.Compare(strings.ToLower(d.definitions[a]), strings.ToLower(d.definitions[b])), cmp.Compare(d.anchors[a], d.anchors[b]))
	})
	if len(names) > 0 {
		d.out.WriteString("\n## Definitions\n")
	}
	for _, sh := range names {
		name := d.definitions[sh]
		d.section(place{shape: sh, heading: "###", title: name, path: name, anchor: d.anchors[sh], definition: true})
	}
	return d.out.Bytes()
}

// docs writes the reference.
type docs struct {
	schema *Schema
	out    bytes.Buffer
	// definitions are the targets of references, with their names.
	definitions map[*shape]string
	// anchors are those of all shapes that have a section.
	anchors map[*shape]string
	taken   map[string]bool
	// paths are the places of all nodes in their files.
	paths map[*value.Node]value.Path
}

// place is one section: a map, or a definition of any type.
type place struct {
	shape          *shape
	heading, title string
	path, anchor   string
	definition     bool
}

// name gives the targets of references that can be reached from sh their names and anchors.
func (d *docs) name(root *shape) {
	d.anchors[root] = "values"
	d.taken["values"] = true
	seen := map[*shape]bool{}
	queue := []*shape{root}
	for len(queue) > 0 {
		sh := queue[0]
		queue = queue[1:]
		if seen[sh] {
			continue
		}
		seen[sh] = true
		for _, target := range sh.refs {
			if d.anchors[target] == "" {
				d.definitions[target] = d.label(target)
				d.anchors[target] = d.anchor("definition " + d.definitions[target])
			}
		}
		queue = append(append(queue, sh.refs...), sh.held...)
	}
}

// label is the name of a definition: the last step of its path, the path where it is no definition by its place, or the
// file that it is.
func (d *docs) label(sh *shape) string {
	p := d.paths[sh.node]
	switch {
	case len(p) == 0:
		return strings.TrimSuffix(path.Base(sh.file.path), path.Ext(sh.file.path))
	case len(p) > 1 && (p[len(p)-2].Key == "definitions" || p[len(p)-2].Key == "$defs"):
		return p[len(p)-1].Key
	}
	return p.String()
}

// anchor makes a name for links of a text, one that no other section has.
func (d *docs) anchor(text string) string {
	slug := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, text), "-")
	for strings.Contains(slug, "--") {
		slug = strings.ReplaceAll(slug, "--", "-")
	}
	for n, name := 2, slug; ; n++ {
		if !d.taken[name] {
			d.taken[name] = true
			return name
		}
		name = fmt.Sprintf("%s-%d", slug, n)
	}
}

// section writes what there is to say about one place, then the sections of the maps below it.
func (d *docs) section(at place) {
	sh := at.shape
	fmt.Fprintf(&d.out, "\n<a id=\"%s\"></a>\n\n%s %s\n", at.anchor, at.heading, code(at.title, at.path != ""))
	if text := sh.node.Get("description").Text(); text != "" {
		fmt.Fprintf(&d.out, "\n%s\n", paragraph(text))
	}
	if deprecated := sh.deprecated; deprecated != "" {
		fmt.Fprintf(&d.out, "\n**Deprecated**: %s\n", line(deprecated))
	}
	var below []place
	if !d.table(at, &below) {
		d.facts(at, &below)
	}
	d.alternatives(at, &below)
	for _, b := range below {
		d.section(b)
	}
}

// facts writes what there is to say about a definition that has no keys.
func (d *docs) facts(at place, below *[]place) {
	sh := at.shape
	if !at.definition {
		return
	}
	facts := []string{"Type: " + d.own(sh, below, at.path)}
	facts = append(facts, d.constraints(sh)...)
	if sh.secret {
		facts = append(facts, "secret")
	}
	if text := d.fallback(sh); text != "" {
		facts = append(facts, "default "+text)
	}
	fmt.Fprintf(&d.out, "\n%s.\n", strings.Join(facts, "; "))
	if e := d.examples(sh); e != "" {
		fmt.Fprintf(&d.out, "\n%s\n", e)
	}
}

// table writes the keys of a map, adds to below the sections that it refers to and that are no definitions, and reports
// whether there are keys.
func (d *docs) table(at place, below *[]place) bool {
	sh := at.shape
	var rows []string
	required := textsOf(sh.node.Get("required"))
	for _, p := range sh.props {
		rows = append(rows, d.row(at, code(p.name, true), value.Path{}.Key(p.name).String(), p.shape, slices.Contains(required, p.name), below))
	}
	for _, p := range sh.patterns {
		rows = append(rows, d.row(at, "a name like "+code(p.re.String(), true), "NAME", p.shape, false, below))
	}
	if sh.additional != nil {
		name := "any name"
		if len(rows) > 0 {
			name = "any other name"
		}
		rows = append(rows, d.row(at, name, "NAME", sh.additional, false, below))
	}
	if len(rows) == 0 {
		return false
	}
	d.out.WriteString("\n| Key | Type | Default | Description |\n| --- | --- | --- | --- |\n")
	for _, r := range rows {
		d.out.WriteString(r)
	}
	if closed := sh.node.Get("additionalProperties"); closed == nil || closed.Scalar == true {
		d.out.WriteString("\nOther keys are allowed.\n")
	}
	if rules := d.constraints(sh); len(rules) > 0 {
		fmt.Fprintf(&d.out, "\nThe map as a whole: %s.\n", strings.Join(rules, "; "))
	}
	return true
}

// alternatives writes the schemas that a map must fit besides its own keys.
func (d *docs) alternatives(at place, below *[]place) {
	for _, list := range []struct{ keyword, words string }{
		{"allOf", "All of these apply"}, {"anyOf", "At least one of these applies"}, {"oneOf", "Exactly one of these applies"},
	} {
		n := at.shape.node.Get(list.keyword)
		if n == nil {
			continue
		}
		var entries []string
		for i, item := range n.Items {
			sub := d.schema.shapes[item]
			if sub == nil {
				continue
			}
			title := cmp.Or(line(item.Get("title").Text()), line(item.Get("description").Text()))
			text := d.inner(sub, below, fmt.Sprintf("%s (%s %d)", at.path, list.keyword, i+1))
			parts := append([]string{text}, d.constraints(sub)...)
			if need := textsOf(item.Get("required")); len(need) > 0 && len(sub.props) == 0 {
				parts = append(parts, "needs "+asCode(need))
			}
			if title != "" {
				parts[0] = title + ": " + parts[0]
			}
			entries = append(entries, "- "+strings.Join(parts, "; "))
		}
		fmt.Fprintf(&d.out, "\n%s:\n\n%s\n", list.words, strings.Join(entries, "\n"))
	}
}

// row is the line of the table for one key.
func (d *docs) row(at place, key, step string, sh *shape, required bool, below *[]place) string {
	name := strings.TrimPrefix(at.path+"."+step, ".")
	marks := []string{}
	if required {
		marks = append(marks, "required")
	}
	if slices.ContainsFunc(sh.sure, (*shape).isSecret) {
		marks = append(marks, "secret")
	}
	deprecated := ""
	for _, s := range sh.sure {
		deprecated = cmp.Or(deprecated, s.deprecated)
	}
	var about []string
	if deprecated != "" {
		marks = append(marks, "deprecated")
		about = append(about, "**Deprecated**: "+line(deprecated))
	}
	if len(marks) > 0 {
		key += "<br>*" + strings.Join(marks, ", ") + "*"
	}
	for _, s := range sh.sure {
		if text := s.node.Get("description").Text(); text != "" {
			about = append(about, line(text))
			break
		}
	}
	// A map with a section of its own has its rules there.
	if rules := d.constraints(sh); len(rules) > 0 && len(sh.props) == 0 {
		about = append(about, upper(strings.Join(rules, "; "))+".")
	}
	if e := d.examples(sh); e != "" {
		about = append(about, e)
	}
	cells := []string{key, d.inner(sh, below, name), d.fallback(sh), strings.Join(about, " ")}
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// inner names the type of a shape for a table: a link where it has a section of its own.
func (d *docs) inner(sh *shape, below *[]place, name string) string {
	if title, ok := d.definitions[sh]; ok {
		return link(title, d.anchors[sh])
	}
	if len(sh.refs) > 0 {
		if anchor := d.anchors[sh.refs[0]]; d.definitions[sh.refs[0]] == "" && anchor != "" {
			return link("the values", anchor)
		}
		return d.inner(sh.refs[0], below, name)
	}
	return d.own(sh, below, name)
}

// own names the type of a shape that is no definition, or of a definition in its own section.
func (d *docs) own(sh *shape, below *[]place, name string) string {
	if d.definitions[sh] == "" && (len(sh.props) > 0 || len(sh.all)+len(sh.some) > 0 && isMap(sh)) {
		if d.anchors[sh] == "" {
			d.anchors[sh] = d.anchor("key " + name)
			*below = append(*below, place{shape: sh, heading: "###", title: name, path: name, anchor: d.anchors[sh]})
		}
		return link("map", d.anchors[sh])
	}
	var words []string
	add := func(w string) {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	for _, w := range sh.bareWords() {
		switch {
		case w == "list" && sh.items != nil:
			add("list of " + plural(d.inner(sh.items, below, name+"[]")))
		case w == "list" && len(sh.prefix) > 0:
			var items []string
			for i, p := range sh.prefix {
				items = append(items, d.inner(p, below, fmt.Sprintf("%s[%d]", name, i)))
			}
			add("list: " + strings.Join(items, ", "))
		case w == "map" && len(sh.props) == 0 && sh.additional != nil:
			add("map of " + plural(d.inner(sh.additional, below, name+".NAME")))
		case w == "map" && len(sh.props) == 0 && len(sh.patterns) > 0:
			add("map of " + plural(d.inner(sh.patterns[0].shape, below, name+".NAME")))
		default:
			add(w)
		}
	}
	if len(words) == 0 {
		for i, alternative := range slices.Concat(sh.all, sh.some) {
			if t := d.inner(alternative, below, fmt.Sprintf("%s (%d)", name, i+1)); t != anyType {
				add(t)
			}
		}
	}
	if len(words) == 0 {
		return anyType
	}
	return strings.Join(words, " or ")
}

// isMap reports whether a shape is for maps only.
func isMap(sh *shape) bool {
	return slices.ContainsFunc(sh.possible, func(s *shape) bool {
		return len(s.props) > 0 || slices.Equal(textsOf(s.node.Get("type")), []string{"object"})
	})
}

// fallback writes the default that Fill would write.
func (d *docs) fallback(sh *shape) string {
	for _, s := range sh.sure {
		if s.fallback == nil {
			continue
		}
		if slices.ContainsFunc(sh.sure, (*shape).isSecret) {
			return masked
		}
		return literal(s.fallback.Value)
	}
	return ""
}

func (d *docs) examples(sh *shape) string {
	for _, s := range sh.sure {
		e := s.node.Get("examples")
		if e == nil || len(e.Items) == 0 || slices.ContainsFunc(sh.sure, (*shape).isSecret) {
			continue
		}
		texts := make([]string, len(e.Items))
		for i, n := range e.Items {
			texts[i] = literal(n)
		}
		if len(texts) == 1 {
			return "Example: " + texts[0] + "."
		}
		return "Examples: " + strings.Join(texts, ", ") + "."
	}
	return ""
}

// constraints says what a value must satisfy besides its type; what a linked definition asks stands there.
func (d *docs) constraints(sh *shape) []string {
	n := sh.node
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if e := n.Get("enum"); e != nil {
		texts := make([]string, len(e.Items))
		for i, item := range e.Items {
			texts[i] = literal(item)
		}
		add("one of %s", strings.Join(texts, ", "))
	}
	if c := n.Get("const"); c != nil {
		add("always %s", literal(c))
	}
	if p := n.Get("pattern").Text(); p != "" {
		add("matches %s", code(p, true))
	}
	if f := n.Get("format").Text(); f != "" {
		add("format %s", f)
	}
	for _, keyword := range []string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"} {
		if v := n.Get(keyword); v != nil {
			add("%s %s", comparisons[keyword], plainText(v))
		}
	}
	units := map[string]string{"Length": "character", "Items": "item", "Properties": "key"}
	for _, unit := range []string{"Length", "Items", "Properties"} {
		for _, side := range []string{"min", "max"} {
			v := n.Get(side + unit)
			if v == nil {
				continue
			}
			limit, _ := numeral(v)
			add("%s %s", comparisons[side+unit], count(int(limit), units[unit]))
		}
	}
	if u := n.Get("uniqueItems"); u != nil && u.Scalar == true {
		add("no item twice")
	}
	if names := n.Get("propertyNames"); names != nil {
		switch target := d.schema.shapes[names].refs; {
		case len(target) > 0:
			add("each name is a %s", link(d.definitions[target[0]], d.anchors[target[0]]))
		case names.Get("description").Text() != "":
			out = append(out, strings.TrimSuffix(line(names.Get("description").Text()), "."))
		case names.Get("pattern").Text() != "":
			add("names match %s", code(names.Get("pattern").Text(), true))
		}
	}
	switch m := sh.merge; {
	case m.Append:
		add("the lists of all layers are joined")
	case m.Unique:
		add("the lists of all layers are joined, equal items once")
	case m.Key != "":
		add("the lists of all layers are joined, items with the same %s merged", code(m.Key, true))
	}
	return out
}

// plural writes a type's word for several; a link and what has several words stay.
func plural(word string) string {
	if word == anyType {
		return "anything"
	}
	if strings.ContainsAny(word, "[ ") {
		return word
	}
	return word + "s"
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func link(text, anchor string) string { return "[" + text + "](#" + anchor + ")" }

// code marks a text as one to be typed, if it is.
func code(text string, typed bool) string {
	if !typed {
		return text
	}
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

func asCode(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = code(t, true)
	}
	return strings.Join(out, ", ")
}

// literal writes a value as it could be written in a layer, on one line.
func literal(n *value.Node) string {
	const long = 80
	text, err := json.Marshal(n.Plain())
	if err != nil {
		panic("schema: a value tree is no JSON: " + err.Error()) // it holds what JSON knows, and no infinity
	}
	out := string(text)
	if s := n.Text(); s != "" && !strings.ContainsAny(s, "\n`") {
		// Without quotes where it means the same without them.
		if again, diags := yaml.Read([]byte(s), yaml.ReadOptions{}); len(diags) == 0 && again.Kind == value.String && again.Text() == s {
			out = s
		}
	}
	if utf8.RuneCountInString(out) > long {
		out = string([]rune(out)[:long]) + "…"
	}
	return code(out, true)
}

// line writes a description on one line, as text that holds no markup of HTML.
func line(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "<", "&lt;")
}

// paragraph keeps the lines of a description.
func paragraph(s string) string {
	return strings.ReplaceAll(strings.TrimSpace(s), "<", "&lt;")
}
