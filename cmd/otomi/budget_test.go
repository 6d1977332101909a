package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

func TestWhoDeletesMuchIsAskedAgain(t *testing.T) {
	t.Parallel()
	plan := pipeline.Plan{Levels: []diff.Level{{Releases: []diff.Release{{Objects: []diff.Change{
		{ID: manifest.ID{Kind: "PersistentVolumeClaim", Namespace: "a", Name: "data"}, Action: diff.Delete},
		{ID: manifest.ID{Kind: "ConfigMap", Namespace: "a", Name: "c"}, Action: diff.Delete},
	}}}}}}
	budget := &budgetOptions{objects: 1}
	const refused = "this deletes 2 objects, more than 1: PersistentVolumeClaim a/data, ConfigMap a/c; this deletes what takes more " +
		"along than itself: PersistentVolumeClaim a/data. Nothing was changed; if that is meant, add --max-deletions 2 --allow-deletion pvc"
	for name, c := range map[string]struct {
		terminal bool
		q        question
		answer   string
		want     string
	}{
		"nobody can be asked":   {false, question{budget: budget}, "delete\n", refused},
		"--yes is no consent":   {true, question{budget: budget, yes: true}, "delete\n", refused},
		"no plan was shown":     {true, question{budget: budget, json: true}, "delete\n", refused},
		"asked, and said so":    {true, question{budget: budget}, "delete\n", ""},
		"asked, and said yes":   {true, question{budget: budget}, "yes\n", "exit 1"},
		"allowed":               {false, question{budget: &budgetOptions{objects: 2, kinds: []string{"pvc"}}}, "", ""},
		"deleting is the point": {false, question{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var talk bytes.Buffer
			a := &app{world: world{stdin: strings.NewReader(c.answer), stdinTerminal: c.terminal, stderrTerminal: c.terminal,
				env: func(string) string { return "" }}}
			a.report = report.New(report.Options{Err: &talk})
			err := a.afford(context.Background(), []pipeline.Plan{plan}, c.q)
			switch c.want {
			case "":
				require.NoError(t, err)
			case "exit 1":
				require.Equal(t, exit(exitFailed), err)
				require.Contains(t, talk.String(), "PersistentVolumeClaim a/data. Only `delete` goes on: nothing was changed")
			default:
				require.EqualError(t, err, c.want)
			}
		})
	}
}

func TestTimesMayBeSeconds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"300": 5 * time.Minute, "5m30s": 330 * time.Second, "0": 0} {
		var s seconds
		require.NoError(t, s.Set(text))
		require.Equal(t, want, time.Duration(s))
	}
	var s seconds
	require.Error(t, s.Set("soon"))
}
