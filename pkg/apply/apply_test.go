package apply_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

func TestSecondRunWritesNothing(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", values: map[string]any{"replicas": 1.0}, docs: []string{
		configMap("settings", "a", "1"), deployment("web", ""), `
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {password: hunter2}
`, `
apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: null}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ` + "role-" + w.namespace + `}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
`}}}
	plan := w.plan(charts)
	require.Equal(t, 1, plan.Counts().Install)
	require.Equal(t, 5, plan.Counts().Objects[diff.Create])
	result, seen, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, apply.Applied, result.Releases[0].Outcome)
	require.Len(t, seen.of(apply.ObjectApplied), 5)

	agent := w.agent + "second"
	w.client = w.connect(agent)
	again := w.plan(charts)
	require.True(t, again.Empty(), describe(again))
	_, _, err = w.run(again)
	require.NoError(t, err)
	counts := w.requests(agent)
	require.LessOrEqual(t, counts["get"], 4, "%v", counts)
	require.Equal(t, 6, counts["list"], "one of records, one of each kind: %v", counts)
	require.Len(t, counts, 2, "only reads: %v", counts)
}

func TestChangedValueIsOneUpgradeOfOneObject(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "a", docs: []string{configMap("a", "k", "1"), configMap("b", "k", "1")}}, {name: "b", docs: []string{configMap("c", "k", "1")}}})
	plan := w.apply([]chart{{name: "a", docs: []string{configMap("a", "k", "2"), configMap("b", "k", "1")}}, {name: "b", docs: []string{configMap("c", "k", "1")}}})
	require.Equal(t, diff.Counts{Upgrade: 1, Unchanged: 1, Objects: map[diff.Action]int{diff.Update: 1}}, plan.Counts())
	change := plan.Levels[0].Releases[0].Objects[0]
	require.Equal(t, map[string]any{"k": "1"}, change.Before["data"])
	require.Equal(t, map[string]any{"k": "2"}, change.After["data"])
	require.NotContains(t, fmt.Sprint(change.Before["metadata"]), "helm")
	records, err := w.client.Revisions(w.ctx, w.namespace, "a")
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, manifest.Superseded, records[0].Status)
	require.Equal(t, manifest.Deployed, records[1].Status)
}

