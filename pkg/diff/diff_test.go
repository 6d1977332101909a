package diff

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

func TestWantedDependsOnTheRevision(t *testing.T) {
	t.Parallel()
	require.Len(t, Wanted("abc", 1), 40)
	require.Equal(t, Wanted("abc", 1), Wanted("abc", 1))
	require.NotEqual(t, Wanted("abc", 1), Wanted("abc", 2), "helm copies our labels onto its own revisions")
	require.NotEqual(t, Wanted("abc", 1), Wanted("abd", 1))
}

func TestOwned(t *testing.T) {
	t.Parallel()
	a, b := manifest.ID{Kind: "A", Name: "a"}, manifest.ID{Kind: "B", Name: "b"}
	prints := map[manifest.ID]string{a: "1", b: "2"}
	require.Equal(t, Owned([]manifest.ID{a, b}, prints), Owned([]manifest.ID{b, a}, prints))
	require.NotEqual(t, Owned([]manifest.ID{a, b}, prints), Owned([]manifest.ID{a}, prints))
	require.Empty(t, Owned([]manifest.ID{a, b}, map[manifest.ID]string{a: "1"}), "an object that is gone equals nothing")
	require.NotEmpty(t, Owned(nil, nil), "a release without objects is as it was")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	records := func(statuses ...manifest.Status) history {
		var h history
		for i, s := range statuses {
			h = append(h, manifest.Record{Name: "r", Revision: i + 1, Status: s})
		}
		return h
	}
	for name, test := range map[string]struct {
		h       history
		next    int
		upgrade bool
		open    []int
	}{
		"none":                             {nil, 1, false, nil},
		"deployed":                         {records(manifest.Deployed), 2, true, []int{1}},
		"a first run that failed":          {records(manifest.Failed), 2, false, []int{1}},
		"a first run that was killed":      {records(manifest.PendingInstall), 2, false, []int{1}},
		"an upgrade that failed":           {records(manifest.Superseded, manifest.Deployed, manifest.Failed), 4, true, []int{2, 3}},
		"two that say they are deployed":   {records(manifest.Deployed, manifest.Deployed, manifest.Failed), 4, true, []int{1, 2, 3}},
		"uninstalled, its history kept":    {records(manifest.Superseded, manifest.Uninstalled), 3, false, nil},
		"installed anew after that":        {records(manifest.Uninstalled, manifest.Deployed), 3, true, []int{2}},
		"an uninstall that did not finish": {records(manifest.Superseded, manifest.Uninstalling), 3, true, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.next, test.h.next())
			require.Equal(t, test.upgrade, test.h.current().everDeployed())
			var open []int
			for _, r := range test.h.current().open() {
				open = append(open, r.Revision)
			}
			require.Equal(t, test.open, open)
		})
	}
}

func TestPairShowsWhatMatters(t *testing.T) {
	t.Parallel()
	live := map[string]any{
		"kind": "ConfigMap",
		"metadata": map[string]any{
			"name": "a", "uid": "1", "resourceVersion": "2", "generation": int64(3), "creationTimestamp": "x", "managedFields": []any{},
			"labels": map[string]any{manifest.ManagedByLabel: "Helm"},
			"annotations": map[string]any{
				lastApplied: "{}", manifest.ReleaseNameAnnotation: "r", manifest.ReleaseNamespaceAnnotation: "n", "mine": "1",
			},
		},
		"data":   map[string]any{"k": "v"},
		"status": map[string]any{"phase": "x"},
	}
	before, after := pair(manifest.ID{Kind: "ConfigMap", Name: "a"}, live, nil)
	require.Nil(t, after)
	require.Equal(t, map[string]any{
		"kind":     "ConfigMap",
		"metadata": map[string]any{"name": "a", "annotations": map[string]any{"mine": "1"}},
		"data":     map[string]any{"k": "v"},
	}, before)
	require.Contains(t, live, "status", "the input stays as it is")
	require.Len(t, live["metadata"].(map[string]any)["annotations"], 4)
}

func TestPairMasksSecrets(t *testing.T) {
	t.Parallel()
	secret := func(data map[string]any) map[string]any {
		return map[string]any{"kind": "Secret", "metadata": map[string]any{"name": "s"}, "data": data}
	}
	id := manifest.ID{Kind: "Secret", Name: "s"}
	before, after := pair(id, secret(map[string]any{"same": "a", "other": "b", "gone": "c"}), secret(map[string]any{"same": "a", "other": "x", "new": "y"}))
	require.Equal(t, map[string]any{"same": Secret, "other": Secret, "gone": Secret}, before["data"])
	require.Equal(t, map[string]any{"same": Secret, "other": SecretChanged, "new": Secret}, after["data"])
	_, after = pair(id, nil, map[string]any{"kind": "Secret", "metadata": map[string]any{"name": "s"}, "stringData": map[string]any{"k": "v"}, "data": "oops"})
	require.Equal(t, map[string]any{"k": Secret}, after["stringData"])
	require.Equal(t, Secret, after["data"])
}

func TestPlanCounts(t *testing.T) {
	t.Parallel()
	require.True(t, Plan{}.Empty())
	same := Plan{Levels: []Level{{Releases: []Release{{Action: Same}}}}}
	require.True(t, same.Empty())
	require.Equal(t, Counts{Unchanged: 1, Objects: map[Action]int{}}, same.Counts())
	p := Plan{Levels: []Level{{Releases: []Release{
		{Action: Install, Objects: []Change{{Action: Create}, {Action: Unchanged}}},
		{Action: Upgrade, Objects: []Change{{ID: manifest.ID{Kind: "Job", Group: "batch", Name: "j"}, Action: Update, Invalid: "no", Source: "a/templates/j.yaml"}}},
		{Action: Uninstall, Objects: []Change{{Action: Delete}}},
	}}}}
	require.False(t, p.Empty())
	require.Equal(t, Counts{Install: 1, Upgrade: 1, Uninstall: 1, Invalid: 1, Objects: map[Action]int{Create: 1, Update: 1, Delete: 1}}, p.Counts())
	require.Equal(t, []string{"Job.batch j (a/templates/j.yaml): no"}, p.Levels[0].Releases[1].Problems())
}

func TestADiffShowedAMisspeltFieldOfASecretAndASecretInAList(t *testing.T) {
	t.Parallel()
	secret := map[string]any{"kind": "Secret", "StringData": map[string]any{"k": "hunter5"}}
	b, a := pair(manifest.ID{Kind: "Secret", Name: "s"}, secret, map[string]any{"kind": "Secret", "StringData": map[string]any{"k": "hunter6"}})
	require.Equal(t, map[string]any{"k": Secret}, b["StringData"])
	require.Equal(t, map[string]any{"k": SecretChanged}, a["StringData"])
	b, a = pair(manifest.ID{Kind: "List", Name: "l"}, nil, map[string]any{"kind": "List", "items": []any{secret}})
	require.Nil(t, b)
	require.NotContains(t, fmt.Sprint(a), "hunter5")
}
