package apply_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

// patch changes an object as another user would.
func (w *world) patch(kind schema.GroupVersionResource, name, body string, subresources ...string) {
	w.t.Helper()
	_, err := w.raw.Resource(kind).Namespace(w.namespace).Patch(w.ctx, name, types.MergePatchType, []byte(body),
		metav1.PatchOptions{FieldManager: "somebody"}, subresources...)
	require.NoError(w.t, err)
}

// createMap makes a ConfigMap as another user would.
func (w *world) createMap(name string, data map[string]any) {
	w.t.Helper()
	_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": data,
	}}, metav1.CreateOptions{FieldManager: "somebody"})
	require.NoError(w.t, err)
}

func (w *world) remove(name string) {
	w.t.Helper()
	require.NoError(w.t, w.raw.Resource(configMaps).Namespace(w.namespace).Delete(w.ctx, name, metav1.DeleteOptions{}))
}

// moves are those of a plan, as sentences without the namespace.
func (w *world) moves(plan diff.Plan) []string {
	w.t.Helper()
	moves, err := diff.Moved(w.ctx, plan, w.client)
	require.NoError(w.t, err)
	var lines []string
	for _, m := range moves {
		line, _, _ := strings.Cut(strings.ReplaceAll(m.String(), w.namespace+"/", ""), " at 20") // the time of the write
		lines = append(lines, line)
	}
	return lines
}

func TestObjectThatMovedIsLeftAsItIs(t *testing.T) {
	for name, test := range map[string]struct {
		before, after string
		move          func(w *world)
		moved, want   string
	}{
		"changed": {
			before: configMap("a", "k", "1"), after: configMap("a", "k", "2"),
			move:  func(w *world) { w.patch(configMaps, "a", `{"data":{"k":"theirs"}}`) },
			moved: "ConfigMap a was changed by somebody", want: "it was changed by somebody since it was compared",
		},
		"deleted": {
			before: configMap("a", "k", "1"), after: configMap("a", "k", "2"),
			move:  func(w *world) { w.remove("a") },
			moved: "ConfigMap a was deleted", want: "it was deleted since it was compared",
		},
		"made anew": {
			before: configMap("a", "k", "1"), after: configMap("a", "k", "2"),
			move:  func(w *world) { w.remove("a"); w.createMap("a", map[string]any{"k": "1"}) },
			moved: "ConfigMap a was deleted and made anew by somebody", want: "it was changed by somebody since it was compared",
		},
		"created": {
			before: configMap("b", "k", "1"), after: configMap("b", "k", "1") + "\n---\n",
			move: func(w *world) { w.createMap("a", map[string]any{"k": "theirs"}) },
			want: "it was created by somebody since it was compared",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := enter(t)
			w.apply(w.one(test.before))
			docs := []string{test.after}
			if name == "created" {
				docs = []string{test.before, configMap("a", "k", "2")}
			}
			plan := w.plan(w.one(docs...))
			test.move(w)
			before := w.get(configMaps, "a")
			if test.moved != "" {
				require.Equal(t, []string{test.moved}, w.moves(plan))
			}
			_, _, err := w.run(plan)
			require.ErrorContains(t, err, "ConfigMap "+w.namespace+"/a: "+test.want)
			require.Equal(t, before, w.get(configMaps, "a"), "nothing was written to it")
			records, err := w.client.Revisions(w.ctx, w.namespace, "app")
			require.NoError(t, err)
			require.Equal(t, manifest.Failed, records[len(records)-1].Status)
		})
	}
}

func TestMoveOfOthersPartsIsNone(t *testing.T) {
	w := enter(t)
	docs := []string{configMap("a", "k", "1"), deployment("web", "note: one")}
	w.apply(w.one(docs...))
	plan := w.plan(w.one(configMap("a", "k", "2"), deployment("web", "note: two")))
	w.patch(configMaps, "a", `{"data":{"other":"theirs"},"metadata":{"labels":{"theirs":"yes"}}}`)
	w.patch(deployments, "web", `{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"9"}}}`)
	require.Empty(t, w.moves(plan))
	_, _, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"k": "2", "other": "theirs"}, w.get(configMaps, "a")["data"])
}

func TestReleaseThatAnotherRunUpgradedMoved(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	plan := w.plan(w.one(configMap("a", "k", "2")))
	require.Empty(t, w.moves(plan))
	w.apply(w.one(configMap("a", "k", "3")))
	require.Equal(t, []string{"release app: revision 2 is deployed now", "ConfigMap a was changed"}, w.moves(plan))
}

