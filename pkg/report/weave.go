package report

import (
	"encoding/binary"
	"slices"
	"strings"
)

// weave finds secrets in a text by their letters and digits alone: whatever wraps, folds, indents or quotes a text, or marks its
// lines as those of a diff, puts other characters between them.
type weave struct {
	// forms are what is looked for, by its first eight bytes; only those of at least leastWoven.
	forms map[uint64][]string
	// begins are the first two bytes of forms: most places of a text are no beginning.
	begins map[uint16]bool
}

// leastWoven is the fewest letters and digits by which a secret is recognised without what stands between them.
const leastWoven = 16

func newWeave(secrets []string) weave {
	w := weave{forms: map[uint64][]string{}, begins: map[uint16]bool{}}
	for _, s := range secrets {
		if len(s) < leastWoven/2 {
			continue // its base64 is too short, too
		}
		for _, form := range append(written(s), encoded(s)...) {
			form, _ := letters(form)
			if len(form) < leastWoven {
				continue
			}
			text := string(form)
			first := binary.NativeEndian.Uint64(form)
			if !slices.Contains(w.forms[first], text) {
				w.forms[first] = append(w.forms[first], text)
				w.begins[binary.NativeEndian.Uint16(form)] = true
			}
		}
	}
	for _, forms := range w.forms {
		slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	}
	return w
}

// replace hides what it finds: all from the first letter of a secret to its last.
func (w weave) replace(s string) string {
	if len(w.forms) == 0 || len(s) < leastWoven {
		return s
	}
	text, places := letters(s)
	var out strings.Builder
	done := 0
	for i := 0; i+leastWoven <= len(text); {
		form := w.at(text[i:])
		if form == "" {
			i++
			continue
		}
		out.WriteString(s[done:places[i]])
		out.WriteString(hidden)
		done = places[i+len(form)-1] + 1
		i += len(form)
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}

// at is the longest form that a text begins with, or "".
func (w weave) at(text []byte) string {
	if !w.begins[binary.NativeEndian.Uint16(text)] {
		return ""
	}
	for _, form := range w.forms[binary.NativeEndian.Uint64(text)] {
		if len(text) >= len(form) && string(text[:len(form)]) == form {
			return form
		}
	}
	return ""
}

// letters are the letters, digits and characters beyond ASCII of a text without its colours, and where each stood.
func letters(s string) (text []byte, places []int) {
	text, places = make([]byte, 0, len(s)), make([]int, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
			text, places = append(text, c), append(places, i)
		case c == 0x1b:
			for i+1 < len(s) && s[i] != 'm' && s[i] != 'K' && s[i] != '\n' {
				i++
			}
		}
	}
	return text, places
}
