package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
)

var (
	namespaceKind = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	clusterRoles  = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	crdKind       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// make creates an object as someone else would.
func (w *world) make(resource schema.GroupVersionResource, namespace, doc string) {
	w.t.Helper()
	_, err := w.raw.Resource(resource).Namespace(namespace).
		Create(w.ctx, &unstructured.Unstructured{Object: object(w.t, doc, "").Data}, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

// widget is a custom resource of the kind that crd defines.
func (w *world) widget(version, spec string) string {
	return "apiVersion: " + w.namespace + ".example.com/" + version + "\nkind: Widget\nmetadata: {name: one}\nspec: {" + spec + "}"
}

func TestReleaseMayUseTheFieldThatItsOwnCRDGets(t *testing.T) {
	for name, chartOf := range map[string]func(crd, resource string) []chart{
		"crds folder": func(crd, resource string) []chart {
			return []chart{{name: "app", crds: []string{crd}, docs: []string{resource}}}
		},
		"templates": func(crd, resource string) []chart {
			return []chart{{name: "app", docs: []string{crd, resource}}}
		},
		"earlier group": func(crd, resource string) []chart {
			return []chart{{name: "crds", crds: []string{crd}}, {name: "app", group: 1, docs: []string{resource}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := enter(t)
			crd := w.crd("Widget", "Namespaced")
			w.apply(chartOf(crd, w.widget("v1", "size: 3")))
			more := strings.Replace(crd, "size: {type: integer}", "size: {type: integer}, colour: {type: string}", 1)
			charts := chartOf(more, w.widget("v1", "size: 3, colour: red"))
			plan := w.plan(charts)
			require.Zero(t, plan.Counts().Invalid, describe(plan))
			releases := plan.Levels[0].Releases
			objects := releases[len(releases)-1].Objects
			change := objects[len(objects)-1]
			require.Equal(t, "Widget", change.Kind)
			require.Equal(t, diff.Update, change.Action)
			require.Contains(t, change.Deferred, "not yet: ")
			require.Contains(t, change.Deferred, "colour")
			require.Nil(t, change.Before)
			require.Equal(t, w.namespace, change.After["metadata"].(map[string]any)["namespace"])
			w.apply(charts)
			widgets := schema.GroupVersionResource{Group: w.namespace + ".example.com", Version: "v1", Resource: "widgets"}
			require.Equal(t, "red", w.get(widgets, "one")["spec"].(map[string]any)["colour"])
		})
	}
	t.Run("a later group is too late", func(t *testing.T) {
		w := enter(t)
		crd := w.crd("Widget", "Namespaced")
		w.apply([]chart{{name: "app", docs: []string{w.widget("v1", "size: 3")}, group: 1}, {name: "crds", crds: []string{crd}}})
		more := strings.Replace(crd, "size: {type: integer}", "size: {type: integer}, colour: {type: string}", 1)
		plan := w.plan([]chart{{name: "app", docs: []string{w.widget("v1", "colour: red")}}, {name: "crds", crds: []string{more}, group: 1}})
		require.Equal(t, 1, plan.Counts().Invalid)
	})
	t.Run("a mistake in the object is found in the end", func(t *testing.T) {
		w := enter(t)
		crd := w.crd("Widget", "Namespaced")
		w.apply([]chart{{name: "app", crds: []string{crd}, docs: []string{w.widget("v1", "size: 3")}}})
		more := strings.Replace(crd, "size: {type: integer}", "size: {type: integer}, colour: {type: string}", 1)
		_, _, err := w.run(w.plan([]chart{{name: "app", crds: []string{more}, docs: []string{w.widget("v1", "hue: red")}}}))
		require.ErrorContains(t, err, "hue")
		w.apply([]chart{{name: "app", crds: []string{more}, docs: []string{w.widget("v1", "colour: red")}}})
	})
}

func TestMisspeltKindIsInvalidInThePlan(t *testing.T) {
	w := enter(t)
	misspelt := strings.Replace(deployment("web", ""), "kind: Deployment", "kind: Deploymnet", 1)
	plan := w.plan(w.one(configMap("a", "k", "1"), misspelt))
	require.Equal(t, []string{"Deploymnet.apps web (app/templates/1.yaml): the cluster does not know the kind Deploymnet of apps/v1. " +
		"Correct apiVersion and kind"}, plan.Levels[0].Releases[0].Problems())
	_, _, err := w.run(plan)
	require.ErrorContains(t, err, "was not started")
	require.Empty(t, w.statuses(), "no record is written")
	require.Nil(t, w.get(configMaps, "a"))
}

func TestKindThatAnOperatorBringsIsAskedForAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "operator", level: "10", docs: []string{configMap("operator", "k", "1")}},
		{name: "app", level: "20", docs: []string{w.widget("v1", "size: 3")}},
	}
	plan := w.plan(charts)
	require.Equal(t, 1, plan.Counts().Invalid)
	_, err := apply.Run(w.ctx, plan, w.client, apply.Options{Emit: func(e apply.Event) {
		if e.Kind == apply.HookDone || e.Kind == apply.ReleaseDone && e.Release == "operator" {
			w.make(crdKind, "", w.crd("Widget", "Namespaced"))
		}
	}})
	require.NoError(t, err)
	require.Equal(t, 2, w.applied())
}

// applied counts the deployed releases of the test.
func (w *world) applied() int {
	records, err := w.client.Records(w.ctx)
	require.NoError(w.t, err)
	n := 0
	for _, r := range records {
		if r.Namespace == w.namespace && r.Status == manifest.Deployed {
			n++
		}
	}
	return n
}

func TestDefinitionThatComesTooLateOrServesAnotherVersion(t *testing.T) {
	w := enter(t)
	plan := w.plan([]chart{
		{name: "app", level: "10", docs: []string{w.widget("v1", "size: 3")}},
		{name: "crds", level: "20", crds: []string{w.crd("Widget", "Namespaced")}},
	})
	require.Contains(t, strings.Join(plan.Levels[0].Releases[0].Problems(), ""), "comes after it, with release "+w.namespace+"/crds of runlevel 20")
	plan = w.plan([]chart{{name: "app", crds: []string{w.crd("Widget", "Namespaced")}, docs: []string{w.widget("v9", "size: 3")}}})
	require.Contains(t, strings.Join(plan.Levels[0].Releases[0].Problems(), ""), "its CustomResourceDefinition serves v1")
}

func TestAggregatedClusterRoleIsWrittenOnce(t *testing.T) {
	w := enter(t)
	w.make(clusterRoles, "", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "+w.namespace+
		"-part, labels: {"+w.namespace+": part}}\nrules: [{apiGroups: [''], resources: [pods], verbs: [get]}]")
	whole := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: " + w.namespace +
		"-whole}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {" + w.namespace + ": part}}]}\nrules: []"
	charts := w.one(whole)
	_, _, err := w.run(w.plan(charts))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		u, err := w.raw.Resource(clusterRoles).Get(w.ctx, w.namespace+"-whole", metav1.GetOptions{})
		rules, _, _ := unstructured.NestedSlice(u.Object, "rules")
		return err == nil && len(rules) == 1
	}, time.Minute, 50*time.Millisecond)
	again := w.plan(charts)
	require.True(t, again.Empty(), describe(again))
}