func TestDriftIsPutBack(t *testing.T) {
	for name, patch := range map[string]string{
		"changed": `{"data":{"a":"drifted"}}`,
		"removed": `{"data":{"a":null}}`,
		"owner":   `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := enter(t)
			charts := w.one(configMap("settings", "a", "1", "b", "2"))
			w.apply(charts)
			_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Patch(w.ctx, "settings", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
			require.NoError(t, err)
			plan := w.apply(charts)
			require.Equal(t, map[string]diff.Action{"ConfigMap settings": diff.Update}, actions(plan.Levels[0].Releases[0]))
			require.Equal(t, map[string]any{"a": "1", "b": "2"}, w.get(configMaps, "settings")["data"])
		})
	}
	t.Run("deleted", func(t *testing.T) {
		w := enter(t)
		charts := w.one(configMap("settings", "a", "1"), configMap("other", "a", "1"))
		w.apply(charts)
		require.NoError(t, w.raw.Resource(configMaps).Namespace(w.namespace).Delete(w.ctx, "settings", metav1.DeleteOptions{}))
		plan := w.apply(charts)
		require.Equal(t, map[string]diff.Action{"ConfigMap settings": diff.Create, "ConfigMap other": diff.Unchanged}, actions(plan.Levels[0].Releases[0]))
	})
	t.Run("what others add is theirs", func(t *testing.T) {
		w := enter(t)
		charts := w.one(configMap("settings", "a", "1"))
		w.apply(charts)
		_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Patch(w.ctx, "settings", types.MergePatchType, []byte(`{"data":{"more":"1"}}`), metav1.PatchOptions{})
		require.NoError(t, err)
		require.True(t, w.plan(charts).Empty())
	})
}

func TestWhatTheChartDropsGoesAway(t *testing.T) {
	w := enter(t)
	kept := strings.Replace(configMap("kept", "a", "1"), "  name:", "  annotations: {helm.sh/resource-policy: keep}\n  name:", 1)
	w.apply(w.one(configMap("stays", "a", "1", "dropped", "1"), configMap("leaves", "a", "1"), kept))
	plan := w.apply(w.one(configMap("stays", "a", "1")))
	require.Equal(t, map[string]diff.Action{"ConfigMap stays": diff.Update, "ConfigMap leaves": diff.Delete}, actions(plan.Levels[0].Releases[0]))
	require.Equal(t, map[string]any{"a": "1"}, w.get(configMaps, "stays")["data"])
	require.Nil(t, w.get(configMaps, "leaves"))
	require.NotNil(t, w.get(configMaps, "kept"))
}

func TestDroppedKeyOfStringDataGoesAway(t *testing.T) {
	w := enter(t)
	w.apply(w.one("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: one, b: two}"))
	w.apply(w.one("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: one}"))
	require.Equal(t, map[string]any{"a": "b25l"}, w.get(secretsKind, "s")["data"])
}

func TestFailedFirstRunIsAnInstallAgain(t *testing.T) {
	w := enter(t)
	// In a namespace that is not there yet nothing can be rehearsed, so this fails only when it is applied.
	bad := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {no key: x}"
	charts := []chart{{name: "app", docs: []string{bad, hook("ConfigMap", "first", "pre-install", "0", "")}}}
	plan := w.plan(charts)
	require.Empty(t, plan.Levels[0].Releases[0].Problems())
	result, seen, err := w.run(plan)
	require.ErrorContains(t, err, "release "+w.namespace+"/app")
	require.ErrorContains(t, err, "ConfigMap "+w.namespace+"/bad")
	require.ErrorContains(t, err, "app/templates/0.yaml")
	require.Equal(t, apply.Failed, result.Releases[0].Outcome)
	require.Len(t, seen.of(apply.ReleaseFailed), 1)
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, manifest.Failed, records[0].Status)

	// Now the namespace is there: the plan knows.
	plan = w.plan(charts)
	require.Len(t, plan.Levels[0].Releases[0].Problems(), 1)

	charts[0].docs[0] = configMap("good", "a", "1")
	plan = w.apply(charts)
	require.Equal(t, diff.Install, plan.Levels[0].Releases[0].Action)
	require.Equal(t, 2, plan.Levels[0].Releases[0].Revision)
	require.Equal(t, manifest.PreInstall, plan.Levels[0].Releases[0].Hooks[0].Events[0])
}

func TestRefusedObjectStopsAtItsRunlevel(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "ground", level: "00-ground", docs: []string{configMap("ground", "a", "1")}}})
	broken := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: broken}\nspec: {replicas: 1, bogus: 2}"
	charts := []chart{
		{name: "ground", level: "00-ground", docs: []string{configMap("ground", "a", "2")}},
		{name: "broken", level: "10-broken", docs: []string{broken}},
		{name: "neighbour", level: "10-broken", docs: []string{configMap("neighbour", "a", "1")}},
		{name: "later", level: "20-later", docs: []string{configMap("later", "a", "1")}},
	}
	plan := w.plan(charts)
	require.Equal(t, 1, plan.Counts().Invalid)
	result, seen, err := w.run(plan)
	require.ErrorContains(t, err, "runlevel 10-broken")
	require.ErrorContains(t, err, "release "+w.namespace+"/broken")
	require.ErrorContains(t, err, "Deployment.apps "+w.namespace+"/broken (broken/templates/0.yaml)")
	require.ErrorContains(t, err, "bogus")
	require.Equal(t, []apply.Outcome{apply.Applied, apply.Failed, apply.NotStarted, apply.NotStarted},
		[]apply.Outcome{result.Releases[0].Outcome, result.Releases[1].Outcome, result.Releases[2].Outcome, result.Releases[3].Outcome})
	require.Len(t, seen.of(apply.ReleaseSkipped), 2)
	require.Equal(t, map[string]any{"a": "2"}, w.get(configMaps, "ground")["data"])
	require.Nil(t, w.get(configMaps, "neighbour"))
	require.Nil(t, w.get(configMaps, "later"))

	charts[1].docs[0] = configMap("fixed", "a", "1")
	w.apply(charts)
}

func TestHooksRunInOrderOfWeightAndName(t *testing.T) {
	w := enter(t)
	charts := w.one(
		configMap("main", "a", "1"),
		hook("Job", "late", "pre-install", "5", "hook-succeeded"),
		hook("ConfigMap", "early", "pre-install,pre-upgrade", "-5", ""),
		hook("ConfigMap", "b", "pre-install", "0", "before-hook-creation,hook-succeeded"),
		hook("ConfigMap", "a", "pre-install", "0", ""),
		hook("Job", "after", "post-install,post-upgrade", "0", ""),
		hook("ConfigMap", "never", "test", "0", ""),
	)
	plan := w.plan(charts)
	_, seen, err := w.run(plan)
	require.NoError(t, err)
	var order []string
	for _, e := range seen.of(apply.HookDone) {
		order = append(order, e.Object.Name)
	}
	require.Equal(t, []string{"early", "a", "b", "late", "after"}, order)
	require.Nil(t, w.get(jobs, "late"))
	require.Nil(t, w.get(configMaps, "b"))
	require.NotNil(t, w.get(configMaps, "early"))
	require.Zero(t, manifest.OwnerOf(w.get(configMaps, "early")))
	require.Nil(t, w.get(configMaps, "never"))

	require.True(t, w.plan(charts).Empty(), "hooks are no objects of the release")
	charts[0].docs[0] = configMap("main", "a", "2")
	_, seen, err = w.run(w.plan(charts))
	require.NoError(t, err)
	require.Len(t, seen.of(apply.HookDone), 2)
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 2)
	require.NoError(t, err)
	require.Len(t, stored.Hooks, 6)
	require.Len(t, stored.Runs, 2)
}

func TestFailedHookFailsTheRelease(t *testing.T) {
	w := enter(t)
	failing := strings.Replace(hook("Job", "migrate", "pre-install", "1", "hook-failed"), "    spec:\n      restart",
		"    metadata: {annotations: {playground.otomi.io/pod: fail}}\n    spec:\n      restart", 1)
	failing = strings.Replace(failing, "spec:\n  template", "spec:\n  backoffLimit: 0\n  template", 1)
	charts := w.one(configMap("main", "a", "1"), failing, hook("ConfigMap", "before", "pre-install", "0", "hook-succeeded"))
	_, _, err := w.run(w.plan(charts))
	require.ErrorContains(t, err, "pre-install hook: app/templates/1.yaml: Job.batch "+w.namespace+"/migrate failed")
	require.Nil(t, w.get(configMaps, "main"), "nothing is applied after a failed hook")
	require.Nil(t, w.get(configMaps, "before"))
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 1)
	require.NoError(t, err)
	require.Equal(t, manifest.Failed, stored.Status)
	require.Contains(t, stored.Description, "migrate")
}

func TestRunlevelStartsWhenTheOneBeforeIsReady(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "first", level: "10-first", docs: []string{deployment("web", "playground.otomi.io/pod: pending")}},
		{name: "second", level: "20-second", docs: []string{configMap("second", "a", "1")}},
	}
	plan := w.plan(charts)
	released := false
	result, err := apply.Run(w.ctx, plan, w.client, apply.Options{Run: "r", Emit: func(e apply.Event) {
		if e.Kind != apply.Waiting || released {
			return
		}
		released = true
		require.Nil(t, w.get(configMaps, "second"))
		_, err := w.raw.Resource(deployments).Namespace(w.namespace).Patch(w.ctx, "web", types.MergePatchType,
			[]byte(`{"spec":{"template":{"metadata":{"annotations":{"playground.otomi.io/pod":null}}}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}})
	require.NoError(t, err)
	require.True(t, released)
	require.Equal(t, 2, result.Count(apply.Applied))
	require.NotNil(t, w.get(configMaps, "second"))
}

