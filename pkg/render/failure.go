package render

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
)

// Helm's own forms of an error (pkg/engine, cleanupParseError and cleanupExecError): the first is a mistake of syntax, the
// second what a template says by fail or required.
var (
	parseError     = regexp.MustCompile(`(?s)^parse error at \((.+?):(\d+)(?::\d+)?\): (.*)$`)
	executionError = regexp.MustCompile(`(?s)^execution error at \((.+?):(\d+):(\d+)\): (.*)$`)
	nilPointer     = regexp.MustCompile(`^nil pointer evaluating .*\.([^.]+)$`)
)

// failure is what Helm's engine says of a chart's template.
type failure struct {
	template.Failure
	syntax bool
	// authored says that the message is the chart author's, from fail or required.
	authored bool
}

// authored is what required or fail says, in Helm's words, which name the outermost template alone; its cause names all.
type authored struct {
	message string
	cause   error
}

func (a authored) Error() string { return a.message }
func (a authored) Unwrap() error { return a.cause }

// failureOf takes an error of the engine apart.
func failureOf(err error) failure {
	f := parseFailure(err.Error())
	var a authored
	if errors.As(err, &a) {
		// What the author says may look like a place.
		places, _, _ := strings.Cut(a.cause.Error(), warnStart)
		if frames := template.ParseFailure(places).Frames; len(frames) > 0 {
			f.Frames = frames
		}
	}
	return f
}

// parseFailure takes the engine's message apart, and takes values out of it.
func parseFailure(message string) failure {
	if m := parseError.FindStringSubmatch(message); m != nil {
		line, _ := strconv.Atoi(m[2])
		return failure{Failure: template.Failure{Frames: []template.Frame{{Name: m[1], Line: line}}, Message: m[3]}, syntax: true}
	}
	if m := executionError.FindStringSubmatch(message); m != nil {
		line, _ := strconv.Atoi(m[2])
		column, _ := strconv.Atoi(m[3])
		frame := template.Frame{Name: m[1], Line: line, Column: column + 1}
		return failure{Failure: template.Failure{Frames: []template.Frame{frame}, Message: strings.TrimSpace(m[4])}, authored: true}
	}
	f := template.ParseFailure(message)
	f.Message = template.Redact(f.Message)
	return failure{Failure: f}
}

// failed reports an error of the engine at the innermost template that stands in a file of the chart; the templates that
// led there are its notes. A text that was given to tpl stands in no file.
func (j *job) failed(err error) {
	f := failureOf(err)
	var places []diag.Range
	expression := ""
	for _, frame := range f.Frames {
		text, ok := j.req.Chart.File(j.file(frame.Name))
		if !ok && !strings.Contains(frame.Name, "/") {
			continue
		}
		name := j.display(frame.Name)
		if ok {
			j.r.source(name, text)
		}
		places = append(places, frame.Range(name, text))
		expression = frame.Expression
	}
	at := j.req.Chart.Range
	if len(places) > 0 {
		at = places[len(places)-1]
	}
	code := diag.RenderTemplate
	over, isOver := template.OverBudget(err)
	key, found := j.blame(f)
	var detail string
	switch m := nilPointer.FindStringSubmatch(f.Message); {
	case isOver:
		code, detail = diag.TemplateBudget, "the chart's templates are over their budget: "+over
	case f.authored && found:
		detail = fmt.Sprintf("the chart says: %s. It asks for %s, which %s. Set it in the release's values.",
			strings.TrimSuffix(f.Message, "."), key.path, key.state)
	case f.authored:
		detail = fmt.Sprintf("the chart says: %s. Correct the release's values.", strings.TrimSuffix(f.Message, "."))
	case f.syntax:
		detail = fmt.Sprintf("the template can't be read: %s. Correct it.", f.Message)
	case m != nil && found:
		detail = fmt.Sprintf("%s leads through %s, which %s: what should have %q is null. Set it in the release's values, or correct "+
			"the template.", expression, key.path, key.state, m[1])
	case m != nil && expression != "":
		detail = fmt.Sprintf("%s leads through a value that is not set: what should have %q is null. Set it in the release's values, "+
			"or correct the template.", expression, m[1])
	case found && fieldOf.MatchString(f.Message):
		detail = fmt.Sprintf("the template takes %q from %s, which %s and no map. Correct the release's values, or the template.",
			fieldOf.FindStringSubmatch(f.Message)[1], key.path, key.state)
	case found && strings.HasPrefix(f.Message, "range can't iterate over"):
		detail = fmt.Sprintf("range takes a list or a map, and %s %s. Correct the release's values, or the template.", key.path, key.state)
	case found:
		detail = fmt.Sprintf("the template failed: %s. It was given %s, which %s. Correct the release's values, or the template.",
			f.Message, key.path, key.state)
	default:
		detail = fmt.Sprintf("the template failed: %s. Correct the release's values, or the template.", f.Message)
	}
	d := j.report(code, at, "%s", detail)
	for i := len(places) - 2; i >= 0; i-- {
		d.Notes = append(d.Notes, diag.Note{Message: "called from here", Range: places[i]})
	}
	if found {
		d.Notes = append(d.Notes, j.setHere(key.path)...)
	}
	if !j.req.Release.Range.IsZero() {
		d.Notes = append(d.Notes, diag.Note{Message: "the release", Range: j.req.Release.Range})
	}
}
