package report_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/report"
)

func TestAPlanShowsWhatIsDeferredAndWhatTheServerWarnedOf(t *testing.T) {
	t.Parallel()
	var out, talk bytes.Buffer
	r := report.New(report.Options{Out: &out, Err: &talk})
	plan := diff.Plan{Cluster: "aws/demo", Warnings: []string{"v1 Widget is deprecated"}, Levels: []diff.Level{{Name: "10", Releases: []diff.Release{{
		Name: "app", Namespace: "n", Action: diff.Upgrade, Objects: []diff.Change{{
			ID: manifest.ID{Kind: "Widget", Namespace: "n", Name: "one"}, Action: diff.Update, Reason: "CRD widgets changes before",
			Deferred: "not yet: field not declared in schema", After: map[string]any{"kind": "Widget"},
		}},
	}}}}}
	require.NoError(t, r.Plans([]diff.Plan{plan}, "text"))
	require.Equal(t, `runlevel 10
~ upgrade n/app
  ~ change Widget n/one: CRD widgets changes before
    ? not yet: field not declared in schema
--- live Widget n/one
+++ wanted Widget n/one
@@ -0,0 +1 @@
+kind: Widget
`, out.String())
	require.Equal(t, "warning: the API server: v1 Widget is deprecated\naws/demo: 1 release to upgrade; objects: 1 to change\n", talk.String())

	talk.Reset()
	r.Result(report.Result{Cluster: "aws/demo", Result: apply.Result{Warnings: []string{"v1 Gadget is deprecated"}}})
	require.Contains(t, talk.String(), "warning: the API server: v1 Gadget is deprecated\n")
}

func TestResultsCountTimeInSeconds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	require.NoError(t, r.Results([]report.Result{{Cluster: "aws/demo", Elapsed: 1500 * time.Millisecond}}))
	require.Contains(t, out.String(), `"elapsedSeconds": 1.5`)
	require.Contains(t, out.String(), `"cluster": "aws/demo"`)
}
