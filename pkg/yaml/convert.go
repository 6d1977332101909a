package yaml

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"go.yaml.in/yaml/v3"
)

// document makes the tree of the first document and refuses others.
func (r *reader) document(docs []*yaml.Node) *value.Node {
	empty := value.NewMap(value.Origin{Layer: r.o.Layer, Range: r.line1()})
	for i, doc := range docs[min(1, len(docs)):] {
		if r.blank(doc) && i+2 == len(docs) {
			continue
		}
		at := r.wholeLine(doc.Line)
		if len(doc.Content) > 0 {
			at = r.wholeLine(doc.Content[0].Line)
		}
		r.fail(diag.YAMLSeveralDocuments, at,
			"this is document %d of the file, and only one is read. Put it into a file of its own, or remove the line ---.", i+2)
		break
	}
	if len(docs) == 0 || r.blank(docs[0]) {
		return empty
	}
	r.count()
	top := docs[0].Content[0]
	root, tok := r.node(top, 1, diag.Range{})
	switch {
	case r.stopped || !r.o.Map || root.Kind == value.Map:
		return root
	case root.Kind == value.Null:
		return empty
	}
	r.fail(diag.ValuesRootNotMap, tok.place,
		"the file holds %s, and values are a map. Write it as \"key: value\" lines.", root.Kind.WithArticle())
	return empty
}

// blank reports whether a document has no content at all, not even a written null.
func (r *reader) blank(doc *yaml.Node) bool {
	if len(doc.Content) == 0 {
		return true
	}
	n := doc.Content[0]
	if n.Kind != yaml.ScalarNode || n.Value != "" || n.Style != 0 || n.Anchor != "" {
		return false
	}
	at := r.offset(n.Line, n.Column)
	return at >= len(r.text) || r.text[at] != '!'
}

// The ratio by which Helm's YAML library tells an alias bomb from a large text (go.yaml.in/yaml/v2, decode.go): up to
// this many values 99 % of them may come from aliases, falling to 10 % at ten times as many.
const (
	aliasRatioLow  = 400_000
	aliasRatioHigh = 4_000_000
)

// count spends one value of the budget and reports whether there was one.
func (r *reader) count() bool {
	r.counted++
	if r.aliasDepth > 0 {
		r.aliased++
	}
	if r.counted > MaxNodes {
		r.stop(r.line1(), "the file has more than %d values, aliases expanded. Split it.", MaxNodes)
		return false
	}
	if r.aliased > 100 && r.counted > 1000 {
		allowed := 0.99
		if r.counted > aliasRatioLow {
			allowed = max(0.10, 0.99-0.89*float64(r.counted-aliasRatioLow)/float64(aliasRatioHigh-aliasRatioLow))
		}
		if float64(r.aliased)/float64(r.counted) > allowed {
			r.stop(r.line1(), "the aliases of the file expand to more than %d values. Use fewer aliases, or write the values out.",
				r.aliased)
			return false
		}
	}
	return !r.stopped
}

// node makes the tree of n. empty is the place of a value that is not written.
func (r *reader) node(n *yaml.Node, depth int, empty diag.Range) (*value.Node, token) {
	tok := r.token(n, empty)
	origin := value.Origin{Layer: r.o.Layer, Range: tok.place}
	if !r.count() {
		return value.NewScalar(origin, nil), tok
	}
	if depth > MaxDepth && n.Kind != yaml.ScalarNode {
		r.stop(tok.place, "here are more than %d maps and lists in each other. Make the values flatter.", MaxDepth)
		return value.NewScalar(origin, nil), tok
	}
	if tok.forced && !r.state {
		r.fail(diag.YAMLUnknownTag, tok.place, "the tag ! is not understood. Remove it; quote the value to make it a string.")
	}
	if n.Anchor != "" {
		if r.open == nil {
			r.open = map[*yaml.Node]bool{}
		}
		r.open[n] = true
		defer delete(r.open, n)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.alias(n, depth, tok), tok
	case yaml.MappingNode:
		r.checkTag(n, tok, "!!map")
		m := value.NewMap(origin)
		end := max(tok.end, r.mapping(m, n, depth))
		return m, r.closed(n, m, tok, end, '}')
	case yaml.SequenceNode:
		r.checkTag(n, tok, "!!seq")
		l := &value.Node{Kind: value.List, Origin: origin, Items: make([]*value.Node, 0, len(n.Content))}
		end := tok.end
		for _, item := range n.Content {
			v, t := r.node(item, depth+1, diag.Range{})
			l.Items = append(l.Items, v)
			end = max(end, t.end)
		}
		return l, r.closed(n, l, tok, end, ']')
	default:
		out := value.NewScalar(origin, r.scalar(n, tok))
		out.Exact = r.exact(n)
		return out, tok
	}
}