func TestWhatALeaverIsReplacedByIsReadyFirst(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("old", "k", "1")))
	charts := w.one(deployment("new", "playground.otomi.io/pod: pending"), hook("ConfigMap", "after", "post-upgrade", "0", ""))
	waited, hooked := false, false
	_, err := apply.Run(w.ctx, w.plan(charts), w.client, apply.Options{Emit: func(e apply.Event) {
		hooked = hooked || e.Kind == apply.HookDone
		if e.Kind != apply.Waiting || waited {
			return
		}
		waited = true
		require.True(t, hooked, "hooks run before the wait")
		require.NotNil(t, w.get(configMaps, "old"))
		_, err := w.raw.Resource(deployments).Namespace(w.namespace).Patch(w.ctx, "new", types.MergePatchType,
			[]byte(`{"spec":{"template":{"metadata":{"annotations":{"playground.otomi.io/pod":null}}}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}})
	require.NoError(t, err)
	require.True(t, waited)
	require.Nil(t, w.get(configMaps, "old"))
}

// as connects as another user.
func (w *world) as(user string) *cluster.Client {
	w.t.Helper()
	config, err := clientcmd.LoadFromFile(playground.kubeconfig)
	require.NoError(w.t, err)
	for _, auth := range config.AuthInfos {
		auth.Impersonate = user
	}
	path := filepath.Join(w.t.TempDir(), "kubeconfig")
	require.NoError(w.t, clientcmd.WriteToFile(*config, path))
	require.NoError(w.t, os.Chmod(path, 0o600))
	client, err := cluster.Connect(w.ctx, cluster.Options{Kubeconfig: []string{path}, UserAgent: w.agent})
	require.NoError(w.t, err)
	return client
}

// allow binds a role to a user: in the test's namespace, or in the cluster.
func (w *world) allow(user, role string, clusterWide bool) {
	w.t.Helper()
	binding := fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: %%s
metadata: {name: %s-%s}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %s}]
roleRef: {kind: ClusterRole, apiGroup: rbac.authorization.k8s.io, name: %s}
`, user, strings.ReplaceAll(role, ":", "-"), user, role)
	resource := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
	if clusterWide {
		w.make(resource, "", fmt.Sprintf(binding, "ClusterRoleBinding"))
		return
	}
	resource.Resource = "rolebindings"
	w.make(resource, w.namespace, fmt.Sprintf(binding, "RoleBinding"))
}

func TestAdminOfANamespaceCanApplyTwice(t *testing.T) {
	w := enter(t)
	user := "admin-of-" + w.namespace
	require.NoError(t, w.client.CreateNamespace(w.ctx, w.namespace))
	w.allow(user, "cluster-admin", false)
	charts := w.one(configMap("a", "k", "1"))

	w.client = w.as(user)
	_, _, err := diff.Compare(w.ctx, w.input(charts), w.client, diff.Options{})
	require.ErrorContains(t, err, "listing the release records of all namespaces: ")
	require.ErrorContains(t, err, `User "`+user+`" cannot list resource "secrets"`)
	require.ErrorContains(t, err, "let a role of the user allow the verb list there")

	w.make(clusterRoles, "", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: "+w.namespace+
		"-secrets}\nrules: [{apiGroups: [''], resources: [secrets], verbs: [list]}]")
	w.allow(user, w.namespace+"-secrets", true)
	require.Eventually(t, func() bool { _, err := w.client.Records(w.ctx); return err == nil }, time.Minute, 50*time.Millisecond)
	w.apply(charts) // and its second plan lists the config maps
	charts[0].docs[0] = configMap("a", "k", "2")
	w.apply(charts)
}

func TestWarningsOfTheAPIServerAreNotSwallowed(t *testing.T) {
	w := enter(t)
	// Of what is in a namespace that is not there nothing is asked before it is made.
	require.NoError(t, w.client.CreateNamespace(w.ctx, w.namespace))
	plan := w.plan(w.one("apiVersion: v1\nkind: Endpoints\nmetadata: {name: e}\nsubsets: []"))
	require.Len(t, plan.Warnings, 1)
	require.Contains(t, plan.Warnings[0], "v1 Endpoints is deprecated")
	result, _, err := w.run(plan)
	require.NoError(t, err)
	require.Empty(t, result.Warnings, "each is told once")

	// Of a kind that the run itself brings the server can warn only then.
	w.client = w.connect(w.agent)
	crd := strings.Replace(w.crd("Widget", "Namespaced"), "    served: true", "    served: true\n    deprecated: true", 1)
	plan = w.plan([]chart{{name: "widgets", crds: []string{crd}, docs: []string{w.widget("v1", "size: 3")}}})
	require.Empty(t, plan.Warnings)
	result, _, err = w.run(plan)
	require.NoError(t, err)
	require.Equal(t, []string{w.namespace + ".example.com/v1 Widget is deprecated"}, result.Warnings)
}

func TestWhatHelmLeftUnfinishedIsTakenOverOnceItIsOld(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1")))
	require.NoError(t, w.client.CreateRecord(w.ctx, manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: w.namespace, Revision: 2}, Status: manifest.PendingUpgrade,
		// Helm copies the labels of the revision before.
		Labels: map[string]string{diff.RevisionLabel: "1", diff.RunLabel: "ours"},
	}))
	charts := w.one(configMap("a", "k", "2"))
	for name, test := range map[string]struct {
		age     time.Duration
		timeout time.Duration
		o       diff.Options
		want    string
	}{
		"young":             {age: 9 * time.Minute, want: "revision 2 is pending-upgrade since 9m. Wait until it ends; if it was killed: otomi unlock " + w.namespace + "/app"},
		"as long as it may": {age: 19 * time.Minute, timeout: 10 * time.Minute, want: "pending-upgrade since 19m"},
		"without a lock":    {age: 5 * time.Hour, o: diff.Options{Unlocked: true}, want: "pending-upgrade since 5h"},
	} {
		charts[0].timeout = test.timeout
		test.o.Now = time.Now().Add(test.age + 5*time.Second)
		r := w.planWith(charts, test.o).Levels[0].Releases[0]
		require.Contains(t, r.Invalid, test.want, name)
		require.Zero(t, r.TakesOver, name)
	}
	charts[0].timeout = 0
	plan := w.planWith(charts, diff.Options{Now: time.Now().Add(2*time.Hour + time.Minute)})
	require.Equal(t, "helm left revision 2 pending-upgrade 2h ago; it is taken over", plan.Levels[0].Releases[0].Reason)
	_, _, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Failed, manifest.Deployed}, w.statuses())
	require.True(t, w.plan(charts).Empty())
}

