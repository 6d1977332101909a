package template

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

// Failure is what text/template says of a template that could not be read or carried out.
type Failure struct {
	// Frames lead to the mistake, the outermost template first: one that includes another comes before it. There are
	// none where the message names no place.
	Frames []Frame
	// Message is the mistake itself, without its places.
	Message string
	// Key is the key that a map does not have, where that is the mistake.
	Key string
}

// Frame is a place in a template.
type Frame struct {
	// Name is the name that the template's text was parsed under.
	Name string
	Line int
	// Column counts bytes from 1; it is 0 where only the line is known (a mistake of syntax).
	Column int
	// Expression is what was carried out, as text/template writes it; empty for a mistake of syntax.
	Expression string
}

// The two forms of a place in a message: text/template's exec.go (errorf) and parse/parse.go (errorf). A template that
// failed before its first node has neither line nor column.
var (
	executing = regexp.MustCompile(`^template: ([^\n]+?):(\d+):(\d+): executing "(?:[^"\\]|\\.)*" at <`)
	parsing   = regexp.MustCompile(`^template: ([^\n]+?):(\d+): `)
	missing   = regexp.MustCompile(`^map has no entry for key ("(?:[^"\\]|\\.)*")`)
)

// ParseFailure takes the message of text/template apart. It reads no error but a text, since text/template offers its
// places in no other way.
func ParseFailure(message string) Failure {
	var f Failure
	rest := message
	for {
		i := strings.Index(rest, "template: ")
		if i < 0 {
			break
		}
		at := rest[i:]
		if m := executing.FindStringSubmatch(at); m != nil {
			expression, after, ok := strings.Cut(at[len(m[0]):], ">: ")
			if !ok {
				break
			}
			line, _ := strconv.Atoi(m[2])
			column, _ := strconv.Atoi(m[3])
			f.Frames = append(f.Frames, Frame{Name: m[1], Line: line, Column: column + 1, Expression: expression})
			rest = after
			continue
		}
		m := parsing.FindStringSubmatch(at)
		if m == nil {
			break
		}
		line, _ := strconv.Atoi(m[2])
		f.Frames = append(f.Frames, Frame{Name: m[1], Line: line})
		rest = at[len(m[0]):]
	}
	f.Message = rest
	if m := missing.FindStringSubmatch(rest); m != nil {
		f.Key, _ = strconv.Unquote(m[1])
	}
	return f
}

// Range is the frame's place in text, shown as file. text/template points at the second name of a path like .Values.a.b,
// so that the start is looked for before its column where the line has the expression.
func (f Frame) Range(file string, text []byte) diag.Range {
	r := diag.Range{File: file, Start: diag.Pos{Line: f.Line, Column: 1}}
	line, ok := lineOf(text, f.Line)
	if !ok {
		return r
	}
	if f.Column == 0 {
		trimmed := strings.TrimLeft(line, " \t")
		r.Start.Column = utf8.RuneCountInString(line[:len(line)-len(trimmed)]) + 1
		return r
	}
	start := min(f.Column-1, len(line))
	if i := strings.LastIndex(line[:min(start+len(f.Expression), len(line))], f.Expression); f.Expression != "" && i >= 0 && i <= start {
		start = i
	}
	r.Start.Column = utf8.RuneCountInString(line[:start]) + 1
	if f.Expression != "" && strings.HasPrefix(line[start:], f.Expression) {
		r.End = diag.Pos{Line: f.Line, Column: r.Start.Column + utf8.RuneCountInString(f.Expression)}
	}
	return r
}

func lineOf(text []byte, n int) (string, bool) {
	for line := range strings.Lines(string(text)) {
		if n--; n == 0 {
			return strings.TrimRight(line, "\r\n"), true
		}
	}
	return "", false
}
