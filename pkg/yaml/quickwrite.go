package yaml

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// quickMarshal writes what charts write most, plain trees of printable ASCII, as the library writes it (go.yaml.in/yaml/v2,
// encode.go and emitterc.go) after its detour through JSON. It gives up (ok is false) on whatever else it meets. FuzzMarshal
// holds the two together.
func quickMarshal(v any) (text []byte, ok bool) {
	w := quickWriter{out: make([]byte, 0, 512)}
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			return w.result(w.mapping(v, 0, false))
		}
	case []any:
		if len(v) > 0 {
			return w.result(w.list(v, 0, false))
		}
	}
	return nil, false
}

type quickWriter struct {
	out   []byte
	depth int
}

func (w *quickWriter) result(ok bool) ([]byte, bool) { return w.out, ok }

// start begins a line in column, unless the entry goes on behind a dash.
func (w *quickWriter) start(column int, behindDash bool) {
	if behindDash {
		return
	}
	for range column {
		w.out = append(w.out, ' ')
	}
}

// mapping writes the entries of a map in column. behindDash says that the first stands behind the dash of a list.
func (w *quickWriter) mapping(m map[string]any, column int, behindDash bool) bool {
	if w.depth++; w.depth > quickDepth {
		return false
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // the library's order has circles (a9, a10, a1A): it writes those in the random order of a Go map
	slices.SortFunc(keys, compareQuick)
	for i, k := range keys {
		w.start(column, behindDash && i == 0)
		if len(k) == 0 || len(k) > 100 || k == merge || !isPlainASCII(k) || strings.IndexByte(k, '\n') >= 0 {
			return false
		}
		line := lineStart(w.out)
		w.oneLine(k)
		w.out = append(w.out, ':')
		if !w.value(m[k], column, len(w.out)-line) {
			return false
		}
	}
	w.depth--
	return true
}

// list writes the items of a list in column.
func (w *quickWriter) list(l []any, column int, behindDash bool) bool {
	if w.depth++; w.depth > quickDepth {
		return false
	}
	for i, item := range l {
		w.start(column, behindDash && i == 0)
		w.out = append(w.out, '-')
		switch item := item.(type) {
		case map[string]any:
			if len(item) > 0 {
				w.out = append(w.out, ' ')
				if !w.mapping(item, column+2, true) {
					return false
				}
				continue
			}
		case []any:
			if len(item) > 0 {
				w.out = append(w.out, ' ')
				if !w.list(item, column+2, true) {
					return false
				}
				continue
			}
		}
		if !w.value(item, column, len(w.out)-lineStart(w.out)) {
			return false
		}
	}
	w.depth--
	return true
}

func lineStart(out []byte) int {
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] == '\n' {
			return i + 1
		}
	}
	return 0
}

// value writes what stands behind a key or a dash in column, and ends the line. at is how long the line is.
func (w *quickWriter) value(v any, column, at int) bool {
	switch v := v.(type) {
	case map[string]any:
		if len(v) > 0 {
			w.out = append(w.out, '\n')
			return w.mapping(v, column+2, false)
		}
		if v == nil {
			w.out = append(w.out, " null\n"...)
		} else {
			w.out = append(w.out, " {}\n"...)
		}
	case []any:
		if len(v) > 0 {
			// A list in a map stands in the column of its key.
			w.out = append(w.out, '\n')
			return w.list(v, column, false)
		}
		if v == nil {
			w.out = append(w.out, " null\n"...)
		} else {
			w.out = append(w.out, " []\n"...)
		}
	case nil:
		w.out = append(w.out, " null\n"...)
	case bool:
		w.out = append(strconv.AppendBool(append(w.out, ' '), v), '\n')
	case int:
		w.out = append(strconv.AppendInt(append(w.out, ' '), int64(v), 10), '\n')
	case int64:
		w.out = append(strconv.AppendInt(append(w.out, ' '), v, 10), '\n')
	case float64:
		return w.float(v)
	case string:
		return w.text(v, column, at)
	default:
		return false
	}
	return true
}

// float writes a number: JSON's way of writing it is read as an integer where it has no point.
func (w *quickWriter) float(f float64) bool {
	abs := math.Abs(f)
	w.out = append(w.out, ' ')
	switch {
	case f == math.Trunc(f) && abs < 1e15:
		w.out = strconv.AppendInt(w.out, int64(f), 10)
	case abs >= 1e-5 && abs < 1e15:
		w.out = strconv.AppendFloat(w.out, f, 'g', -1, 64)
	default:
		return false
	}
	w.out = append(w.out, '\n')
	return true
}