func TestNamespaceThatIsBeingDeletedIsWaitedFor(t *testing.T) {
	w := enter(t)
	require.NoError(t, w.client.CreateNamespace(w.ctx, w.namespace))
	w.make(configMaps, w.namespace, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: holds, finalizers: [example.com/hold]}")
	require.NoError(t, w.raw.Resource(namespaceKind).Delete(w.ctx, w.namespace, metav1.DeleteOptions{}))
	charts := w.one(configMap("a", "k", "1"))
	plan := w.plan(charts)
	require.Zero(t, plan.Counts().Invalid, describe(plan))
	require.Contains(t, plan.Levels[0].Releases[0].Objects[0].Reason, "is being deleted and will be made anew")
	_, err := apply.Run(w.ctx, plan, w.client, apply.Options{Emit: func(e apply.Event) {
		if e.Kind == apply.ReleaseStarted {
			_, err := w.raw.Resource(configMaps).Namespace(w.namespace).Patch(w.ctx, "holds", types.MergePatchType,
				[]byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			require.NoError(t, err)
		}
	}})
	require.NoError(t, err)
	require.NotNil(t, w.get(configMaps, "a"))
}

func TestRefusedObjectShowsNoFalseDifferences(t *testing.T) {
	w := enter(t)
	w.apply(w.one(deployment("web", "")))
	change := w.plan(w.one(strings.Replace(deployment("web", ""), "replicas: 1", "replicas: -1", 1))).Levels[0].Releases[0].Objects[0]
	require.Equal(t, "spec.replicas: Invalid value: -1: must be greater than or equal to 0", change.Invalid)
	require.Nil(t, change.Before)
	require.Nil(t, change.After)
	// One that is made anew is shown as it will be.
	change = w.plan(w.one(strings.ReplaceAll(deployment("web", ""), "app: web", "app: other"))).Levels[0].Releases[0].Objects[0]
	require.Equal(t, diff.Replace, change.Action)
	require.Equal(t, change.Before["metadata"].(map[string]any)["namespace"], change.After["metadata"].(map[string]any)["namespace"])
	require.Equal(t, "web", change.After["metadata"].(map[string]any)["name"])
	require.Equal(t, change.Before["spec"].(map[string]any)["strategy"], change.After["spec"].(map[string]any)["strategy"], "defaults")
	// And one that is not there, at its place.
	change = w.plan(w.one(strings.Replace(deployment("new", ""), "replicas: 1", "replicas: -1", 1))).Levels[0].Releases[0].Objects[0]
	require.Equal(t, w.namespace, change.After["metadata"].(map[string]any)["namespace"])
}

func TestRefusalQuotesNoPodTemplate(t *testing.T) {
	w := enter(t)
	job := func(password string) string {
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {template: {spec: {restartPolicy: Never, containers: " +
			"[{name: main, image: example/a:1, env: [{name: PASSWORD, value: " + password + "}]}]}}}"
	}
	w.apply(w.one(job("hunter2")))
	plan := w.plan(w.one(job("hunter3")))
	require.Equal(t, "it can't be changed in place: spec.template: field is immutable", plan.Levels[0].Releases[0].Objects[0].Reason)
}

func TestHooksOfAPlanAreAtTheirPlaces(t *testing.T) {
	w := enter(t)
	charts := w.one(configMap("a", "k", "1"), hook("Job", "h", "pre-install,pre-delete", "0", ""))
	plan := w.apply(charts)
	require.Equal(t, "Job.batch "+w.namespace+"/h", plan.Levels[0].Releases[0].Hooks[0].ID.String())
	charts[0].gone = true
	require.Equal(t, "Job.batch "+w.namespace+"/h", w.plan(charts).Levels[0].Releases[0].Hooks[0].ID.String())
}
