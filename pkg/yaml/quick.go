package yaml

import (
	"math"
	"strings"
)

// quick reads the part of YAML that rendered manifests are nearly all made of: block maps and lists of scalars on one line,
// quoted or not, and literal blocks, in printable ASCII. It gives up (ok is false) on whatever else it meets, also on all that
// is wrong, so that the library's reading and the library's words stand. It is many times faster than that, which builds the
// tree three times. FuzzDecode holds the two together.
type quick struct {
	text string
	// at is where the current line begins, and indent how many spaces it begins with. A line without content is skipped.
	at, indent int
	depth      int
	failed     bool
}

// The bounds of what quick reads. The library's own are higher.
const (
	quickDepth = 64
	quickKey   = 512
)

func quickDecode(text []byte) (v any, ok bool) {
	for _, c := range text {
		if c != '\n' && (c < ' ' || c > '~') {
			return nil, false
		}
	}
	q := quick{text: string(text)}
	q.line()
	if q.at >= len(q.text) || q.indent != 0 || strings.HasPrefix(q.text[q.at:], "-") {
		return nil, false
	}
	m := q.mapping(0, map[string]any{})
	return m, !q.failed && q.at >= len(q.text)
}

func (q *quick) fail() any {
	q.failed = true
	q.at = len(q.text)
	return nil
}

// line goes to the next line with content, from the beginning of a line.
func (q *quick) line() {
	for q.at < len(q.text) {
		i := q.at
		for i < len(q.text) && q.text[i] == ' ' {
			i++
		}
		if i < len(q.text) && q.text[i] != '\n' && q.text[i] != '#' {
			q.indent = i - q.at
			return
		}
		q.skip()
	}
	q.indent = -1
}

// skip goes behind the end of the current line.
func (q *quick) skip() {
	if i := strings.IndexByte(q.text[q.at:], '\n'); i >= 0 {
		q.at += i + 1
		return
	}
	q.at = len(q.text)
}

