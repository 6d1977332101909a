package apply_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// mute is a cluster that carries every write to a record out and loses the answer, after which the transport sends it again.
type mute struct {
	*cluster.Client
}

func (m *mute) UpdateRecord(ctx context.Context, s manifest.Stored) error {
	if err := m.Client.UpdateRecord(ctx, s); err != nil {
		return err
	}
	return m.Client.UpdateRecord(ctx, s)
}

func TestOwnRecordWhoseAnswerWasLostIsNoConflict(t *testing.T) {
	w := enter(t)
	m := &mute{Client: w.client}
	docs := func(k string) []string {
		return []string{
			configMap("a", "k", k),
			hook("ConfigMap", "before", "pre-install,pre-upgrade", "0", ""), hook("ConfigMap", "after", "post-install,post-upgrade", "0", ""),
			hook("ConfigMap", "last", "pre-delete", "0", ""),
		}
	}
	for _, k := range []string{"1", "2"} {
		_, err := apply.Run(w.ctx, w.plan(w.one(docs(k)...)), m, apply.Options{Run: "run" + k})
		require.NoError(t, err)
		require.True(t, w.plan(w.one(docs(k)...)).Empty())
	}
	gone := w.one(docs("2")...)
	gone[0].gone = true
	_, err := apply.Run(w.ctx, w.plan(gone), m, apply.Options{Run: "run3"})
	require.NoError(t, err)
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Empty(t, records)
}

// unwell is a cluster that fails the dry runs of a run for a while, and whose answers to the first apply are lost.
type unwell struct {
	deaf
	mu    sync.Mutex
	tries int
	err   error
}

func (u *unwell) DryRun(ctx context.Context, o manifest.Object, owner manifest.Owner) (map[string]any, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tries--; u.tries >= 0 {
		return nil, u.err
	}
	return u.Client.DryRun(ctx, o, owner)
}

func TestDryRunThatFailsIsNoMove(t *testing.T) {
	w := enter(t)
	broken := errors.New("connection reset")
	internal := &manifest.Refusal{Reason: manifest.RefusedInvalid, Message: "Internal error"}
	for _, c := range []struct {
		tries int
		err   error
		want  error
	}{{1, internal, nil}, {2, broken, nil}, {100, broken, broken}} {
		charts := []chart{{name: "app", docs: []string{configMap("a", "k", "1")}, namespace: w.namespace + "-" + strconv.Itoa(c.tries)}}
		u := &unwell{deaf: deaf{Client: w.client, heard: map[manifest.ID]bool{}}, tries: c.tries, err: c.err}
		_, err := apply.Run(w.ctx, w.plan(charts), u, apply.Options{Run: "unwell"})
		if c.want == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, c.want)
		require.NotContains(t, err.Error(), "since it was compared")
	}
}

func TestObjectThatAFailedRevisionWasRefusedIsStillRefused(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "first", docs: []string{configMap("x", "k", "1")}}})
	charts := w.one(configMap("foreign", "k", "1"), configMap("own", "k", "1"))
	plan := w.plan(charts)
	w.createMap("foreign", map[string]any{"was": "here"})
	_, _, err := w.run(plan)
	require.ErrorContains(t, err, "since it was compared")

	release := of(t, w.plan(charts), "app")
	require.Equal(t, diff.Adopt, actions(release)["ConfigMap foreign"], "of what the failed revision names it was never given this")
	require.NotEmpty(t, release.Problems())
	_, _, err = w.run(w.plan(charts))
	require.ErrorContains(t, err, "--take-ownership")
	require.Equal(t, map[string]any{"was": "here"}, w.get(configMaps, "foreign")["data"])

	// What it did write is its own, even without the marks of ownership.
	w.patch(configMaps, "own", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null},"annotations":null}}`)
	require.NotContains(t, of(t, w.plan(charts), "app").Problems(), "own")
}

func TestWhatIsNoDefinitionInCRDsIsFoundAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", docs: []string{configMap("a", "k", "1")}, crds: []string{configMap("shared", "k", "1")}}}
	plan := w.apply(charts)
	result, _, err := w.run(w.planWith(charts, diff.Options{Every: true}))
	require.NoError(t, err)
	require.NoError(t, apply.Verify(w.ctx, result, w.client))
	require.Equal(t, diff.Create, actions(of(t, plan, "app"))["ConfigMap shared"])
	require.True(t, w.plan(charts).Empty())
	require.Nil(t, w.get(configMaps, "shared")["metadata"].(map[string]any)["labels"], "it belongs to no release, as with Helm")
	w.patch(configMaps, "shared", `{"data":{"k":"2"}}`)
	require.False(t, w.plan(charts).Empty())
}

func TestReturnKeepsWhatWasThereBefore(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "a", level: "10", docs: []string{configMap("moves", "k", "1"), configMap("a", "k", "1")}}})
	w.createMap("adopted", map[string]any{"was": "here"})
	uid := func(name string) any { return w.get(configMaps, name)["metadata"].(map[string]any)["uid"] }
	moves, adopted := uid("moves"), uid("adopted")
	plan := w.planWith([]chart{
		{name: "a", level: "10", docs: []string{configMap("a", "k", "2")}},
		{name: "b", level: "20", docs: []string{configMap("moves", "k", "1"), configMap("adopted", "k", "1"), configMap("made", "k", "1")}},
	}, diff.Options{TakeOwnership: true})
	result, err := apply.Run(w.ctx, plan, w.client, apply.Options{Run: "r"})
	require.NoError(t, err)
	said, err := apply.Return(w.ctx, plan, &result, w.client, apply.Options{Run: "r"})
	require.NoError(t, err)
	require.Contains(t, said, "went back to revision 1")
	require.Equal(t, moves, uid("moves"))
	require.Equal(t, manifest.Owner{Namespace: w.namespace, Name: "a"}, manifest.OwnerOf(w.get(configMaps, "moves")))
	require.Equal(t, adopted, uid("adopted"))
	require.Nil(t, w.get(configMaps, "made"))
}

func TestReturnUninstallsNothingThatWasDeployedOnce(t *testing.T) {
	w := enter(t)
	charts := func(k string) []chart { return w.one(configMap("a", "k", k)) }
	w.apply(charts("1"))
	// A run that died between the marks.
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 1)
	require.NoError(t, err)
	stored.Status = manifest.Superseded
	require.NoError(t, w.client.UpdateRecord(w.ctx, stored))
	plan := w.plan(charts("2"))
	result, err := apply.Run(w.ctx, plan, w.client, apply.Options{Run: "r"})
	require.NoError(t, err)
	_, err = apply.Return(w.ctx, plan, &result, w.client, apply.Options{Run: "r"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"k": "1"}, w.get(configMaps, "a")["data"])
}