// checkTag refuses a map or list under another tag, whose meaning Helm's library would drop.
func (r *reader) checkTag(n *yaml.Node, tok token, want string) {
	if r.state || n.Style&yaml.TaggedStyle == 0 || n.Tag == want {
		return
	}
	r.fail(diag.YAMLUnknownTag, tok.place, "the tag %s is not understood here. Remove it.", n.Tag)
}

// closed moves the end of a flow collection behind its bracket, which stands after its last element.
func (r *reader) closed(n *yaml.Node, v *value.Node, tok token, end int, bracket byte) token {
	if n.Style&yaml.FlowStyle == 0 {
		return tok
	}
	for i := r.skipBlanks(end); i < len(r.text); i = r.skipBlanks(i + 1) {
		if r.text[i] == bracket {
			tok.end = i + 1
			tok.place.End = r.pos(i + 1)
			v.Origin.Range.End = tok.place.End
			break
		}
		if r.text[i] != ',' && r.text[i] != ':' {
			break
		}
	}
	return tok
}

// alias makes the tree that n stands for, at the place of n.
func (r *reader) alias(n *yaml.Node, depth int, tok token) *value.Node {
	if r.open[n.Alias] {
		r.fail(diag.YAMLBadAlias, tok.place, "the anchor %q contains itself. Write the value out.", n.Value)
		return value.NewScalar(value.Origin{Layer: r.o.Layer, Range: tok.place}, nil)
	}
	r.aliasDepth++
	target, _ := r.node(n.Alias, depth, tok.place)
	r.aliasDepth--
	target.Origin.Range = tok.place
	return target
}

// mapping fills m with the entries of n and returns the offset after the last of them.
func (r *reader) mapping(m *value.Node, n *yaml.Node, depth int) int {
	e := entries{m: m, written: make([]bool, 0, len(n.Content)/2)}
	m.Fields = make([]value.Field, 0, len(n.Content)/2)
	return r.entries(&e, n, depth)
}

// entries are the fields of a map as they come: which of them the map itself wrote, and, for a large map, where each is.
type entries struct {
	m       *value.Node
	written []bool
	index   map[string]int
}

// find returns the position of key, or -1.
func (e *entries) find(key string) int {
	if e.index != nil {
		if i, ok := e.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range e.m.Fields {
		if e.m.Fields[i].Key == key {
			return i
		}
	}
	return -1
}

func (e *entries) add(f value.Field, written bool) {
	e.m.Fields = append(e.m.Fields, f)
	e.written = append(e.written, written)
	switch {
	case e.index != nil:
		e.index[f.Key] = len(e.m.Fields) - 1
	case len(e.m.Fields) == 16:
		e.index = make(map[string]int, 32)
		for i, f := range e.m.Fields {
			e.index[f.Key] = i
		}
	}
}

func (r *reader) entries(e *entries, n *yaml.Node, depth int) int {
	end := 0
	for i := 0; i+1 < len(n.Content) && !r.stopped; i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			_, t := r.merge(e, k, v, depth)
			end = max(end, t.end)
			continue
		}
		key, keyTok, ok := r.key(k, depth)
		item, t := r.node(v, depth+1, keyTok.place)
		end = max(end, keyTok.end, t.end)
		if !ok {
			continue
		}
		f := value.Field{Key: key, KeyRange: keyTok.place, Value: item}
		at := e.find(key)
		switch {
		case at < 0:
			e.add(f, true)
		case e.written[at]:
			r.report(diag.Error, diag.YAMLDuplicateKey, keyTok.place,
				fmt.Sprintf("the key %q stands twice in this map. Keep one of them.", key),
				diag.Note{Message: "it stands here first", Range: e.m.Fields[at].KeyRange})
			e.m.Fields[at] = f
		default:
			e.m.Fields[at], e.written[at] = f, true
		}
	}
	return end
}

// isMerge reports whether a key is the merge key and not the string.
func isMerge(k *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style&quoted == 0 && k.Tag == "!!merge"
}