// content is the rest of the current line from column on.
func (q *quick) content(column int) string {
	rest := q.text[q.at+column:]
	if i := strings.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// mapping reads the entries that begin in column.
func (q *quick) mapping(column int, m map[string]any) any {
	if q.depth++; q.depth > quickDepth {
		return q.fail()
	}
	for !q.failed && q.indent == column {
		rest := q.content(column)
		key, value, ok := entry(rest)
		if !ok || q.marker() {
			return q.fail()
		}
		if _, twice := m[key]; twice {
			return q.fail()
		}
		m[key] = q.value(column, value)
	}
	if q.indent > column {
		return q.fail()
	}
	q.depth--
	return m
}

// value reads what stands behind a key of a map in column: text is the rest of its line.
func (q *quick) value(column int, text string) any {
	if text != "" {
		return q.scalar(column, text)
	}
	q.skip()
	q.line()
	switch {
	case q.indent > column:
		if q.isItem() {
			return q.list(q.indent)
		}
		return q.mapping(q.indent, map[string]any{})
	case q.indent == column && q.isItem():
		return q.list(column)
	}
	return nil
}

// isItem reports whether the current line begins an item of a list.
func (q *quick) isItem() bool {
	rest := q.content(q.indent)
	return rest == "-" || strings.HasPrefix(rest, "- ")
}

// list reads the items that begin in column.
func (q *quick) list(column int) any {
	if q.depth++; q.depth > quickDepth {
		return q.fail()
	}
	l := []any{}
	for !q.failed && q.indent == column && q.isItem() {
		rest := q.content(column + 1)
		text := strings.TrimLeft(rest, " ")
		if text == "" || text[0] == '#' || text == "-" || strings.HasPrefix(text, "- ") {
			return q.fail()
		}
		if _, _, ok := entry(text); ok {
			// The map begins behind the dash, in the column of its first key.
			inner := column + 1 + len(rest) - len(text)
			q.indent = inner
			l = append(l, q.mapping(inner, map[string]any{}))
			continue
		}
		l = append(l, q.scalar(column, text))
	}
	if q.indent > column {
		return q.fail()
	}
	q.depth--
	return l
}

// entry takes a line apart into the key of a map and what stands behind its colon, without a comment.
func entry(line string) (key, value string, ok bool) {
	var rest string
	switch c := line[0]; {
	case c == '"' || c == '\'':
		i := strings.IndexByte(line[1:], c)
		if i < 0 {
			return "", "", false
		}
		key, rest = line[1:i+1], line[i+2:]
		if strings.IndexByte(key, '\\') >= 0 && c == '"' || !strings.HasPrefix(rest, ":") {
			return "", "", false
		}
		rest = rest[1:]
	case isWord(c) || c == '/' || c == '.':
		i := strings.IndexByte(line, ':')
		for ; i >= 0 && i+1 < len(line) && line[i+1] != ' '; i = next(line, i) {
		}
		if i < 0 {
			return "", "", false
		}
		key, rest = line[:i], line[i+1:]
		if strings.Contains(key, " #") || strings.HasSuffix(key, " ") {
			return "", "", false
		}
		if s, isText := resolve(key, true).(string); !isText || s != key {
			return "", "", false
		}
	default:
		return "", "", false
	}
	if len(key) > quickKey || rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	value = strings.TrimLeft(rest, " ")
	if value != "" && value[0] == '#' {
		value = ""
	}
	return key, value, true
}

// next is the colon of line after i, or -1.
func next(line string, i int) int {
	if k := strings.IndexByte(line[i+1:], ':'); k >= 0 {
		return i + 1 + k
	}
	return -1
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// scalar reads a scalar that stands at the end of a line of a map or list in column, and goes to the line after it, which may
// not go on with it.
func (q *quick) scalar(column int, text string) any {
	var v any
	switch c := text[0]; {
	case c == '|':
		return q.literal(column, text)
	case c == '"' || c == '\'':
		i := strings.IndexByte(text[1:], c)
		if i < 0 || c == '"' && strings.IndexByte(text[1:i+1], '\\') >= 0 {
			return q.fail()
		}
		if rest := strings.TrimLeft(text[i+2:], " "); rest != "" && (rest[0] != '#' || text[i+2] != ' ') {
			return q.fail()
		}
		v = text[1 : i+1]
	case c == '{' || c == '[':
		switch {
		case strings.TrimRight(text, " ") == "{}":
			v = map[string]any{}
		case strings.TrimRight(text, " ") == "[]":
			v = []any{}
		default:
			l, ok := flowList(strings.TrimRight(text, " "))
			if !ok {
				return q.fail()
			}
			v = l
		}
	case isWord(c) || c == '/' || c == '.' || c == '+' || c == '(' || c == '$' || c == '<' || c == '=' || c == ';' || c == '^' || c == '\\' || c == '~',
		c == '-' && len(text) > 1 && text[1] != ' ':
		if i := strings.Index(text, " #"); i >= 0 {
			text = text[:i]
		}
		text = strings.TrimRight(text, " ")
		if strings.Contains(text, ": ") || strings.HasSuffix(text, ":") {
			return q.fail()
		}
		r, ok := meaning(text)
		if !ok {
			return q.fail()
		}
		v = r
	default:
		return q.fail()
	}
	q.skip()
	q.line()
	if q.indent > column || q.marker() {
		return q.fail()
	}
	return v
}

// meaning is what a plain scalar is to Helm; ok is false for what JSON has no word for.
func meaning(text string) (v any, ok bool) {
	switch r := resolve(text, true).(type) {
	case int64:
		return float64(r), true
	case uint64:
		return float64(r), true
	case float64:
		return r, !math.IsNaN(r) && !math.IsInf(r, 0)
	default:
		return r, text != "<<"
	}
}

// flowList reads a list of words and quoted texts on one line.
func flowList(text string) ([]any, bool) {
	inner, ok := strings.CutSuffix(text[1:], "]")
	if !ok || text[0] != '[' {
		return nil, false
	}
	l := []any{}
	for {
		inner = strings.TrimLeft(inner, " ")
		if inner == "" {
			return nil, false
		}
		n := 0
		if c := inner[0]; c == '"' || c == '\'' {
			i := strings.IndexByte(inner[1:], c)
			if i < 0 || c == '"' && strings.IndexByte(inner[1:i+1], '\\') >= 0 {
				return nil, false
			}
			l = append(l, inner[1:i+1])
			n = i + 2
		} else {
			for n < len(inner) && (isWord(inner[n]) || n > 0 && strings.IndexByte("-./", inner[n]) >= 0) {
				n++
			}
			v, ok := meaning(inner[:n])
			if !ok || n == 0 {
				return nil, false
			}
			l = append(l, v)
		}
		inner = strings.TrimLeft(inner[n:], " ")
		if inner == "" {
			return l, true
		}
		if inner[0] != ',' {
			return nil, false
		}
		inner = inner[1:]
	}
}

// marker reports whether the current line begins like the end or the beginning of a document.
func (q *quick) marker() bool {
	if q.indent != 0 {
		return false
	}
	rest := q.text[q.at:]
	return strings.HasPrefix(rest, "---") || strings.HasPrefix(rest, "...")
}

// literal reads a block that begins with | behind a key of a map, or as an item of a list, in column.
func (q *quick) literal(column int, text string) any {
	header := strings.TrimRight(text, " ")
	if header != "|" && header != "|-" && header != "|+" {
		return q.fail()
	}
	q.skip()
	start := q.at
	// The first line with content sets the column of all.
	inner := -1
	for i := start; i < len(q.text); {
		k := i
		for k < len(q.text) && q.text[k] == ' ' {
			k++
		}
		if k < len(q.text) && q.text[k] != '\n' {
			inner = k - i
			break
		}
		if k > i || k >= len(q.text) {
			return q.fail() // spaces on an empty line before the first may be too many
		}
		i = k + 1
	}
	if inner <= column {
		return q.fail()
	}
	var out strings.Builder
	breaks := 0
	for q.at < len(q.text) {
		line := q.text[q.at:]
		ended := false
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line, ended = line[:i], true
		}
		spaces := len(line) - len(strings.TrimLeft(line, " "))
		if spaces == len(line) && spaces <= inner {
			if !ended && spaces > 0 {
				return q.fail()
			}
			breaks++
			q.skip()
			continue
		}
		if spaces < inner {
			break
		}
		for ; breaks > 0; breaks-- {
			out.WriteByte('\n')
		}
		out.WriteString(line[inner:])
		if ended {
			breaks = 1
		}
		q.skip()
	}
	switch {
	case header == "|+":
		for ; breaks > 0; breaks-- {
			out.WriteByte('\n')
		}
	case header == "|" && breaks > 0:
		out.WriteByte('\n')
	}
	q.line()
	if q.indent > column || q.marker() {
		return q.fail()
	}
	return out.String()
}
