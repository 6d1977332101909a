package yaml

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/value"
)

// Write writes a tree as YAML in block style, with the keys in the order that Marshal gives them. Read of the text gives
// the same values. comment returns what to put behind a leaf as a comment, or ""; nil writes none.
func Write(root *value.Node, comment func(*value.Node) string) []byte {
	w := &writer{comment: comment}
	switch {
	case root.Kind == value.Map && len(root.Fields) > 0:
		w.fields(root, "", "")
	case root.Kind == value.List && len(root.Items) > 0:
		w.items(root, "", "")
	default:
		w.leaf(root, "")
	}
	return []byte(w.b.String())
}

// writer collects the text. The first entry of a map or list in a list stands on the line of its dash, so both take what
// is before their first line and before all others.
type writer struct {
	b       strings.Builder
	comment func(*value.Node) string
}

func (w *writer) fields(n *value.Node, first, indent string) {
	fields := slices.Clone(n.Fields)
	// The order is not transitive for some keys (k1B, k007B, k19): what comes first must not decide.
	slices.SortFunc(fields, func(a, b value.Field) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortStableFunc(fields, func(a, b value.Field) int { return compareKeys(a.Key, b.Key) })
	for _, f := range fields {
		w.b.WriteString(first + inline(f.Key) + ":")
		w.below(f.Value, indent)
		first = indent
	}
}

func (w *writer) items(n *value.Node, first, indent string) {
	for _, item := range n.Items {
		w.b.WriteString(first + "-")
		switch {
		case item.Kind == value.Map && len(item.Fields) > 0:
			w.fields(item, " ", indent+"  ")
		case item.Kind == value.List && len(item.Items) > 0:
			w.items(item, " ", indent+"  ")
		default:
			w.b.WriteByte(' ')
			w.leaf(item, indent+"  ")
		}
		first = indent
	}
}

// below writes the value of a key. A list is not indented, as in Marshal.
func (w *writer) below(n *value.Node, indent string) {
	switch {
	case n.Kind == value.Map && len(n.Fields) > 0:
		w.b.WriteByte('\n')
		w.fields(n, indent+"  ", indent+"  ")
	case n.Kind == value.List && len(n.Items) > 0:
		w.b.WriteByte('\n')
		w.items(n, indent, indent)
	default:
		w.b.WriteByte(' ')
		w.leaf(n, indent+"  ")
	}
}

// leaf writes a scalar or an empty collection, its comment and the end of the line. indent is that of a text of several
// lines.
func (w *writer) leaf(n *value.Node, indent string) {
	text, isText := n.Scalar.(string)
	block := isText && isBlock(text)
	switch {
	case block:
		w.b.WriteString("|")
		if !strings.HasSuffix(text, "\n") {
			w.b.WriteString("-")
		}
	case isText:
		w.b.WriteString(inline(text))
	case n.Kind == value.Map:
		w.b.WriteString("{}")
	case n.Kind == value.List:
		w.b.WriteString("[]")
	default:
		w.b.WriteString(plainScalar(n.Scalar))
	}
	if w.comment != nil {
		if c := w.comment(n); c != "" {
			w.b.WriteString(" # " + strings.Map(printable, c))
		}
	}
	w.b.WriteByte('\n')
	if block {
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			if line != "" {
				w.b.WriteString(max(indent, "  ") + line)
			}
			w.b.WriteByte('\n')
		}
	}
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// plainScalar writes what is no string.
func plainScalar(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0" // it would be an integer
		}
		return text
	default:
		return "null"
	}
}

// isBlock reports whether a text of several lines can stand as it is under a "|": anything else is quoted.
func isBlock(s string) bool {
	body := strings.TrimSuffix(s, "\n")
	if !strings.Contains(body, "\n") || body == "" || body[0] == ' ' || body[0] == '\n' || strings.HasSuffix(body, "\n") {
		return false
	}
	for line := range strings.SplitSeq(body, "\n") {
		if line != "" && strings.TrimSpace(line) == "" {
			return false
		}
	}
	return isPlainText(strings.ReplaceAll(s, "\n", ""))
}

func isPlainText(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// simple is a text that stands for itself without quotes, if it is no other value; what has a colon or a hash in it where
// YAML cares is not.
var simple = regexp.MustCompile(`^[\pL\pN_/.$(<+@]([\pL\pN_/.$()<>+@%*?;=~^&|!{}\[\],'" -]|:[\pL\pN_/.-])*$`)

// inline writes a string on one line: plain where that is safe, else in double quotes, whose escapes are Go's.
func inline(s string) string {
	if simple.MatchString(s) && s[len(s)-1] != ' ' && isPlainText(s) && strings.Trim(s, ".<=") != "" && s != "<<" &&
		!strings.HasPrefix(s, "@") {
		if v, ok := resolve(s, true).(string); ok && v == s {
			return s
		}
	}
	return strconv.Quote(s)
}

// compareKeys is the order of keys that Marshal's library writes: letters after others, numbers by their value
// (go.yaml.in/yaml/v2, sorter.go).
func compareKeys(x, y string) int {
	if x == y {
		return 0
	}
	if keyLess([]rune(x), []rune(y)) {
		return -1
	}
	return 1
}

func keyLess(a, b []rune) bool {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] == b[i] {
			continue
		}
		aLetter, bLetter := unicode.IsLetter(a[i]), unicode.IsLetter(b[i])
		if aLetter && bLetter {
			return a[i] < b[i]
		}
		if aLetter || bLetter {
			return bLetter
		}
		var an, bn int64
		if a[i] == '0' || b[i] == '0' {
			// Zeros within a number count; zeros at its front do not.
			for j := i - 1; j >= 0 && unicode.IsDigit(a[j]); j-- {
				if a[j] != '0' {
					an, bn = 1, 1
					break
				}
			}
		}
		ai, bi := i, i
		for ; ai < len(a) && unicode.IsDigit(a[ai]); ai++ {
			an = an*10 + int64(a[ai]-'0')
		}
		for ; bi < len(b) && unicode.IsDigit(b[bi]); bi++ {
			bn = bn*10 + int64(b[bi]-'0')
		}
		switch {
		case an != bn:
			return an < bn
		case ai != bi:
			return ai < bi
		}
		return a[i] < b[i]
	}
	return len(a) < len(b)
}