func TestTimeoutSaysWhatIsNotReadyAndWhy(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "first", level: "10-first", timeout: 2 * time.Second, docs: []string{deployment("web", "playground.otomi.io/pod: pending")}},
		{name: "second", level: "20-second", docs: []string{configMap("second", "a", "1")}},
	}
	_, _, err := w.run(w.plan(charts))
	require.ErrorContains(t, err, "timed out: Deployment.apps "+w.namespace+"/web is not ready")
	require.ErrorContains(t, err, "pod web-")
	require.Nil(t, w.get(configMaps, "second"))
}

func TestCancelledRunLeavesNoPendingRecord(t *testing.T) {
	w := enter(t)
	charts := w.one(deployment("web", "playground.otomi.io/pod: pending"))
	plan := w.plan(charts)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	_, err := apply.Run(ctx, plan, w.client, apply.Options{Run: "r", Emit: func(e apply.Event) {
		if e.Kind == apply.Waiting {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, manifest.Failed, records[0].Status)
}

func TestKilledRunIsTakenOver(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	require.NoError(t, w.client.CreateRecord(w.ctx, manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: w.namespace, Revision: 2,
			Text: "---\n# Source: app/templates/left.yaml\n" + configMap("left", "k", "1")},
		Status: manifest.PendingUpgrade,
		Labels: map[string]string{diff.RevisionLabel: "2", diff.ModeLabel: diff.ModeUpgrade, diff.RunLabel: "dead"},
	}))
	left := object(t, configMap("left", "k", "1"), "")
	placed, _, err := w.client.Place(w.ctx, w.namespace, []manifest.Object{left})
	require.NoError(t, err)
	_, err = w.client.Apply(w.ctx, placed[0], manifest.Owner{Namespace: w.namespace, Name: "app"})
	require.NoError(t, err)

	plan := w.apply(w.one(configMap("a", "k", "1")))
	require.Equal(t, 3, plan.Levels[0].Releases[0].Revision)
	require.Nil(t, w.get(configMaps, "left"), "what the killed run had made is pruned")
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 2)
	require.NoError(t, err)
	require.Equal(t, manifest.Failed, stored.Status)
	require.Equal(t, "taken over by run run-"+w.namespace, stored.Description)
}

