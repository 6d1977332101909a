package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

func TestPlansOfSeveralContextsAreCarriedOutGroupByGroup(t *testing.T) {
	t.Parallel()
	release := func(name string, group int, action diff.ReleaseAction) diff.Release {
		return diff.Release{Name: name, Group: group, Action: action}
	}
	level := func(name string, releases ...diff.Release) diff.Level {
		return diff.Level{Name: name, Releases: releases}
	}
	d := Deployment{Plans: []Plan{
		{Context: "a", Levels: []diff.Level{
			level("one", release("a0", 0, diff.Install), release("a2", 2, diff.Upgrade), release("gone0", 0, diff.Uninstall), release("gone1", 1, diff.Uninstall)),
			level("two", release("same", 0, diff.Same)),
		}},
		{Context: "b", Levels: []diff.Level{
			level("one", release("b0", 0, diff.Install), release("b1", 1, diff.Install), release("gone1", 1, diff.Uninstall)),
			level("two", release("b3", 0, diff.Install)),
		}},
	}}
	var got []string
	for _, p := range append(d.parts(0), d.parts(1)...) {
		require.Equal(t, d.Plans[p.site].Context, p.plan.Context)
		for _, r := range p.plan.Levels[0].Releases {
			got = append(got, p.plan.Context+"/"+p.plan.Levels[0].Name+"/"+r.Name)
		}
	}
	require.Equal(t, []string{
		"b/one/gone1", "a/one/gone1", "a/one/gone0", "a/one/a0", "b/one/b0", "b/one/b1", "a/one/a2", "b/two/b3",
	}, got)
}

func TestWhatWasDoneOnSeveralContextsIsToldInTheOrderOfThePlans(t *testing.T) {
	t.Parallel()
	tally := newTally(Deployment{Plans: []Plan{
		{Levels: []diff.Level{{Name: "one", Releases: []diff.Release{
			{Name: "a", Level: "one", Action: diff.Install}, {Name: "same", Level: "one", Action: diff.Same},
			{Name: "c", Level: "one", Action: diff.Upgrade, Revision: 2},
		}}}},
		{Levels: []diff.Level{{Name: "one", Releases: []diff.Release{{Name: "b", Level: "one", Action: diff.Install}}}}},
	}})
	tally.add(0, apply.Result{Releases: []apply.ReleaseResult{{Name: "c", Level: "one", Outcome: apply.Applied}}, Warnings: []string{"old"}})
	tally.add(1, apply.Result{Releases: []apply.ReleaseResult{{Name: "b", Level: "one", Outcome: apply.Failed}}})
	var got []apply.Outcome
	for _, result := range tally.results {
		for _, r := range result.Releases {
			got = append(got, r.Outcome)
		}
	}
	require.Equal(t, []apply.Outcome{apply.NotStarted, apply.Applied, apply.Failed}, got)
	require.Equal(t, []string{"old"}, tally.results[0].Warnings)
	var told []string
	tally.skip(ApplyOptions{Emit: func(e Event) { told = append(told, string(e.Kind)+" "+e.Release) }})
	require.Equal(t, []string{"release-skipped a"}, told)
}

func TestFlagsReachReleases(t *testing.T) {
	t.Parallel()
	r := ReleaseOptions{WaitForJobs: true, Timeout: time.Second, HiddenLines: []string{"b"}}.on(runlevel.Release{
		Timeout: time.Minute, Cascade: "background", SuppressOutputLineRegex: []string{"a"},
	})
	require.True(t, r.Wait, "who waits for Jobs waits")
	require.Equal(t, time.Second, r.Timeout)
	require.Equal(t, "background", r.Cascade)
	require.Equal(t, []string{"a", "b"}, r.SuppressOutputLineRegex)
	require.Equal(t, runlevel.Release{Timeout: time.Minute}, ReleaseOptions{}.on(runlevel.Release{Timeout: time.Minute}))
}

func TestARegularExpressionThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	ds := undeployed(runlevel.Release{SuppressOutputLineRegex: []string{"a", "("}})
	require.Len(t, ds, 1)
	require.Equal(t, diag.RunlevelInvalid, ds[0].Code)
	require.Contains(t, ds[0].Detail, "suppressOutputLineRegex")
	require.Empty(t, undeployed(runlevel.Release{Cascade: "orphan", ReuseValues: true, SyncReleaseLabels: true}))
}

func TestValuesAreReusedOfTheDeployedRevisionAndNotOfAFailedOneAfterIt(t *testing.T) {
	t.Parallel()
	record := func(revision int, status manifest.Status) manifest.Record {
		return manifest.Record{Revision: revision, Status: status}
	}
	for name, tt := range map[string]struct {
		records []manifest.Record
		want    int
	}{
		"none":          {nil, 0},
		"failed after":  {[]manifest.Record{record(1, manifest.Superseded), record(2, manifest.Deployed), record(3, manifest.Failed)}, 2},
		"never there":   {[]manifest.Record{record(1, manifest.Failed), record(2, manifest.Failed)}, 2},
		"still pending": {[]manifest.Record{record(1, manifest.PendingInstall)}, 0},
		"uninstalled":   {[]manifest.Record{record(1, manifest.Superseded), record(2, manifest.Uninstalled)}, 0},
	} {
		got, found := reused(tt.records)
		require.Equal(t, tt.want, got.Revision, name)
		require.Equal(t, tt.want > 0, found, name)
	}
}

func TestASecretOfTheRecordWasShownWhereNothingIsGivenInItsPlaceNow(t *testing.T) {
	t.Parallel()
	secret := manifest.Object{ID: manifest.ID{Kind: "Secret", Name: "s"}, Data: map[string]any{
		"kind": "Secret", "apiVersion": "v1", "data": map[string]any{"a": "b2xkLXNlY3JldA=="}, "stringData": map[string]any{"b": "moved-secret"},
	}}
	before := map[string]any{"gone": map[string]any{"password": "old-secret"}, "list": []any{"moved-secret", 1.0}, "paint": map[string]any{"colour": "crimson"}, "now": "former"}
	now := map[string]any{"now": "x current-secret"}
	stored := manifest.Stored{Release: manifest.Release{Values: before, Objects: []manifest.Object{secret}}}
	found := secretsBefore(now, stored, []string{"current-secret"})
	require.Subset(t, found, []string{"former", "moved-secret", "old-secret"})
	require.NotContains(t, found, "crimson")
	again := runlevel.Release{Values: now}.Reusing(before).Values
	require.Equal(t, "old-secret", again["gone"].(map[string]any)["password"])
	require.Contains(t, secretsBefore(again, stored, []string{"current-secret"}), "old-secret", "what is reused is hidden, too")
}