// key reads a key, which must be a string.
func (r *reader) key(k *yaml.Node, depth int) (string, token, bool) {
	tok := r.token(k, diag.Range{})
	n, key := k, tok
	if k.Kind == yaml.AliasNode {
		r.count()
		r.aliased++
		n = k.Alias
	}
	if r.state && n.Kind == yaml.ScalarNode {
		r.count()
		if r.o.StringKeys && n.ShortTag() != "!!str" {
			r.fail(diag.YAMLNonStringKey, tok.place, "the key %s is no string here, and keys of values are. Write it in quotes: %q.", n.Value, n.Value)
			return "", key, false
		}
		return n.Value, key, true
	}
	before := len(r.diags)
	v, _ := r.node(n, depth+1, tok.place)
	switch {
	case r.stopped:
		return "", key, false
	case v.Kind == value.String:
		return v.Text(), key, true
	}
	r.diags = r.diags[:before] // what the key itself means is no matter any more
	switch v.Kind {
	case value.List, value.Map:
		r.fail(diag.YAMLNonStringKey, v.Origin.Range, "%s is no key. Write a string.", v.Kind.WithArticle())
	case value.Null:
		r.fail(diag.YAMLNonStringKey, tok.place, "the key is null, and a key is a string. Write it in quotes, or name it.")
	default:
		r.fail(diag.YAMLNonStringKey, tok.place,
			"the key %s is %s in YAML 1.1, as Helm reads it, and a key is a string. Write it in quotes: %q.", n.Value, v.Kind.WithArticle(), n.Value)
	}
	return "", key, false
}

// merge takes the entries that a merge key names into e. Helm's library takes them where the merge key stands: they beat
// what stands before it and yield to what follows. By YAML's own rule, which helmfile's library follows, they yield to both.
func (r *reader) merge(e *entries, k, v *yaml.Node, depth int) (*value.Node, token) {
	tok := r.token(v, diag.Range{})
	sources := []*yaml.Node{v}
	if v.Kind == yaml.SequenceNode {
		sources = v.Content
	}
	for i := range sources {
		// The first map of a list is the strongest.
		source := sources[len(sources)-1-i]
		if r.state {
			source = sources[i]
		}
		target := source
		if source.Kind == yaml.AliasNode {
			target = source.Alias
		}
		if target.Kind != yaml.MappingNode {
			r.fail(diag.YAMLBadAlias, r.token(k, diag.Range{}).place, "the merge key << takes a map or a list of maps. Give it one.")
			return nil, tok
		}
		m, t := r.node(source, depth, diag.Range{})
		tok.end = max(tok.end, t.end)
		if m.Kind != value.Map {
			return nil, tok
		}
		for _, f := range m.Fields {
			r.mergeField(e, f, k)
		}
	}
	return nil, r.closed(v, &value.Node{}, tok, tok.end, ']')
}

func (r *reader) mergeField(e *entries, f value.Field, k *yaml.Node) {
	at := e.find(f.Key)
	if at < 0 {
		e.add(f, false)
		return
	}
	if r.state {
		return
	}
	if e.written[at] {
		r.report(diag.Warning, diag.YAMLMergeOrder, r.token(k, diag.Range{}).place,
			fmt.Sprintf("the merge key stands after the key %q and beats it, as Helm reads it. "+
				"Put << first in its map, or drop the key.", f.Key),
			diag.Note{Message: "this is beaten", Range: e.m.Fields[at].KeyRange})
	}
	e.m.Fields[at].Value = f.Value
}

// scalar returns what a scalar means.
func (r *reader) scalar(n *yaml.Node, tok token) any {
	if r.state {
		return r.stateScalar(n, tok)
	}
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	tagged := n.Style&yaml.TaggedStyle != 0
	if !tagged && n.Style&quoted != 0 {
		return n.Value
	}
	if !tagged {
		v := resolve(n.Value, true)
		r.warnScalar(n, tok, v)
		return r.finite(n, tok, v)
	}
	v := resolve(n.Value, false)
	fits := false
	switch n.Tag {
	case "!!str":
		return n.Value
	case "!!null":
		fits = v == nil
	case "!!bool":
		_, fits = v.(bool)
	case "!!int":
		switch f := v.(type) {
		case int64:
			fits = true
		case float64:
			fits = false
		case uint64:
			return r.finite(n, tok, f)
		}
	case "!!float":
		switch f := v.(type) {
		case int64:
			return float64(f)
		case float64:
			fits = true
		}
	default:
		r.fail(diag.YAMLUnknownTag, tok.place,
			"the tag %s is not understood. Remove it; known are !!str, !!int, !!float, !!bool, !!null, !!map and !!seq.", n.Tag)
		return n.Value
	}
	if !fits {
		r.fail(diag.YAMLUnknownTag, tok.place, "the value is no %s. Change it or its tag.", n.Tag)
		return nil
	}
	return r.finite(n, tok, v)
}

