package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	"go.yaml.in/yaml/v3"
)

// The budgets of one text.
const (
	// MaxBytes is the longest text that is read.
	MaxBytes = 16 << 20
	// MaxDepth is how many maps and lists may stand in each other.
	MaxDepth = 256
	// MaxNodes is how many keys and values a text may have once its aliases are expanded.
	MaxNodes = 4_000_000
	// MaxFindings is how many findings of one text are reported; nobody reads more.
	MaxFindings = 1000
)

// Read reads one document as Helm and kubectl read it (sigs.k8s.io/yaml, YAML 1.1), and gives every key and value its
// place. An integer of the result is an int64; one that does not fit is a float64, as in Helm. The value of a text that
// Read accepts without an error equals the value of Decode.
//
// It is strict where that reading loses something without a word: equal keys, keys that are no strings, documents after
// the first, unknown tags, other encodings. It reports all it finds; after an invalid syntax, an encoding or a budget
// that is all. The tree is nil only then. A text without a value is an empty map.
func Read(text []byte, o ReadOptions) (*value.Node, diag.Diagnostics) {
	return read(text, o, false)
}

// ReadState reads one document as helmfile reads its state files (go.yaml.in/yaml/v3): only true and false are booleans, a
// date is the string that stands there, a key is the text that stands there, and an explicit key beats a merged one.
// Unknown tags are ignored. It is as strict as Read about equal keys, documents and encodings.
func ReadState(text []byte, o ReadOptions) (*value.Node, diag.Diagnostics) {
	return read(text, o, true)
}

func read(text []byte, o ReadOptions, state bool) (*value.Node, diag.Diagnostics) {
	r := &reader{text: text, o: o, state: state}
	if !r.checkBytes() {
		return nil, r.diags
	}
	r.index()
	docs, err := parse(text)
	if err != nil {
		r.syntax(err)
		return nil, r.diags
	}
	if !state && bytes.IndexByte(text, '#') >= 0 && tabFirst.Match(text) {
		if _, err := Decode(text); err != nil {
			r.helmRefuses(err)
			return nil, r.diags
		}
	}
	root := r.document(docs)
	if r.stopped {
		return nil, r.diags
	}
	return root, r.diags
}

// tabFirst finds a tab in the white space that a line begins with. Around comments our parser takes it for a blank, and
// Helm's does not always; a text with both is read twice, since nothing shorter tells.
var tabFirst = regexp.MustCompile("(?:^|[\r\n\u0085\u2028\u2029]) *\t")

// helmRefuses reports an error of Helm's own reading.
func (r *reader) helmRefuses(err error) {
	_, text, _ := strings.Cut(err.Error(), "yaml: ")
	message, line := splitError(errors.New("yaml: " + text))
	r.fail(diag.YAMLSyntax, r.wholeLine(line), "%s. %s", message, advice(message))
}

// reader makes a value tree of one text.
type reader struct {
	text  []byte
	o     ReadOptions
	state bool
	diags diag.Diagnostics
	// stopped is set when a budget is spent: nothing that follows means anything.
	stopped bool

	lines []int
	ascii bool
	// at is a place whose offset is known: columns of a long line are counted from there and not from its start.
	at struct{ line, column, offset int }

	// counted, aliased and depth follow the decoder of Helm's YAML library, which refuses a text by their ratio.
	counted, aliased, aliasDepth int
	open                         map[*yaml.Node]bool
	known                        map[*yaml.Node]token
}

// token is where a node stands in the text: offsets, and the same as a range.
type token struct {
	end    int
	place  diag.Range
	forced bool
}

// checkBytes reports whether the text is one that a YAML parser should see.
func (r *reader) checkBytes() bool {
	switch {
	case len(r.text) > MaxBytes:
		r.fail(diag.YAMLTooLarge, diag.Range{File: r.o.File},
			"the file has %d bytes and at most %d are read. Split it.", len(r.text), MaxBytes)
	case bytes.HasPrefix(r.text, []byte("\xef\xbb\xbf")):
		r.fail(diag.YAMLEncoding, r.line1(),
			"the file starts with a byte order mark. Save it as UTF-8 without one.")
	case bytes.HasPrefix(r.text, []byte("\xff\xfe")), bytes.HasPrefix(r.text, []byte("\xfe\xff")):
		r.fail(diag.YAMLEncoding, r.line1(), "the file is UTF-16. Save it as UTF-8.")
	case separators(r.text) > MaxNodes:
		// The parser makes its nodes before anyone can count them, so they are guessed beforehand.
		r.stop(r.line1(), "the file has more than %d values. Split it.", MaxNodes)
	default:
		return r.checkCharacters()
	}
	return false
}