func TestHelmAtWorkIsLeftAlone(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	require.NoError(t, w.client.CreateRecord(w.ctx, manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: w.namespace, Revision: 2},
		Status:  manifest.PendingUpgrade,
		// Helm copies the labels of the revision before.
		Labels: map[string]string{diff.RevisionLabel: "1", diff.RunLabel: "ours"},
	}))
	_, _, err := w.run(w.plan(w.one(configMap("a", "k", "2"))))
	require.ErrorContains(t, err, "helm works on release")
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Equal(t, manifest.PendingUpgrade, records[1].Status)
}

func TestWhatAKilledHelmLeftCanBeDestroyedWithoutHelm(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"))
	w.apply(charts)
	require.NoError(t, w.client.CreateRecord(w.ctx, manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: w.namespace, Revision: 2},
		Status:  manifest.PendingUpgrade,
		Labels:  map[string]string{diff.RevisionLabel: "1", diff.RunLabel: "ours"},
	}))
	ours, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{})
	require.NoError(t, err)
	require.Contains(t, ours.Levels[0].Releases[0].Invalid, "helm works on release", "a stack leaves helm's releases alone")
	plan, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{Foreign: true})
	require.NoError(t, err)
	require.Equal(t, "destroy; helm left revision 2 pending-upgrade", plan.Levels[0].Releases[0].Reason)
	_, _, err = w.run(plan)
	require.NoError(t, err)
	require.Nil(t, w.get(configMaps, "a"))
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Empty(t, records)
}

func TestUninstall(t *testing.T) {
	w := enter(t)
	kept := strings.Replace(configMap("kept", "a", "1"), "  name:", "  annotations: {helm.sh/resource-policy: keep}\n  name:", 1)
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + w.namespace + "-more}"
	charts := w.one(configMap("main", "a", "1"), deployment("web", ""), kept, namespace,
		hook("ConfigMap", "before", "pre-delete", "0", ""), hook("Job", "after", "post-delete", "0", "hook-succeeded"))
	w.apply(charts)
	charts[0].gone = true
	plan := w.plan(charts)
	require.Equal(t, map[string]diff.Action{
		"ConfigMap main": diff.Delete, "Deployment web": diff.Delete, "ConfigMap kept": diff.Unchanged, "Namespace " + w.namespace + "-more": diff.Unchanged,
	}, actions(plan.Levels[0].Releases[0]))
	result, seen, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, apply.Uninstalled, result.Releases[0].Outcome)
	require.Equal(t, "web", seen.of(apply.ObjectDeleted)[0].Object.Name, "reverse order of kinds")
	require.Len(t, seen.of(apply.HookDone), 2)
	require.Nil(t, w.get(deployments, "web"))
	require.Nil(t, w.get(configMaps, "main"))
	require.NotNil(t, w.get(configMaps, "kept"))
	require.NotNil(t, w.get(configMaps, "before"))
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Empty(t, records)
	require.True(t, w.plan(charts).Empty())
}