// finite refuses the numbers that JSON, and with it Helm, has not, and makes the others those of a tree.
func (r *reader) finite(n *yaml.Node, tok token, v any) any {
	switch f := v.(type) {
	case uint64:
		r.warnLarge(n, tok, float64(f))
		return float64(f)
	case float64:
		if largeInteger.MatchString(n.Value) {
			r.warnLarge(n, tok, f)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			r.fail(diag.YAMLSyntax, tok.place, "%s is no number that Helm accepts. Quote it to make it a string.", r.shown(n))
			return nil
		}
	}
	return v
}

// largeInteger is a number of digits only. One that is a float nonetheless did not fit into an integer.
var largeInteger = regexp.MustCompile(`^[-+]?[1-9][0-9_]*$`)

// warnLarge points at an integer of more than 64 bits: it is read as a float, and its last digits may be lost.
func (r *reader) warnLarge(n *yaml.Node, tok token, f float64) {
	shown, read := r.shown(n), fmt.Sprintf("the float %v", f)
	if r.o.Secret {
		read = "a float"
	}
	r.report(diag.Warning, diag.ValuesFloatNotation, tok.place,
		fmt.Sprintf("%s is no integer of 64 bits: it is read as %s, as Helm reads it, and its last digits may be lost. Write %s.",
			shown, read, r.inQuotes(n)))
}

// warnScalar points at plain scalars that mean something else than they look like.
func (r *reader) warnScalar(n *yaml.Node, tok token, v any) {
	switch v := v.(type) {
	case bool:
		if s := n.Value; s[0] == 't' || s[0] == 'T' || s[0] == 'f' || s[0] == 'F' {
			return
		}
		r.report(diag.Warning, diag.YAMLAmbiguousBoolean, tok.place,
			fmt.Sprintf("%s is a boolean for Helm. Write true or false, or %s.", r.shown(n), r.inQuotes(n)))
	case int64:
		if !leadingZero(n.Value) {
			return
		}
		detail := fmt.Sprintf("%s is octal and means %d. Write 0o%s if that is meant, or %s.", n.Value, v, octalDigits(n.Value), r.inQuotes(n))
		if r.o.Secret {
			detail = "the value is octal. Write it with 0o if that is meant, or in quotes for the string."
		}
		r.report(diag.Warning, diag.YAMLLeadingZero, tok.place, detail)
	case float64:
		if leadingZero(n.Value) {
			r.report(diag.Warning, diag.YAMLLeadingZero, tok.place,
				fmt.Sprintf("%s is a decimal number. Drop the zero, or write %s.", r.shown(n), r.inQuotes(n)))
		}
	}
}

// inQuotes is how to write a scalar as a string.
func (r *reader) inQuotes(n *yaml.Node) string {
	if r.o.Secret {
		return "it in quotes for the string"
	}
	return fmt.Sprintf("%q in quotes for the string", n.Value)
}

// stateScalar is what helmfile's library makes of a scalar.
func (r *reader) stateScalar(n *yaml.Node, tok token) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			r.fail(diag.YAMLUnknownTag, tok.place, "the value is no %s. Change it or its tag.", n.ShortTag())
			return nil
		}
		switch v := v.(type) {
		case int:
			return int64(v)
		case uint64:
			return float64(v)
		default:
			return v
		}
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(n.Value)
		if err != nil {
			r.fail(diag.YAMLUnknownTag, tok.place, "the value is no base64 text, as its tag !!binary says. Change it or its tag.")
		}
		return string(data)
	case "!!timestamp":
		if r.o.Dates {
			return written(n.Value)
		}
		return n.Value
	default:
		return n.Value
	}
}

// exact is what helmfile's library makes of a scalar that a tree has no type for.
func (r *reader) exact(n *yaml.Node) any {
	if !r.state || !r.o.Dates {
		return nil
	}
	const shortest = len("0x8000000000000000") // of what is over an int64
	switch tag := n.ShortTag(); {
	case tag == "!!int" && len(n.Value) >= shortest, tag == "!!timestamp":
		var v any
		if n.Decode(&v) != nil {
			return nil
		}
		switch v := v.(type) {
		case uint64, time.Time:
			return v
		}
	}
	return nil
}

// token finds where n stands: its properties (anchor, tag) are skipped, so that the place is that of the value.
func (r *reader) token(n *yaml.Node, empty diag.Range) token {
	if r.aliasDepth > 0 {
		if t, ok := r.known[n]; ok {
			return t
		}
	}
	t := r.findToken(n, empty)
	if r.aliasDepth > 0 {
		if r.known == nil {
			r.known = map[*yaml.Node]token{}
		}
		r.known[n] = t
	}
	return t
}