// separators counts what may begin a value, comments and texts included.
func separators(text []byte) int {
	if len(text) < MaxNodes {
		return 0
	}
	n := 0
	for _, c := range text {
		switch c {
		case ',', '[', '{', '\n', ':', '?':
			n++
		}
	}
	return n
}

func (r *reader) checkCharacters() bool {
	r.ascii = true
	for i := 0; i < len(r.text); {
		c := r.text[i]
		if c != 0 && c < utf8.RuneSelf {
			i++
			continue
		}
		r.ascii = false
		size := 1
		if c != 0 {
			_, size = utf8.DecodeRune(r.text[i:])
		}
		if size > 1 {
			i += size
			continue
		}
		r.index()
		what := "a byte that is not UTF-8"
		if c == 0 {
			what = "a NUL byte"
		}
		r.fail(diag.YAMLEncoding, r.span(i, i+1), "here stands %s. Save the file as UTF-8 text.", what)
		return false
	}
	return true
}

func (r *reader) line1() diag.Range {
	return diag.Range{File: r.o.File, Start: diag.Pos{Line: 1, Column: 1}}
}

func (r *reader) fail(code diag.Code, at diag.Range, format string, args ...any) {
	r.report(diag.Error, code, at, fmt.Sprintf(format, args...))
}

// report adds a finding; what an alias repeats was reported at its anchor.
func (r *reader) report(s diag.Severity, code diag.Code, at diag.Range, detail string, notes ...diag.Note) {
	if r.aliasDepth > 0 || r.stopped || len(r.diags) >= MaxFindings && s != diag.Error {
		return
	}
	if len(r.diags) > 2*MaxFindings {
		return // errors have room left after the warnings
	}
	r.diags = append(r.diags, diag.Diagnostic{Severity: s, Code: code, Range: at, Detail: detail, Notes: notes, Secret: r.o.Secret})
}

// stop reports a spent budget and ends the reading.
func (r *reader) stop(at diag.Range, format string, args ...any) {
	if r.stopped {
		return
	}
	r.aliasDepth = 0
	r.fail(diag.YAMLTooLarge, at, format, args...)
	r.stopped = true
}

// parse returns the documents of a text as nodes.
func parse(text []byte) (docs []*yaml.Node, err error) {
	// The parser is a port of a C library with some ten thousand lines and a history of panics on odd input. The input is
	// half trusted, so such a panic is a syntax error and not the end of the program.
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, errors.New("the YAML parser gave up on this text")
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		doc := &yaml.Node{}
		err := d.Decode(doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

var lineOfError = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports the parser's error at the line where it happened.
func (r *reader) syntax(err error) {
	message, line := splitError(err)
	at := r.line1()
	switch {
	case strings.HasPrefix(message, "unknown anchor"):
		r.fail(diag.YAMLBadAlias, r.anchorUse(message), "%s. Define the anchor before it is used.", message)
		return
	case strings.HasPrefix(message, "did not find expected") && len(r.text) <= searchable:
		// The parser's own line is the one before the block that the error is in, which may be far above.
		at = r.wholeLine(r.firstFailing(message))
	case line > 0:
		at = r.wholeLine(line)
	}
	r.fail(diag.YAMLSyntax, at, "%s. %s", message, advice(message))
}

func splitError(err error) (message string, line int) {
	text := err.Error()
	m := lineOfError.FindStringSubmatch(text)
	if m == nil {
		return text, 0
	}
	if m[1] != "" {
		line, _ = strconv.Atoi(m[1]) // the expression matched digits; too many of them are no line of ours: 0
	}
	return text[len(m[0]):], line
}

// searchable is the longest text that is parsed again and again to find the line of an error.
const searchable = 1 << 18

// firstFailing returns the line whose coming makes the text fail with message: texts that end before it do not.
func (r *reader) firstFailing(message string) int {
	low, high := 0, len(r.lines)
	for high-low > 1 {
		mid := (low + high) / 2
		end := len(r.text)
		if mid < len(r.lines) {
			end = r.lines[mid]
		}
		_, err := parse(r.text[:end])
		if err != nil {
			if m, _ := splitError(err); m == message {
				high = mid
				continue
			}
		}
		low = mid
	}
	return high
}

// anchorUse finds the alias that the parser named.
func (r *reader) anchorUse(message string) diag.Range {
	_, name, _ := strings.Cut(message, "'")
	name, _, _ = strings.Cut(name, "'")
	i := bytes.Index(r.text, []byte("*"+name))
	if i < 0 {
		return r.line1()
	}
	return r.span(i, i+1+len(name))
}

// shown is a scalar's text in a sentence.
func (r *reader) shown(n *yaml.Node) string {
	if r.o.Secret {
		return "the value"
	}
	return n.Value
}

// advice says what usually mends a syntax error.
func advice(message string) string {
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		return `Quote a value that contains ": ", or correct the indentation` + "."
	case strings.Contains(message, "cannot start any token"):
		return "Indent with spaces, and quote a value that starts with a special character."
	case strings.Contains(message, "could not find expected ':'"):
		return "Write the key as \"key: value\"."
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "did not find expected '-'"):
		return "Align this line with its siblings, or quote the value."
	case strings.Contains(message, "unexpected end of stream"):
		return "Close the quotation."
	default:
		return "Correct the line, or what stands open before it."
	}
}