func TestTeardownGoesBackwards(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "first", level: "10-first", docs: []string{configMap("first", "a", "1")}},
		{name: "second", level: "20-second", docs: []string{configMap("second", "a", "1")}},
		{name: "absent", level: "20-second", gone: true},
	}
	w.apply(charts)
	plan, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{})
	require.NoError(t, err)
	require.Equal(t, "20-second", plan.Levels[0].Name)
	require.Equal(t, 2, plan.Counts().Uninstall)
	_, seen, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, "second", seen.of(apply.ObjectDeleted)[0].Object.Name)
	again, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{})
	require.NoError(t, err)
	require.True(t, again.Empty())
}

func TestTeardownTakesNamespacesWhenAsked(t *testing.T) {
	w := enter(t)
	// The release lives in the namespace that it renders: its record goes with it.
	charts := w.one("apiVersion: v1\nkind: Namespace\nmetadata: {name: "+w.namespace+"}", configMap("a", "k", "1"))
	w.apply(charts)
	plan, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{DeleteNamespaces: true})
	require.NoError(t, err)
	require.Equal(t, diff.Delete, actions(plan.Levels[0].Releases[0])["Namespace "+w.namespace])
	_, _, err = w.run(plan)
	require.NoError(t, err)
	require.Equal(t, diff.Install, w.apply(charts).Levels[0].Releases[0].Action)
}

// crd defines a kind of the test's own group.
func (w *world) crd(kind, scope string) string {
	plural := strings.ToLower(kind) + "s"
	return `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ` + plural + "." + w.namespace + `.example.com}
spec:
  group: ` + w.namespace + `.example.com
  scope: ` + scope + `
  names: {kind: ` + kind + `, plural: ` + plural + `, singular: ` + strings.ToLower(kind) + `, listKind: ` + kind + `List}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`
}

func TestCustomResourceInTheFirstRunOfItsCRD(t *testing.T) {
	resource := func(w *world, kind, name string) string {
		return "apiVersion: " + w.namespace + ".example.com/v1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec: {size: 3}"
	}
	t.Run("crds folder, later runlevel", func(t *testing.T) {
		w := enter(t)
		charts := []chart{
			{name: "operator", level: "10-crds", crds: []string{w.crd("Widget", "Namespaced")}},
			{name: "app", level: "20-app", docs: []string{resource(w, "Widget", "one")}},
		}
		plan := w.apply(charts)
		change := plan.Levels[1].Releases[0].Objects[0]
		require.Equal(t, diff.Create, change.Action)
		require.Equal(t, "its kind is not known to the cluster yet", change.Reason)
		require.Equal(t, w.namespace, change.Namespace)
		widgets := schema.GroupVersionResource{Group: w.namespace + ".example.com", Version: "v1", Resource: "widgets"}
		require.NotNil(t, w.get(widgets, "one"))

		plan, err := diff.Teardown(w.ctx, w.input(charts), w.client, diff.Options{})
		require.NoError(t, err)
		_, _, err = w.run(plan)
		require.NoError(t, err)
		require.Nil(t, w.get(widgets, "one"))
		_, err = w.raw.Resource(widgets).List(w.ctx, metav1.ListOptions{})
		require.NoError(t, err, "the CRD stays")
	})
	t.Run("templates, same release", func(t *testing.T) {
		w := enter(t)
		w.apply(w.one(resource(w, "Gadget", "one"), w.crd("Gadget", "Cluster")))
		gadgets := schema.GroupVersionResource{Group: w.namespace + ".example.com", Version: "v1", Resource: "gadgets"}
		_, err := w.raw.Resource(gadgets).Get(w.ctx, "one", metav1.GetOptions{})
		require.NoError(t, err)
	})
	t.Run("no CRD anywhere", func(t *testing.T) {
		w := enter(t)
		_, _, err := w.run(w.plan(w.one(resource(w, "Ghost", "one"))))
		require.ErrorContains(t, err, "the cluster does not know the kind Ghost")
	})
}

func TestResourceMayNeedWhatItsCRDGetsInTheSameRun(t *testing.T) {
	w := enter(t)
	crd := w.crd("Widget", "Namespaced")
	resource := "apiVersion: " + w.namespace + ".example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 3}"
	charts := []chart{
		{name: "operator", level: "10-crds", crds: []string{crd}},
		{name: "app", level: "20-app", docs: []string{resource}},
	}
	w.apply(charts)
	charts[0].crds[0] = strings.Replace(crd, "size: {type: integer}", "size: {type: integer}, colour: {type: string}", 1)
	charts[1].docs[0] = strings.Replace(resource, "size: 3", "size: 3, colour: red", 1)
	plan := w.plan(charts)
	change := plan.Levels[1].Releases[0].Objects[0]
	require.Empty(t, change.Invalid)
	require.Contains(t, change.Deferred, "colour", "the cluster does not know the field yet")
	require.True(t, change.Refused, "it is asked again before the runlevel")
	w.apply(charts)
	// And a new version of the kind.
	charts[0].crds[0] += "  - name: v2\n    served: true\n    storage: false\n    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}\n"
	charts[1].docs[0] = strings.Replace(charts[1].docs[0], "/v1", "/v2", 1)
	w.apply(charts)
}

