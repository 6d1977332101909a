package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/redkubes/otomi/pkg/manifest"
)

// refused turns an API server's answer about an object into a *manifest.Refusal, and anything else into an error that
// says what was being done.
func refused(doing string, id manifest.ID, err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s %s: %w", doing, id, clean(err))
	}
	status := answer.Status()
	r := &manifest.Refusal{ID: id, Reason: manifest.RefusedInvalid, Message: message(id, status), Fields: fields(status)}
	switch status.Code {
	case http.StatusNotFound:
		r.Reason = manifest.RefusedUnknownKind
		if status.Details != nil && status.Details.Kind == "namespaces" {
			r.Reason = manifest.RefusedNoNamespace
		}
	case http.StatusForbidden:
		r.Reason = manifest.RefusedForbidden
		if apierrors.HasStatusCause(err, v1.NamespaceTerminatingCause) {
			r.Reason = manifest.RefusedTerminating
		}
	case http.StatusConflict:
		r.Reason = manifest.RefusedConflict
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge,
		http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusInternalServerError:
		if status.Code == http.StatusBadRequest && noDryRun.MatchString(status.Message) {
			r.Reason = manifest.RefusedRehearsal
		}
	default:
		return fmt.Errorf("%s %s: %s", doing, id, r.Message)
	}
	return r
}

// noDryRun is how the API server says that a webhook takes no dry run. The answer has no cause or code of its own, so that its
// words are all there is (k8s.io/apiserver, pkg/admission/plugin/webhook/errors, NewDryRunUnsupportedErr).
var noDryRun = regexp.MustCompile(`^admission webhook "[^"]*" does not support dry run$`)

// fields are the names of the fields that an answer complains of.
func fields(status metav1.Status) []string {
	if status.Details == nil {
		return nil
	}
	var out []string
	for _, cause := range status.Details.Causes {
		if cause.Field != "" && cause.Field != "<nil>" && !slices.Contains(out, cause.Field) {
			out = append(out, cause.Field)
		}
	}
	return out
}

// message is what the API server says of an object, without the parts of the object that it quotes: they may be long, and
// may hold a secret. About a Secret it is only what outline says.
func message(id manifest.ID, status metav1.Status) string {
	if id.Kind == "Secret" && id.Group == "" {
		return outline(status) + " (its words are left out: they may hold the secret)"
	}
	if status.Code != http.StatusUnprocessableEntity || status.Details == nil || len(status.Details.Causes) == 0 {
		return unquoted(strings.TrimSpace(status.Message))
	}
	var lines []string
	for _, cause := range status.Details.Causes {
		line := complaint(cause.Message)
		if cause.Field != "" && cause.Field != "<nil>" {
			line = cause.Field + ": " + line
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// The words that begin a complaint which quotes a value, before the value
// (k8s.io/apimachinery/pkg/util/validation/field.Error.ErrorBody).
var quoting = []string{
	field.ErrorTypeInvalid.String(), field.ErrorTypeTypeInvalid.String(), field.ErrorTypeNotSupported.String(),
	field.ErrorTypeNotFound.String(), field.ErrorTypeDuplicate.String(), field.ErrorTypeTooMany.String(),
	field.ErrorTypeTooFew.String(),
}

// complaint is the message about one field with its value only where that is short: "Invalid value: -1: must be …", but
// "field is immutable" of a whole pod template.
func complaint(text string) string {
	for _, words := range quoting {
		rest, ok := strings.CutPrefix(text, words+": ")
		if !ok {
			continue
		}
		value, detail := cutValue(rest)
		switch {
		case short(value):
			return unquoted(text)
		case detail == "":
			return words
		case words == field.ErrorTypeInvalid.String():
			return unquoted(detail)
		}
		return words + ": " + unquoted(detail)
	}
	return unquoted(text)
}

// cutValue splits "VALUE: detail", where the value may hold quotes, brackets and colons of its own. Where its end can't be
// told, all is value.
func cutValue(text string) (value, detail string) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted, err := strconv.QuotedPrefix(text[i:])
			if err != nil {
				return text, ""
			}
			i += len(quoted) - 1
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth--
		case ':':
			if depth == 0 && strings.HasPrefix(text[i:], ": ") {
				return text[:i], text[i+2:]
			}
		}
	}
	return text, ""
}

// short reports whether a quoted value helps more than it tells: a number, a boolean, a word.
func short(value string) bool {
	return len(value) <= 40 && !strings.ContainsAny(value, "{[(\n")
}

// goValue begins a value that the API server prints as Go does: "expected list, got &value.valueUnstructured{Value:true}".
var goValue = regexp.MustCompile(`&(value\.valueUnstructured)?\{(Value:)?`)