// index notes where the lines begin. The breaks are YAML 1.1's, since the parser counts them so.
func (r *reader) index() {
	if r.lines != nil {
		return
	}
	r.lines = make([]int, 1, bytes.Count(r.text, []byte("\n"))+1)
	for i := 0; i < len(r.text); i++ {
		switch r.text[i] {
		case '\n':
			r.lines = append(r.lines, i+1)
		case '\r':
			if i+1 == len(r.text) || r.text[i+1] != '\n' {
				r.lines = append(r.lines, i+1)
			}
		case 0xc2, 0xe2:
			if size := wideBreak(r.text[i:]); size > 0 {
				r.lines = append(r.lines, i+size)
			}
		}
	}
	r.at.line, r.at.column, r.at.offset = 1, 1, 0
}

// wideBreak returns the size of the line break beyond ASCII that text starts with (NEL, LS, PS), or 0.
func wideBreak(text []byte) int {
	for _, b := range []string{"\u0085", "\u2028", "\u2029"} {
		if len(text) >= len(b) && string(text[:len(b)]) == b {
			return len(b)
		}
	}
	return 0
}

// offset returns where a place stands in the text.
func (r *reader) offset(line, column int) int {
	if line < 1 || line > len(r.lines) {
		return len(r.text)
	}
	if r.ascii {
		return min(r.lines[line-1]+column-1, len(r.text))
	}
	if r.at.line != line || r.at.column > column {
		r.at.line, r.at.column, r.at.offset = line, 1, r.lines[line-1]
	}
	for r.at.column < column && r.at.offset < len(r.text) {
		_, size := utf8.DecodeRune(r.text[r.at.offset:])
		r.at.offset += size
		r.at.column++
	}
	return r.at.offset
}

// pos is the inverse of offset.
func (r *reader) pos(offset int) diag.Pos {
	// Most places are on the line of the last one or just below.
	line := r.at.line
	if line < 1 || r.lines[line-1] > offset || line+1 < len(r.lines) && r.lines[line+1] <= offset {
		var exact bool
		line, exact = slices.BinarySearch(r.lines, offset)
		if exact {
			line++
		}
	} else if line < len(r.lines) && r.lines[line] <= offset {
		line++
	}
	start := r.lines[line-1]
	if r.ascii {
		r.at.line = line
		return diag.Pos{Line: line, Column: offset - start + 1}
	}
	if r.at.line != line || r.at.offset > offset {
		r.at.line, r.at.column, r.at.offset = line, 1, start
	}
	r.at.column += utf8.RuneCount(r.text[r.at.offset:offset])
	r.at.offset = offset
	return diag.Pos{Line: line, Column: r.at.column}
}

func (r *reader) span(start, end int) diag.Range {
	return diag.Range{File: r.o.File, Start: r.pos(start), End: r.pos(end)}
}

// wholeLine is what stands on a line, without its indentation.
func (r *reader) wholeLine(line int) diag.Range {
	line = min(max(line, 1), len(r.lines))
	start, end := r.lines[line-1], len(r.text)
	if line < len(r.lines) {
		end = r.lines[line]
	}
	text := r.text[start:end]
	start += len(text) - len(bytes.TrimLeft(text, " \t"))
	end = start + len(bytes.TrimRight(r.text[start:end], " \t\r\n"))
	return r.span(start, max(start, end))
}