func TestNamespaceOfAnUninstalledReleaseIsAdopted(t *testing.T) {
	w := enter(t)
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + w.namespace + "-more}"
	w.apply([]chart{{name: "old", docs: []string{namespace}}})
	w.apply([]chart{{name: "old", gone: true}})
	w.apply([]chart{{name: "new", docs: []string{namespace}}})
}

func TestNoOneIsTakenFromAnUnselectedRelease(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "a", docs: []string{configMap("shared", "k", "1")}}, {name: "b", docs: []string{configMap("b", "k", "1")}}}
	w.apply(charts)
	plan := w.plan([]chart{{name: "b", docs: []string{configMap("b", "k", "1"), configMap("shared", "k", "2")}}})
	require.Contains(t, plan.Levels[0].Releases[0].Problems()[0], "it belongs to release "+w.namespace+"/a")
}

func TestHookMayUseTheKindOfAHookBefore(t *testing.T) {
	w := enter(t)
	annotated := func(doc, weight string) string {
		return strings.Replace(doc, "metadata: {", "metadata: {annotations: {helm.sh/hook: 'pre-install,pre-upgrade', helm.sh/hook-weight: '"+weight+"'}, ", 1)
	}
	resource := "apiVersion: " + w.namespace + ".example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 3}"
	charts := w.one(annotated(w.crd("Widget", "Namespaced"), "0"), annotated(resource, "1"), configMap("a", "k", "1"))
	w.apply(charts)
	charts[0].docs[2] = configMap("a", "k", "2")
	w.apply(charts)
}

func TestJobThatCannotChangeIsReplaced(t *testing.T) {
	w := enter(t)
	job := func(image string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: " + image + "}]}}}"
	}
	w.apply(w.one(job("example/a:1")))
	plan := w.apply(w.one(job("example/a:2")))
	require.Equal(t, map[string]diff.Action{"Job once": diff.Replace}, actions(plan.Levels[0].Releases[0]))
}

func TestOtherImmutableObjectsNeedForce(t *testing.T) {
	w := enter(t)
	w.apply(w.one(deployment("web", "")))
	changed := strings.ReplaceAll(deployment("web", ""), "app: web", "app: other")
	plan := w.plan(w.one(changed))
	require.Equal(t, diff.Replace, plan.Levels[0].Releases[0].Objects[0].Action)
	require.Contains(t, plan.Levels[0].Releases[0].Objects[0].Invalid, "--force")
	_, _, err := w.run(plan)
	require.ErrorContains(t, err, "--force")
	_, _, err = w.run(w.planWith(w.one(changed), diff.Options{Force: true}))
	require.NoError(t, err)
	require.True(t, w.plan(w.one(changed)).Empty())
}

func TestObjectOfNobodyIsRefused(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "other", docs: []string{configMap("theirs", "a", "1")}}})
	_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "found"}, "data": map[string]any{"was": "here"},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	charts := []chart{{name: "other", docs: []string{configMap("theirs", "a", "1")}}, {name: "app", docs: []string{configMap("found", "a", "1"), configMap("theirs", "a", "2")}}}
	plan := w.plan(charts)
	release := plan.Levels[0].Releases[1]
	require.Equal(t, map[string]diff.Action{"ConfigMap found": diff.Adopt, "ConfigMap theirs": diff.TakeOver}, actions(release))
	require.Len(t, release.Problems(), 2)
	_, _, err = w.run(plan)
	require.ErrorContains(t, err, "--take-ownership")
	require.Equal(t, map[string]any{"was": "here"}, w.get(configMaps, "found")["data"])

	_, _, err = w.run(w.planWith(w.one(configMap("found", "a", "1")), diff.Options{TakeOwnership: true}))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"was": "here", "a": "1"}, w.get(configMaps, "found")["data"])
}