// longest is how much of the API server's own words is passed on, in bytes.
const longest = 1000

// unquoted is a message in which whatever looks like a part of an object is replaced by what kind of thing it is.
func unquoted(text string) string {
	for {
		at := goValue.FindStringIndex(text)
		if at == nil {
			break
		}
		// A string in it stands without quotes, so the last bracket of the line is taken for its end.
		line, _, _ := strings.Cut(text[at[0]:], "\n")
		end := at[0] + len(line)
		if i := strings.LastIndexByte(line, '}'); i >= 0 {
			end = at[0] + i + 1
		}
		text = text[:at[0]] + named(text[at[1]:]) + text[end:]
	}
	for from := 0; from < len(text); {
		i := strings.IndexAny(text[from:], "\"{[")
		if i < 0 {
			break
		}
		i += from
		end := i + 1
		if text[i] == '"' {
			if quoted, err := strconv.QuotedPrefix(text[i:]); err == nil {
				end = i + len(quoted)
			}
			if end-i > 80 {
				text = text[:i] + `"…"` + text[end:]
				end = i + len(`"…"`)
			}
		} else if end = closing(text, i); end-i > 80 {
			text = text[:i+1] + "…" + text[end-1:]
			end = i + 1 + len("…") + 1
		}
		from = max(end, i+1)
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + " …"
	}
	return text
}

// closing is where the bracket that opens at or after a place is closed, past it; the end of the text where it never is.
func closing(text string, from int) int {
	depth := 0
	for i := from; i < len(text); i++ {
		switch text[i] {
		case '"':
			if quoted, err := strconv.QuotedPrefix(text[i:]); err == nil {
				i += len(quoted) - 1
			}
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// named says what kind of thing a value that Go printed is.
func named(value string) string {
	word, _, _ := strings.Cut(value, "}")
	switch {
	case strings.HasPrefix(value, "map["):
		return "a map"
	case strings.HasPrefix(value, "["):
		return "a list"
	case strings.HasPrefix(value, `"`):
		return "a string"
	case word == "true" || word == "false":
		return "the boolean " + word
	case word == "<nil>" || word == "interface {}(nil)":
		return "null"
	}
	if _, err := strconv.ParseFloat(word, 64); err == nil {
		return "the number " + word
	}
	return "something else"
}

// secretError is an error about a release record without the API server's own words, which may hold the record.
func secretError(err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return clean(err)
	}
	return errors.New(outline(answer.Status()))
}

// listError is an error about a list: its words hold no object. A forbidden one says who may not list what, and what to do.
func listError(err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return clean(err)
	}
	status := answer.Status()
	if status.Code == http.StatusForbidden {
		return fmt.Errorf("%s: let a role of the user allow the verb list there", strings.TrimSpace(status.Message))
	}
	return errors.New(outline(status))
}

// recordError is an error about the writing of a release record: a *manifest.Refusal where the API server declined. Its own
// words are left out, for they may hold the record.
func recordError(s manifest.Stored, err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return clean(err)
	}
	status := answer.Status()
	r := &manifest.Refusal{
		ID:      manifest.ID{Kind: "Secret", Namespace: s.Namespace, Name: recordName(s.Name, s.Revision)},
		Message: outline(status),
	}
	switch status.Code {
	case http.StatusConflict:
		r.Reason = manifest.RefusedConflict
	case http.StatusForbidden:
		r.Reason = manifest.RefusedForbidden
	case http.StatusNotFound, http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		r.Reason = manifest.RefusedInvalid
	default:
		return errors.New(r.Message)
	}
	if status.Code == http.StatusRequestEntityTooLarge || apierrors.HasStatusCause(err, metav1.CauseTypeTooLong) {
		r.Message += ". The record holds the rendered manifest and the values, and no Secret may be larger than 1 MiB: split " +
			"the release, or take large files out of its chart and values"
	}
	return r
}

// outline is an answer without its words: its code and reason, and the kind of each cause with the name of its field.
func outline(status metav1.Status) string {
	text := strings.TrimSpace(fmt.Sprintf("the API server answered %d %s", status.Code, status.Reason))
	if status.Details == nil {
		return text
	}
	for _, cause := range status.Details.Causes {
		if cause.Field != "" {
			text += fmt.Sprintf(", %s at %s", cause.Type, cause.Field)
		}
	}
	return text
}

// isNotFound reports whether the object itself is not there; a namespace that is not there counts as well.
func isNotFound(err error) bool { return apierrors.IsNotFound(err) }
