package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// maxJSONDepth is how many maps and lists of JSON may stand in each other, maxExponent the greatest exponent of a number:
// the library computes with all its digits.
const (
	maxJSONDepth = 512
	maxExponent  = 400
)

// errBudget marks a text that is over its budget.
var errBudget = errors.New("over its budget")

// jsonError is what is wrong with a text of JSON, and where.
type jsonError struct {
	at      diag.Range
	message string
	over    bool
}

func (e *jsonError) Error() string { return e.message }

// Is reports whether the text was over its budget.
func (e *jsonError) Is(target error) bool { return e.over && target == errBudget }

// readJSON reads a text of JSON into a tree with places, as encoding/json reads it: of two equal keys the last stands.
func readJSON(text []byte, name string) (*value.Node, error) {
	r := &jsonReader{text: text, name: name, lines: newLines(text)}
	if len(text) > yaml.MaxBytes {
		return nil, &jsonError{diag.Range{File: name}, fmt.Sprintf("the file has %d bytes, and at most %d are read", len(text), yaml.MaxBytes), true}
	}
	r.decoder = json.NewDecoder(bytes.NewReader(text))
	r.decoder.UseNumber()
	n, err := r.value(0)
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = r.fail("there is more than one value in the file")
		}
	}
	return n, err
}

type jsonReader struct {
	text    []byte
	name    string
	lines   lines
	decoder *json.Decoder
	nodes   int
}

func (r *jsonReader) fail(format string, args ...any) error {
	at := r.lines.pos(int(r.decoder.InputOffset()))
	return &jsonError{diag.Range{File: r.name, Start: at}, fmt.Sprintf(format, args...), false}
}

// token returns the next token and its place.
func (r *jsonReader) token() (json.Token, diag.Range, error) {
	start := int(r.decoder.InputOffset())
	t, err := r.decoder.Token()
	if err != nil {
		return nil, diag.Range{}, r.fail("the file is not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	for start < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[start]) >= 0 {
		start++
	}
	return t, diag.Range{File: r.name, Start: r.lines.pos(start), End: r.lines.pos(int(r.decoder.InputOffset()))}, nil
}

func (r *jsonReader) value(depth int) (*value.Node, error) {
	t, at, err := r.token()
	if err != nil {
		return nil, err
	}
	if r.nodes++; depth > maxJSONDepth || r.nodes > yaml.MaxNodes {
		return nil, &jsonError{at, fmt.Sprintf("more than %d maps and lists stand in each other, or there are more than %d values", maxJSONDepth, yaml.MaxNodes), true}
	}
	origin := value.Origin{Layer: Layer, Range: at}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(origin, depth)
		}
		n := &value.Node{Kind: value.List, Origin: origin}
		for r.decoder.More() {
			item, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
		_, _, err := r.token()
		return n, err
	case json.Number:
		return r.number(string(t), origin)
	default:
		return value.NewScalar(origin, t), nil
	}
}

func (r *jsonReader) object(origin value.Origin, depth int) (*value.Node, error) {
	n := value.NewMap(origin)
	index := map[string]int{}
	for r.decoder.More() {
		key, at, err := r.token()
		if err != nil {
			return nil, err
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		field := value.Field{Key: key.(string), KeyRange: at, Value: v} // encoding/json accepts no other key
		if i, ok := index[field.Key]; ok {
			n.Fields[i] = field
			continue
		}
		index[field.Key] = len(n.Fields)
		n.Fields = append(n.Fields, field)
	}
	_, _, err := r.token()
	return n, err
}

func (r *jsonReader) number(text string, origin value.Origin) (*value.Node, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return value.NewScalar(origin, i), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	_, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	e, _ := strconv.Atoi(strings.TrimPrefix(exponent, "+"))
	if err != nil || math.Abs(float64(e)) > maxExponent || len(text) > 2*maxExponent {
		return nil, &jsonError{origin.Range, "the number is larger or smaller than numbers may be", true}
	}
	return value.NewScalar(origin, f), nil
}

// lines are the offsets at which the lines of a text begin.
type lines struct {
	text   []byte
	starts []int
}

func newLines(text []byte) lines {
	l := lines{text: text, starts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

func (l lines) pos(offset int) diag.Pos {
	line, exact := slices.BinarySearch(l.starts, offset)
	if exact {
		line++
	}
	start := l.starts[line-1]
	return diag.Pos{Line: line, Column: 1 + utf8.RuneCount(l.text[start:min(max(offset, start), len(l.text))])}
}

func (l lines) offset(at diag.Pos) int {
	offset := l.starts[at.Line-1]
	for range at.Column - 1 {
		_, size := utf8.DecodeRune(l.text[offset:])
		offset += size
	}
	return offset
}

// stringEnd returns where the string of JSON ends that a text begins with.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