func TestObjectMovesBetweenReleases(t *testing.T) {
	w := enter(t)
	w.apply([]chart{{name: "a", level: "10", docs: []string{configMap("moves", "k", "1"), configMap("a", "k", "1")}}})
	uid := w.get(configMaps, "moves")["metadata"].(map[string]any)["uid"]
	plan := w.apply([]chart{
		{name: "a", level: "10", docs: []string{configMap("a", "k", "1")}},
		{name: "b", level: "20", docs: []string{configMap("moves", "k", "1")}},
	})
	require.Equal(t, "it moves from release "+w.namespace+"/a", plan.Levels[1].Releases[0].Objects[0].Reason)
	require.Equal(t, uid, w.get(configMaps, "moves")["metadata"].(map[string]any)["uid"])
	// And on, while its release is uninstalled.
	w.apply([]chart{
		{name: "a", level: "10", docs: []string{configMap("a", "k", "1"), configMap("moves", "k", "1")}},
		{name: "b", level: "20", gone: true},
	})
	require.Equal(t, uid, w.get(configMaps, "moves")["metadata"].(map[string]any)["uid"])
}

func TestFieldsThatHelmWroteGoAway(t *testing.T) {
	w := enter(t)
	require.NoError(t, w.client.CreateNamespace(w.ctx, w.namespace))
	_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Create(w.ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{
			"name":        "old",
			"labels":      map[string]any{manifest.ManagedByLabel: "Helm"},
			"annotations": map[string]any{manifest.ReleaseNameAnnotation: "app", manifest.ReleaseNamespaceAnnotation: w.namespace},
		}, "data": map[string]any{"a": "1", "dropped": "1"},
	}}, metav1.CreateOptions{FieldManager: "helm"})
	require.NoError(t, err)
	_, _, err = w.run(w.plan(w.one(configMap("old", "a", "1"))))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": "1"}, w.get(configMaps, "old")["data"])

	for manager, field := range map[string]string{"helm": "helms", "kubectl-client-side-apply": "theirs"} {
		_, err = w.raw.Resource(configMaps).Namespace(w.namespace).Patch(w.ctx, "old", types.MergePatchType,
			[]byte(`{"data":{"a":"2","`+field+`":"1"}}`), metav1.PatchOptions{FieldManager: manager})
		require.NoError(t, err)
	}
	w.apply(w.one(configMap("old", "a", "1")))
	require.Equal(t, map[string]any{"a": "1", "theirs": "1"}, w.get(configMaps, "old")["data"], "what a person adds is theirs")
}

func TestSecretsStayOutOfPlansAndErrors(t *testing.T) {
	w := enter(t)
	secret := func(v string) []chart {
		return w.one("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: " + v + ", same: sesame}")
	}
	check := func(plan diff.Plan) {
		raw, err := json.Marshal(plan)
		require.NoError(t, err)
		for _, text := range []string{"hunter2", "hunter3", "sesame", "aHVudGVyM", "c2VzYW1l"} {
			require.NotContains(t, string(raw), text)
		}
	}
	plan := w.apply(secret("hunter2"))
	check(plan)
	plan = w.apply(secret("hunter3"))
	check(plan)
	require.Equal(t, map[string]any{"password": diff.SecretChanged, "same": diff.Secret}, plan.Levels[0].Releases[0].Objects[0].After["data"])

	bad := w.one("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter3-is-not-base64}")
	plan = w.plan(bad)
	check(plan)
	require.Len(t, plan.Levels[0].Releases[0].Problems(), 1)
	_, _, err := w.run(plan)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter")
}

func TestHistoryIsBounded(t *testing.T) {
	w := enter(t)
	for i := range 4 {
		plan := w.plan(w.one(configMap("a", "k", fmt.Sprint(i))))
		_, err := apply.Run(w.ctx, plan, w.client, apply.Options{History: 2})
		require.NoError(t, err)
	}
	records, err := w.client.Revisions(w.ctx, w.namespace, "app")
	require.NoError(t, err)
	require.Len(t, records, 2)
	require.Equal(t, 4, records[1].Revision)
}

func TestGroupsOfARunlevelFollowEachOther(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "a", group: 1, docs: []string{configMap("a", "k", "1")}},
		{name: "b", group: 0, docs: []string{configMap("b", "k", "1")}},
	}
	_, seen, err := w.run(w.plan(charts))
	require.NoError(t, err)
	done := seen.of(apply.ReleaseDone)
	require.Equal(t, "b", done[0].Release)
	require.Equal(t, "a", done[1].Release)
}
