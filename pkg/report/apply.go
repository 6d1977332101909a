package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Event shows the progress of a run: what begins, what it waits for, how it ends. Single objects are not told.
func (r *Reporter) Event(e apply.Event) {
	release := manifest.Key(e.Namespace, e.Release)
	switch e.Kind {
	case apply.LevelStarted:
		r.Talk("%s", r.paint(bold, "runlevel "+e.Level))
	case apply.ReleaseStarted:
		r.Talk("  %s %s", release, doing(e.Action))
	case apply.HookStarted:
		r.Talk("  %s hook %s", release, e.Object)
	case apply.HookLog:
		for line := range strings.Lines(e.Message) {
			r.Talk("  %s hook %s | %s", release, e.Object, strings.TrimRight(line, "\r\n"))
		}
	case apply.Waiting:
		r.Talk("  %s waits: %s", release, e.Message)
	case apply.ReleaseDone:
		r.Talk("  %s %s in %s", release, r.paint(green, done(e)), round(e.Elapsed))
	case apply.ReleaseFailed:
		r.Talk("  %s %s after %s: %s", release, r.paint(red, "failed"), round(e.Elapsed), e.Message)
	case apply.ReleaseReturned:
		r.Talk("  %s %s after %s", release, r.paint(yellow, e.Message), round(e.Elapsed))
	case apply.LockWaiting:
		r.Talk("%s", e.Message)
	case apply.ProgramSaid:
		r.Talk("%s", strings.TrimRight(e.Message, "\n"))
	case apply.ReleaseSkipped:
		r.Talk("  %s %s", release, r.paint(yellow, "not started"))
	}
}

// Result is what a run did on one cluster.
type Result struct {
	Cluster string       `json:"cluster,omitempty"`
	Plan    diff.Plan    `json:"plan"`
	Result  apply.Result `json:"result"`
	Error   string       `json:"error,omitempty"`
	// Elapsed is how long it took; in JSON it is elapsedSeconds.
	Elapsed time.Duration `json:"-"`
}

// MarshalJSON writes times in seconds.
func (r Result) MarshalJSON() ([]byte, error) {
	type result Result
	return json.Marshal(struct {
		result
		ElapsedSeconds float64 `json:"elapsedSeconds"`
	}{result(r), r.Elapsed.Seconds()})
}

// Result sums a run up in one line.
func (r *Reporter) Result(result Result) {
	where := result.Cluster
	if where == "" {
		where = result.Plan.Context
	}
	r.warned(result.Result.Warnings)
	applied, uninstalled := result.Result.Count(apply.Applied), result.Result.Count(apply.Uninstalled)
	failed, rest := result.Result.Count(apply.Failed), result.Result.Count(apply.NotStarted)
	text := fmt.Sprintf("%s: %s applied", where, Plural(applied, "release"))
	if uninstalled > 0 {
		text += fmt.Sprintf(", %d uninstalled", uninstalled)
	}
	if back := result.Result.Count(apply.Returned); back > 0 {
		text += fmt.Sprintf(", %d taken back", back)
	}
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if rest > 0 {
		text += fmt.Sprintf(", %d not started", rest)
	}
	r.Talk("%s in %s", text, round(result.Elapsed))
}

// Results prints what runs did as one JSON document.
func (r *Reporter) Results(results []Result) error {
	if results == nil {
		results = []Result{}
	}
	return r.JSON(struct {
		FormatVersion int      `json:"formatVersion"`
		Results       []Result `json:"results"`
	}{FormatVersion, results})
}

// EventJSON writes an event as one line of JSON on the talk's side.
func (r *Reporter) EventJSON(e apply.Event) error {
	line, err := r.document(r.err, e)
	if err != nil {
		return err
	}
	_, err = r.err.to.Write(append(line, '\n'))
	return err
}

func doing(a diff.ReleaseAction) string {
	switch a {
	case diff.Install:
		return "installing"
	case diff.Upgrade:
		return "upgrading"
	case diff.Uninstall:
		return "uninstalling"
	}
	return string(a)
}

func done(e apply.Event) string {
	switch e.Action {
	case diff.Install:
		return fmt.Sprintf("installed, revision %d,", e.Revision)
	case diff.Upgrade:
		return fmt.Sprintf("upgraded, revision %d,", e.Revision)
	}
	return "uninstalled"
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
