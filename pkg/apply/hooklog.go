package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
)

// LogReader reads what Pods wrote.
type LogReader interface {
	// Logs reads the last lines of each container of a placed Pod, or of the Pods of a Job: empty for other kinds. What could
	// be read is returned beside an error.
	Logs(ctx context.Context, object manifest.Object, lines int) (string, error)
}

// How many lines of each container are shown of a hook by its policy, and in the error of one that failed; how many such an error
// has at most; and how long reading them may take.
const (
	hookLines   = 1000
	failedLines = 20
	errorLines  = 40
	logPatience = 10 * time.Second
)

// hookLogs tells what the Pods of a hook wrote, where its policy or the run asks for that. Of one that failed it returns the end
// of it otherwise, for the error. Logs that can't be read are told, and are no failure of the run.
func (r *run) hookLogs(ctx context.Context, s *step, h manifest.Hook, failed bool) string {
	when := manifest.HookSucceeded
	if failed {
		when = manifest.HookFailed
	}
	whole := s.logs || h.Logs(when)
	if !whole && !failed {
		return ""
	}
	lines := hookLines
	if !whole {
		lines = failedLines
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logPatience)
	defer cancel()
	var text strings.Builder
	for _, o := range r.parts(ctx, s, h) {
		said, err := r.cluster.Logs(ctx, o, lines)
		text.WriteString(said)
		if err != nil && whole {
			fmt.Fprintf(&text, "%s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if whole {
		if text.Len() > 0 {
			r.tell(s, Event{Kind: HookLog, Object: h.ID, Message: strings.TrimRight(text.String(), "\n")})
		}
		return ""
	}
	all := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-errorLines):], "\n")
}

// logged is the failure of a hook with the end of what its Pods wrote, which stays out of the record: that is read by more people.
type logged struct {
	error
	text string
}

func (l *logged) Error() string {
	return l.error.Error() + "; it wrote:\n    " + strings.ReplaceAll(l.text, "\n", "\n    ")
}

func (l *logged) Unwrap() error { return l.error }

// parts are the objects of a hook at their places: the items of one that is a list, which Helm's client runs one by one.
func (r *run) parts(ctx context.Context, s *step, h manifest.Hook) []manifest.Object {
	objects := render.Flat(h)
	if len(objects) == 1 && objects[0].ID == h.ID {
		return []manifest.Object{h.Object}
	}
	for i := range objects {
		if err := r.placeHook(ctx, s, &objects[i]); err != nil {
			continue // who creates it gets the error
		}
	}
	return objects
}

// deleteHook begins to delete what a hook made.
func (r *run) deleteHook(ctx context.Context, s *step, h manifest.Hook) error {
	var errs []error
	for _, o := range r.parts(ctx, s, h) {
		_, err := r.cluster.Delete(ctx, o, manifest.Owner{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// recorded is the text of a failure as a record has it: without what Pods wrote.
func recorded(reason error) string {
	text := reason.Error()
	for err := reason; err != nil; err = errors.Unwrap(err) {
		if l, ok := err.(*logged); ok {
			return strings.Replace(text, l.Error(), l.error.Error(), 1)
		}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				text = strings.Replace(text, e.Error(), recorded(e), 1)
			}
			return text
		}
	}
	return text
}
