package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	r := &manifest.Refusal{ID: id, Reason: manifest.RefusedInvalid, Message: message(id, status)}
	switch status.Code {
	case http.StatusNotFound:
		r.Reason = manifest.RefusedUnknownKind
		if status.Details != nil && status.Details.Kind == "namespaces" {
			r.Reason = manifest.RefusedNoNamespace
		}
	case http.StatusForbidden:
		r.Reason = manifest.RefusedForbidden
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusInternalServerError:
	default:
		return fmt.Errorf("%s %s: %s", doing, id, r.Message)
	}
	return r
}

// message is the API server's sentence; about a Secret, whose body it may quote, only what outline says.
func message(id manifest.ID, status metav1.Status) string {
	if id.Kind != "Secret" || id.Group != "" {
		return strings.TrimSpace(status.Message)
	}
	return outline(status) + " (its words are left out: they may hold the secret)"
}

// secretError is an error about a release record without the API server's own words, which may hold the record.
func secretError(err error) error {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return clean(err)
	}
	return errors.New(outline(answer.Status()))
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
