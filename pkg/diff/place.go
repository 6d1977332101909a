package diff

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/value"
)

// place leads to a field of an object. The empty one is the object.
type place []step

// step is one step of a place: by the key of a map, or to an item of a list.
type step struct {
	key string
	// item says that the step leads to an item: the one whose fields are those of match, the one that is the text, or the one at
	// the index; any where every is set.
	item  bool
	index int
	match []itemField
	text  string
	is    bool
	every bool
}

// itemField is a field of an item and its value.
type itemField struct{ key, value string }

func (p place) key(key string) place { return append(p[:len(p):len(p)], step{key: key}) }

func (p place) at(s step) place {
	s.item = true
	return append(p[:len(p):len(p)], s)
}

// String writes a place in the grammar of Helm's --set, and items that have a name by it: a.b[name=web].c.
func (p place) String() string {
	var b strings.Builder
	for i, s := range p {
		if !s.item {
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(value.Path{}.Key(s.key).String())
			continue
		}
		switch {
		case s.every:
			b.WriteString("[*]")
		case s.is:
			b.WriteString("[=" + itemEscaper.Replace(s.text) + "]")
		case len(s.match) > 0:
			parts := make([]string, len(s.match))
			for i, m := range s.match {
				parts[i] = itemEscaper.Replace(m.key) + "=" + itemEscaper.Replace(m.value)
			}
			b.WriteString("[" + strings.Join(parts, ",") + "]")
		default:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		}
	}
	return b.String()
}

var itemEscaper = strings.NewReplacer(`\`, `\\`, `]`, `\]`, `,`, `\,`, `=`, `\=`)

// parsePlaces reads places with commas between them.
func parsePlaces(text string) ([]place, error) {
	var out []place
	for rest := text; rest != ""; {
		p, after, err := parsePlace(rest)
		if err != nil {
			return nil, err
		}
		if len(p) == 0 {
			return nil, errors.New("a path is empty; write one like spec.replicas")
		}
		out, rest = append(out, p), strings.TrimLeft(after, " ")
	}
	if len(out) == 0 {
		return nil, errors.New("there is no path; write one like spec.replicas")
	}
	return out, nil
}

// parsePlace reads a place up to a comma, and returns what is behind that.
func parsePlace(text string) (p place, rest string, err error) {
	text = strings.TrimLeft(text, " ")
	for i := 0; i < len(text); {
		switch text[i] {
		case ',':
			return p, text[i+1:], nil
		case '[':
			s, length, err := parseItem(text[i:])
			if err != nil {
				return nil, "", err
			}
			p = p.at(s)
			if i += length; i < len(text) && !strings.ContainsRune("[.,", rune(text[i])) {
				return nil, "", fmt.Errorf("after %s comes a dot, an item, or nothing", text[i-length:i])
			}
			continue
		case '.':
			if i++; len(p) == 0 || i == len(text) || strings.ContainsRune("[.,", rune(text[i])) {
				return nil, "", errors.New("before and after a dot comes a key; write \\. for a dot within a key")
			}
		}
		var b strings.Builder
		for ; i < len(text) && !strings.ContainsRune(".[,", rune(text[i])); i++ {
			if text[i] == '\\' {
				if i++; i == len(text) {
					return nil, "", errors.New("it ends in a backslash; write \\\\ for a backslash within a key")
				}
			}
			b.WriteByte(text[i])
		}
		p = p.key(strings.TrimRight(b.String(), " "))
	}
	return p, "", nil
}

// parseItem reads [0], [*], [name=web], [port=80,protocol=TCP] or [=text], and returns how long it is.
func parseItem(text string) (s step, length int, err error) {
	var parts []string
	var b strings.Builder
	equals := -1
	var fields []itemField
	end := func() {
		part := b.String()
		parts = append(parts, part)
		if equals >= 0 {
			fields = append(fields, itemField{part[:equals], part[equals:]})
		}
		b.Reset()
		equals = -1
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '=' && equals < 0:
			equals = b.Len()
		case c == ',':
			end()
		case c == ']':
			end()
			s, err := itemOf(parts, fields, text[:i+1])
			return s, i + 1, err
		default:
			b.WriteByte(c)
		}
	}
	return step{}, 0, errors.New("an item is not closed; write it as [0] or [name=web], or \\[ for a bracket within a key")
}

func itemOf(parts []string, fields []itemField, text string) (step, error) {
	switch {
	case len(fields) == 1 && len(parts) == 1 && fields[0].key == "":
		return step{is: true, text: fields[0].value}, nil
	case len(fields) > 0 && len(fields) == len(parts):
		return step{match: fields}, nil
	case len(parts) == 1 && parts[0] == "*":
		return step{every: true}, nil
	}
	if n, err := strconv.Atoi(text[1 : len(text)-1]); err == nil && n >= 0 && n <= value.MaxIndex {
		return step{index: n}, nil
	}
	return step{}, fmt.Errorf("%s is no item; write [0], [*] or [name=web]", text)
}

// scalar is a value as it stands in a place.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// leads reports whether a step leads to an item of a list.
func (s step) leads(item any, index int) bool {
	switch {
	case s.every:
		return true
	case s.is:
		return scalar(item) == s.text
	case len(s.match) == 0:
		return s.index == index
	}
	m, ok := item.(map[string]any)
	for _, f := range s.match {
		if !ok || scalar(m[f.key]) != f.value {
			return false
		}
	}
	return true
}

// reaches reports whether a place leads somewhere in a value.
func (p place) reaches(v any) bool {
	if len(p) == 0 {
		return true
	}
	if !p[0].item {
		m, _ := v.(map[string]any)
		below, ok := m[p[0].key]
		return ok && p[1:].reaches(below)
	}
	list, _ := v.([]any)
	for i, item := range list {
		if p[0].leads(item, i) && p[1:].reaches(item) {
			return true
		}
	}
	return false
}
