package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/report"
)

// hostile is what somebody may write into an object to get out of its fence.
const hostile = "```\n</details>\n@everyone <script>alert(1)</script> ````` **bold**"

func hostilePlan(releases int) diff.Plan {
	p := diff.Plan{Cluster: "a/one", Levels: []diff.Level{{Name: "10-apps"}}}
	for i := range releases {
		p.Levels[0].Releases = append(p.Levels[0].Releases, diff.Release{
			Name: fmt.Sprint("web-", i), Namespace: "apps", Action: diff.Upgrade, Reason: hostile,
			Objects: []diff.Change{
				{
					ID: manifest.ID{Kind: "ConfigMap", Namespace: "apps", Name: "web"}, Action: diff.Update,
					Before: map[string]any{"data": map[string]any{"a": "x", "s": "hunter2"}},
					After:  map[string]any{"data": map[string]any{"a": hostile, "s": "hunter3"}},
				},
				{ID: manifest.ID{Group: "apps", Kind: "StatefulSet", Name: "db"}, Action: diff.Replace, Invalid: hostile},
				{ID: manifest.ID{Kind: "PersistentVolumeClaim", Name: "db"}, Action: diff.Delete},
				{ID: manifest.ID{Group: "rbac.authorization.k8s.io", Kind: "Role", Name: "r"}, Action: diff.Create},
				{
					ID: manifest.ID{Kind: "Pod", Name: "p"}, Action: diff.Update,
					Before: map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "c:1"}}}},
					After:  map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "c:2"}}}},
				},
			},
		})
	}
	return p
}

func markdown(t *testing.T, p diff.Plan, most int) string {
	t.Helper()
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	r.Hide([]string{"hunter2", "hunter3"})
	require.NoError(t, r.PlansOf([]diff.Plan{p}, report.PlanOptions{Format: "markdown", Context: 3, MaxLength: most}))
	return out.String()
}

func TestMarkdownNamesTheDangerousFirstAndKeepsContentInItsFence(t *testing.T) {
	t.Parallel()
	text := markdown(t, hostilePlan(1), 0)
	require.NotContains(t, text, "hunter")
	require.Contains(t, text, "(secret, changed)")
	fence := ""
	details := 0
	var order []int
	for i, line := range strings.Split(text, "\n") {
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
		case strings.HasSuffix(line, "diff") && strings.HasPrefix(line, "```"):
			fence = strings.TrimSuffix(line, "diff")
			require.Greater(t, len(fence), 5, "longer than any in the content")
		default:
			require.NotContains(t, strings.ReplaceAll(line, "`", ""), "<script>"+"\n")
			details += strings.Count(line, "<details>") - strings.Count(line, "</details>")
			if strings.Contains(line, "</details>") && line != "</details>" {
				require.Contains(t, line, "`", "only within code")
				details++
			}
		}
		for _, word := range []string{"- can't be applied", "- deletes `Pers", "- deletes and makes anew", "- rights (create)", "- images of `Pod p`"} {
			if strings.HasPrefix(line, word) {
				order = append(order, i)
			}
		}
	}
	require.Empty(t, fence)
	require.Zero(t, details)
	require.Len(t, order, 5)
	require.IsIncreasing(t, order)
	require.Contains(t, text, "`c:1` → `c:2`")
}

func TestMarkdownLosesDetailBeforeCounts(t *testing.T) {
	t.Parallel()
	p := hostilePlan(200)
	whole := markdown(t, p, 1<<30)
	last := len(whole)
	for _, most := range []int{report.GitHubLength, 20_000, 5_000, 1_000, 400} {
		text := markdown(t, p, most)
		require.LessOrEqual(t, len(text), most)
		require.LessOrEqual(t, len(text), last)
		last = len(text)
		require.Contains(t, text, "200 releases to upgrade", "the counts stay")
		require.Equal(t, strings.Count(text, "<details>"), strings.Count(text, "\n</details>"))
	}
}

func TestMarkdownStaysWithinItsBoundWhereSecretsAreShorterThanWhatStandsForThem(t *testing.T) {
	t.Parallel()
	var lines []string
	for range 3000 {
		lines = append(lines, "Qz7!Qz7!")
	}
	p := diff.Plan{Cluster: "a/one", Levels: []diff.Level{{Name: "10-apps", Releases: []diff.Release{{
		Name: "web", Namespace: "apps", Action: diff.Upgrade, Objects: []diff.Change{{
			ID: manifest.ID{Kind: "ConfigMap", Namespace: "apps", Name: "web"}, Action: diff.Create,
			After: map[string]any{"data": map[string]any{"a": strings.Join(lines, "\n")}},
		}},
	}}}}}
	var out bytes.Buffer
	r := report.New(report.Options{Out: &out})
	r.Hide([]string{"Qz7!"})
	require.NoError(t, r.PlansOf([]diff.Plan{p}, report.PlanOptions{Format: "markdown", Context: 3}))
	require.LessOrEqual(t, out.Len(), report.GitHubLength)
	require.NotContains(t, out.String(), "Qz7!")
}

func TestMarkdownMentionsNobodyOutsideOfCode(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(markdown(t, hostilePlan(1), 0)) {
		if summary, found := strings.CutPrefix(line, "<details><summary>"); found {
			require.True(t, strings.HasPrefix(summary, "<code>") && strings.HasSuffix(summary, "</code></summary>\n"), line)
		}
	}
}