// isPlainASCII reports whether all of s is ASCII that JSON and YAML pass on as it is.
func isPlainASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '\n' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// merge is the key of YAML's merging, which the library writes in a way of its own.
const merge = "<<"

// foldWidth is the column behind which the library breaks a line at a space.
const foldWidth = 80

func (w *quickWriter) text(s string, column, at int) bool {
	if !isPlainASCII(s) || s == merge {
		return false
	}
	if strings.IndexByte(s, '\n') >= 0 {
		return w.literal(s, column)
	}
	w.out = append(w.out, ' ')
	if at+2+2*len(s) > foldWidth && strings.IndexByte(s, ' ') >= 0 {
		if !plain(s) || strings.Contains(s, "  ") {
			return false
		}
		w.folded(s, column+2, at+1)
	} else {
		w.oneLine(s)
	}
	w.out = append(w.out, '\n')
	return true
}

// folded writes a plain text, from position at of its line, and goes on in column on the next one where it is long.
func (w *quickWriter) folded(s string, column, at int) {
	for i := range len(s) {
		if s[i] == ' ' && at > foldWidth {
			w.out = append(w.out, '\n')
			w.start(column, false)
			at = column
			continue
		}
		w.out = append(w.out, s[i])
		at++
	}
}

// oneLine writes a text in the way that the library chooses: plain, in single quotes where YAML's signs would be taken for
// themselves, in double quotes where it would be read as something else.
func (w *quickWriter) oneLine(s string) {
	switch {
	case !isText(s):
		w.out = append(w.out, '"')
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				w.out = append(w.out, '\\')
			}
			w.out = append(w.out, s[i])
		}
		w.out = append(w.out, '"')
	case plain(s):
		w.out = append(w.out, s...)
	default:
		w.out = append(w.out, '\'')
		for i := range len(s) {
			if s[i] == '\'' {
				w.out = append(w.out, '\'')
			}
			w.out = append(w.out, s[i])
		}
		w.out = append(w.out, '\'')
	}
}

// isText reports whether a plain scalar s would be read as a text, also by readers that know numbers to the base of 60.
func isText(s string) bool {
	v, ok := resolve(s, false).(string)
	return ok && v == s && !isDate(s) && !sexagesimal(s)
}

// sexagesimal is the library's isBase60Float, or more: [-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?
func sexagesimal(s string) bool {
	s = strings.TrimLeft(s[:min(1, len(s))], "+-") + s[min(1, len(s)):]
	if s == "" || s[0] < '0' || s[0] > '9' {
		return false
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if strings.Trim(fraction, "0123456789_") != "" {
		return false
	}
	parts := strings.Split(whole, ":")
	if len(parts) < 2 || strings.Trim(parts[0], "0123456789_") != "" {
		return false
	}
	for _, p := range parts[1:] {
		if len(p) == 0 || len(p) > 2 || strings.Trim(p, "0123456789") != "" || len(p) == 2 && p[0] > '5' {
			return false
		}
	}
	return true
}

// plain reports whether a text on one line may stand without quotes (emitterc.go, yaml_emitter_analyze_scalar).
func plain(s string) bool {
	if s == "" || s[0] == ' ' || s[len(s)-1] == ' ' || strings.HasPrefix(s, "---") || strings.HasPrefix(s, "...") {
		return false
	}
	if !isText(s) {
		return false
	}
	switch s[0] {
	case '#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		return false
	case '?', '-':
		if len(s) == 1 || s[1] == ' ' {
			return false
		}
	}
	for i := range len(s) {
		switch s[i] {
		case ':':
			if i+1 == len(s) || s[i+1] == ' ' {
				return false
			}
		case '#':
			if i > 0 && s[i-1] == ' ' {
				return false
			}
		}
	}
	return true
}

// literal writes a text of several lines as a block.
func (w *quickWriter) literal(s string, column int) bool {
	if s[0] == ' ' || s[0] == '\n' || strings.HasSuffix(s, "\n\n") || strings.Contains(s, " \n") || strings.HasSuffix(s, " ") {
		return false
	}
	w.out = append(w.out, " |"...)
	if !strings.HasSuffix(s, "\n") {
		w.out = append(w.out, '-')
	}
	w.out = append(w.out, '\n')
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		if line != "" {
			w.start(column+2, false)
			w.out = append(w.out, line...)
		}
		w.out = append(w.out, '\n')
	}
	return true
}

// compareQuick is compareKeys of texts in ASCII, where the first difference is nearly always that of two letters.
func compareQuick(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			if isLetter(a[i]) && isLetter(b[i]) {
				return int(a[i]) - int(b[i])
			}
			return compareKeys(a, b)
		}
	}
	return len(a) - len(b)
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
