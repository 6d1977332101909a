package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
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
			level("one", release("a0", 0, diff.Install), release("a2", 2, diff.Upgrade), release("gone0", 0, diff.Uninstall)),
			level("two", release("same", 0, diff.Same)),
		}},
		{Context: "b", Levels: []diff.Level{
			level("one", release("b0", 0, diff.Install), release("b1", 1, diff.Install), release("gone1", 1, diff.Uninstall)),
			level("two", release("b3", 0, diff.Install)),
		}},
	}}
	var got []string
	for _, p := range d.parts() {
		require.NoError(t, p.invalid)
		require.Equal(t, d.Plans[p.site].Context, p.plan.Context)
		for _, r := range p.plan.Levels[0].Releases {
			got = append(got, p.plan.Context+"/"+p.plan.Levels[0].Name+"/"+r.Name)
		}
	}
	require.Equal(t, []string{
		"b/one/gone1", "a/one/gone0", "a/one/a0", "b/one/b0", "b/one/b1", "a/one/a2", "b/two/b3",
	}, got)
}

func TestNothingOfAFileIsStartedWhereOneContextCanNotBeApplied(t *testing.T) {
	t.Parallel()
	d := Deployment{Plans: []Plan{
		{Levels: []diff.Level{{Name: "one", Releases: []diff.Release{{Name: "a", Action: diff.Install}}}}},
		{Levels: []diff.Level{{Name: "one", Releases: []diff.Release{{Name: "b", Namespace: "ns", Group: 1, Action: diff.Install, Invalid: "it is there"}}}}},
	}}
	parts := d.parts()
	require.Len(t, parts, 2)
	require.ErrorContains(t, parts[0].invalid, "one was not started: release ns/b: it is there")
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

func TestWhatIsNotCarriedOutOnAClusterIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		release runlevel.Release
		says    string
	}{
		"reuseValues": {runlevel.Release{ReuseValues: true}, "reuseValues takes values"},
		"labels":      {runlevel.Release{SyncReleaseLabels: true}, "syncReleaseLabels puts labels"},
		"cascade":     {runlevel.Release{Cascade: "foreground"}, "cascade is foreground"},
		"regex":       {runlevel.Release{SuppressOutputLineRegex: []string{"("}}, "suppressOutputLineRegex"},
	} {
		t.Run(name, func(t *testing.T) {
			ds := undeployed(test.release)
			require.Len(t, ds, 1)
			require.Equal(t, diag.RunlevelUnsupported, ds[0].Code)
			require.Contains(t, ds[0].Detail, test.says)
		})
	}
	require.Empty(t, undeployed(runlevel.Release{Cascade: "background"}))
}

func TestLockFileHasTheNamesThatHelmfileLooksFor(t *testing.T) {
	t.Parallel()
	http := runlevel.Release{Chart: "stable/envoy", Repository: &runlevel.Repository{URL: "https://charts.example.com"}}
	require.Equal(t, lockedDependency{"envoy", "https://charts.example.com", "1.2.3"}, newLockedDependency(http, "1.2.3"))
	oci := runlevel.Release{Chart: "registry/team/web", Repository: &runlevel.Repository{URL: "example.com/charts", OCI: true}}
	require.Equal(t, lockedDependency{"web", "oci://example.com/charts/team", "1.2.3"}, newLockedDependency(oci, "1.2.3"))
}