// deaf is a cluster whose answers to the first apply of each object are lost.
type deaf struct {
	*cluster.Client
	mu    sync.Mutex
	heard map[manifest.ID]bool
}

// Apply sends the object twice, as a transport does that got no answer.
func (d *deaf) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	d.mu.Lock()
	again := !d.heard[o.ID]
	d.heard[o.ID] = true
	d.mu.Unlock()
	if again {
		if _, err := d.Client.Apply(ctx, o, owner); err != nil {
			return "", err
		}
	}
	return d.Client.Apply(ctx, o, owner)
}

func TestOwnWriteWhoseAnswerWasLostIsNoMove(t *testing.T) {
	w := enter(t)
	run := func(charts []chart) {
		t.Helper()
		_, err := apply.Run(w.ctx, w.plan(charts), &deaf{Client: w.client, heard: map[manifest.ID]bool{}}, apply.Options{Run: "deaf"})
		require.NoError(t, err)
		require.True(t, w.plan(charts).Empty())
	}
	run(w.one(configMap("a", "k", "1"), deployment("web", "note: one")))
	run(w.one(configMap("a", "k", "2"), deployment("web", "note: two"), configMap("b", "k", "1")))
}

func TestHookMayChangeWhatIsAppliedAfterIt(t *testing.T) {
	w := enter(t)
	first := []string{configMap("a", "k", "1"), hook("ConfigMap", "before", "pre-upgrade", "0", "")}
	w.apply(w.one(first...))
	plan := w.plan(w.one(configMap("a", "k", "2"), first[1]))
	done := false
	_, err := apply.Run(w.ctx, plan, w.client, apply.Options{Run: "r", Emit: func(e apply.Event) {
		if e.Kind == apply.HookStarted && !done {
			done = true
			w.patch(configMaps, "a", `{"data":{"k":"for the upgrade"}}`)
		}
	}, Parallel: 1})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"k": "2"}, w.get(configMaps, "a")["data"])
}

func TestAfterAnInterruptNothingIsBegunAndWhatWasBegunIsFinished(t *testing.T) {
	w := enter(t)
	var docs []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		docs = append(docs, configMap(name, "k", "1"))
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	c := &interrupting{Client: w.client, cancel: cancel}
	result, err := apply.Run(ctx, w.plan(w.one(docs...)), c, apply.Options{Run: "r", Parallel: 1})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, apply.Failed, result.Releases[0].Outcome)
	require.NotNil(t, w.get(configMaps, "a"), "the one that was under way is there")
	for _, name := range []string{"b", "c", "d", "e"} {
		require.Nil(t, w.get(configMaps, name))
	}
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Equal(t, manifest.Failed, records[0].Status)
	w.apply(w.one(docs...))
}

// interrupting is a cluster on whose first apply the run is interrupted.
type interrupting struct {
	*cluster.Client
	cancel context.CancelFunc
}

func (c *interrupting) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	c.cancel()
	return c.Client.Apply(ctx, o, owner)
}

func TestVerifySaysWhatIsNotAsTheRunLeftIt(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"), configMap("b", "k", "1"), configMap("c", "k", "1"), configMap("random", "k", "0.123"))
	result, _, err := w.run(w.plan(charts))
	require.NoError(t, err)
	require.NoError(t, apply.Verify(w.ctx, result, w.client))
	w.patch(configMaps, "a", `{"data":{"k":"theirs"}}`)
	w.patch(configMaps, "b", `{"data":{"other":"theirs"}}`)
	w.remove("c")
	var unlike *apply.UnlikeError
	require.ErrorAs(t, apply.Verify(w.ctx, result, w.client), &unlike)
	require.Equal(t, []string{
		"ConfigMap " + w.namespace + "/a was changed by somebody", "ConfigMap " + w.namespace + "/c is gone",
	}, unlike.Lines)
	w.apply(charts)
	require.ErrorAs(t, apply.Verify(w.ctx, result, w.client), &unlike)
	require.Contains(t, unlike.Lines[0], "deployed is revision 2, and not revision 1")
}

func TestCloseMarksWhatWasLeftUnfinished(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	require.NoError(t, w.client.CreateRecord(w.ctx, manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: w.namespace, Revision: 2}, Status: manifest.PendingUpgrade,
	}))
	closed, err := apply.Close(w.ctx, w.namespace, "app", w.client, apply.Options{Run: "r"})
	require.NoError(t, err)
	require.Len(t, closed, 1)
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 2)
	require.NoError(t, err)
	require.Equal(t, manifest.Failed, stored.Status)
	require.Equal(t, "unlocked by run r", stored.Description)
	w.apply(w.one(configMap("a", "k", "2")))
}