func (r *reader) findToken(n *yaml.Node, empty diag.Range) token {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	start := r.offset(n.Line, n.Column)
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&quoted == 0 {
		return r.emptyToken(n, start, empty)
	}
	from, forced := r.skipProperties(start)
	var end int
	switch {
	case n.Kind == yaml.AliasNode:
		end = from + 1 + len(n.Value)
	case n.Kind == yaml.ScalarNode:
		end = r.scalarEnd(n, from)
	case n.Style&yaml.FlowStyle != 0:
		end = from + 1
	case len(n.Content) > 0:
		// A block is shown by its first key, or the first dash.
		if first := n.Content[0]; n.Kind == yaml.MappingNode {
			t := r.findToken(first, diag.Range{})
			return token{end: t.end, place: t.place, forced: forced && n.Style&yaml.TaggedStyle == 0}
		}
		end = from + 1
	default:
		end = from
	}
	end = min(max(end, from), len(r.text))
	from = min(from, len(r.text))
	return token{end: end, place: r.span(from, end), forced: forced && n.Style&yaml.TaggedStyle == 0}
}

// emptyToken is the place of a null that is not written: its key's, or its dash's.
func (r *reader) emptyToken(n *yaml.Node, start int, empty diag.Range) token {
	end, forced := start, false
	for i := start; i < len(r.text) && (r.text[i] == '&' || r.text[i] == '!'); i = r.skipBlanks(end) {
		end = r.propertyEnd(i)
		forced = forced || r.text[i] == '!' && end == i+1
	}
	t := token{end: end, place: empty, forced: forced && n.Style&yaml.TaggedStyle == 0}
	if !empty.IsZero() {
		return t
	}
	if start > 0 && r.text[start-1] == '-' {
		start--
	}
	t.place = r.span(start, max(start, end))
	return t
}

// skipProperties returns the offset after the anchor and tag at i, and whether there is the tag "!".
func (r *reader) skipProperties(i int) (int, bool) {
	forced := false
	for i < len(r.text) && (r.text[i] == '&' || r.text[i] == '!') {
		end := r.propertyEnd(i)
		forced = forced || r.text[i] == '!' && end == i+1
		i = r.skipBlanks(end)
	}
	return i, forced
}

func (r *reader) propertyEnd(i int) int {
	if bytes.HasPrefix(r.text[i:], []byte("!<")) {
		if j := bytes.IndexByte(r.text[i:], '>'); j >= 0 {
			return i + j + 1
		}
	}
	// Both are ASCII; what is not may be one of YAML's further line breaks.
	for i < len(r.text) && r.text[i] < utf8.RuneSelf && strings.IndexByte(" \t\r\n,[]{}", r.text[i]) < 0 {
		i++
	}
	return i
}

// skipBlanks skips spaces, line breaks and comments.
func (r *reader) skipBlanks(i int) int {
	for i < len(r.text) {
		switch r.text[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '#':
			j := bytes.IndexByte(r.text[i:], '\n')
			if j < 0 {
				return len(r.text)
			}
			i += j + 1
		case 0xc2, 0xe2:
			size := wideBreak(r.text[i:])
			if size == 0 {
				return i
			}
			i += size
		default:
			return i
		}
	}
	return i
}

// scalarEnd returns the offset after the scalar that starts at i.
func (r *reader) scalarEnd(n *yaml.Node, i int) int {
	if i >= len(r.text) {
		return i
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for j := i + 1; j < len(r.text); j++ {
			switch r.text[j] {
			case '\\':
				j++
			case '"':
				return j + 1
			}
		}
		return i
	case n.Style&yaml.SingleQuotedStyle != 0:
		for j := i + 1; j < len(r.text); j++ {
			if r.text[j] != '\'' {
				continue
			}
			if j+1 < len(r.text) && r.text[j+1] == '\'' {
				j++
				continue
			}
			return j + 1
		}
		return i
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		for i < len(r.text) && strings.IndexByte(" \t\r\n", r.text[i]) < 0 {
			i++
		}
		return i
	default:
		return r.plainEnd(n.Value, i)
	}
}

// plainEnd follows the value of a plain scalar through the text; a break in one may be another number of blanks in the
// other.
func (r *reader) plainEnd(v string, i int) int {
	if len(v) <= len(r.text)-i && string(r.text[i:i+len(v)]) == v {
		return i + len(v)
	}
	start, last := i, i
	for j := 0; j < len(v); {
		if isBlank(v[j]) {
			for j < len(v) && isBlank(v[j]) {
				j++
			}
			for i < len(r.text) && isBlank(r.text[i]) {
				i++
			}
			continue
		}
		if i >= len(r.text) || r.text[i] != v[j] {
			return max(start, last)
		}
		i++
		j++
		last = i
	}
	return last
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
