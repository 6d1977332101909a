package faults_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/manifest"
)

// The fake API server and the real one are the same for who asks what otomi asks: one contract, held by both.
func TestContractOfTheFake(t *testing.T) {
	s, err := fakeSite(fakeapi.New())
	require.NoError(t, err)
	defer s.close()
	contract(t, s)
}

func TestContractOfThePlayground(t *testing.T) {
	contract(t, playgroundSite(t))
}

// step is one request of the contract, and what must be answered.
type step struct {
	what   string
	method string
	path   string
	// kind is the content type; empty is JSON.
	kind string
	body any
	code int
	// reason is that of a refusal; empty where it does not matter.
	reason string
	// holds looks at the answer; nil where the code says it all.
	holds func(answer map[string]any) error
	// eventually asks again until it holds: what controllers do takes a moment.
	eventually bool
}

type m = map[string]any

const (
	applyPatch = "application/apply-patch+yaml"
	mergePatch = "application/merge-patch+json"
	jsonPatch  = "application/json-patch+json"
)

// at is a field of an answer.
func at(answer map[string]any, path ...string) any {
	var v any = answer
	for _, step := range path {
		inner, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = inner[step]
	}
	return v
}

// is asks that a field has a value, as text; an empty one that it is not there.
func is(want string, path ...string) func(map[string]any) error {
	return func(answer map[string]any) error {
		have := at(answer, path...)
		if have == nil && want == "" || have != nil && fmt.Sprint(have) == want {
			return nil
		}
		return fmt.Errorf("%s is %v, not %q", strings.Join(path, "."), have, want)
	}
}

// cause asks that a refusal has a cause at a field.
func cause(kind, field string) func(map[string]any) error {
	return func(answer map[string]any) error {
		causes, _ := at(answer, "details", "causes").([]any)
		if slices.ContainsFunc(causes, func(v any) bool {
			c, _ := v.(map[string]any)
			have, _ := c["field"].(string)
			return c["reason"] == kind && strings.HasPrefix(have, field)
		}) {
			return nil
		}
		return fmt.Errorf("no cause %s at %s: %v", kind, field, causes)
	}
}

// owns asks whether a manager has fields by apply.
func owns(manager string, want bool, field string) func(map[string]any) error {
	return func(answer map[string]any) error {
		entries, _ := at(answer, "metadata", "managedFields").([]any)
		have := slices.ContainsFunc(entries, func(v any) bool {
			e, _ := v.(map[string]any)
			return e["manager"] == manager && e["operation"] == "Apply" && at(e, "fieldsV1", "f:data", "f:"+field) != nil
		})
		if have != want {
			return fmt.Errorf("%s owns data.%s: %v, not %v", manager, field, have, want)
		}
		return nil
	}
}

func contract(t *testing.T, s *site) {
	ctx := background(t)
	space := fmt.Sprintf("contract-%d", time.Now().UnixNano()%1e9)
	base := "/api/v1/namespaces/" + space
	maps, secrets := base+"/configmaps", base+"/secrets"
	configMap := func(name string, data m) m {
		return m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": m{"name": name}, "data": data}
	}
	with := func(o m, field string, v any) m {
		md := m{}
		for k, e := range o["metadata"].(m) {
			md[k] = e
		}
		md[field] = v
		out := m{}
		for k, e := range o {
			out[k] = e
		}
		out["metadata"] = md
		return out
	}
	group := space + ".example.com"
	crd := m{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": m{"name": "things." + group}, "spec": m{
		"group": group, "scope": "Namespaced", "names": m{"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"},
		"versions": []any{m{"name": "v1", "served": true, "storage": true, "schema": m{"openAPIV3Schema": m{"type": "object",
			"x-kubernetes-preserve-unknown-fields": true}}}},
	}}
	job := func(image string) m {
		return m{"apiVersion": "batch/v1", "kind": "Job", "metadata": m{"name": "job"}, "spec": m{"template": m{"spec": m{
			"restartPolicy": "Never", "containers": []any{m{"name": "a", "image": image}}}}}}
	}
	deployment := func(image, note string) m {
		return m{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": m{"name": "app", "annotations": m{"note": note}}, "spec": m{
			"selector": m{"matchLabels": m{"app": "app"}}, "template": m{"metadata": m{"labels": m{"app": "app"}}, "spec": m{
				"containers": []any{m{"name": "a", "image": image}}}}}}
	}
	lease := m{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": m{"name": "lock"}, "spec": m{"holderIdentity": "a", "leaseDurationSeconds": 1}}
	leases := "/apis/coordination.k8s.io/v1/namespaces/" + space + "/leases"
	// seen is the resource version of an answer, for a later step.
	var seen, uid string
	note := func(answer map[string]any) error {
		seen, uid = fmt.Sprint(at(answer, "metadata", "resourceVersion")), fmt.Sprint(at(answer, "metadata", "uid"))
		if seen == "" || uid == "" || seen == "<nil>" || uid == "<nil>" {
			return fmt.Errorf("no resource version or UID: %v", answer["metadata"])
		}
		return nil
	}
	unmoved := func(answer map[string]any) error { return is(seen, "metadata", "resourceVersion")(answer) }
	moved := func(answer map[string]any) error {
		if unmoved(answer) == nil {
			return fmt.Errorf("the resource version is still %s", seen)
		}
		return note(answer)
	}
	const ours, theirs = "?fieldManager=otomi&force=true", "?fieldManager=other"
	steps := func(list ...step) {
		t.Helper()
		for _, st := range list {
			s.step(t, st)
		}
	}

	steps(
		step{what: "the version", method: "GET", path: "/version", code: 200, holds: func(a map[string]any) error {
			if !strings.HasPrefix(fmt.Sprint(a["gitVersion"]), "v1.") {
				return fmt.Errorf("gitVersion is %v", a["gitVersion"])
			}
			return nil
		}},
		step{what: "a namespace", method: "POST", path: "/api/v1/namespaces", body: m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": space}},
			code: 201, holds: is(space, "metadata", "labels", "kubernetes.io/metadata.name")},
		step{what: "it is there already", method: "POST", path: "/api/v1/namespaces", body: m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": space}},
			code: 409, reason: "AlreadyExists"},
		step{what: "nothing in a namespace that is not there", method: "POST", path: "/api/v1/namespaces/nowhere/configmaps", body: configMap("a", nil),
			code: 404, reason: "NotFound", holds: is("namespaces", "details", "kind")},
		step{what: "nor by apply", method: "PATCH", path: "/api/v1/namespaces/nowhere/configmaps/a" + ours, kind: applyPatch, body: configMap("a", nil),
			code: 404, holds: is("namespaces", "details", "kind")},
		step{what: "a kind that nobody serves", method: "GET", path: "/apis/example.org/v1/nothings", code: 404},

		step{what: "create", method: "POST", path: maps + "?fieldManager=helm", body: configMap("a", m{"k": "1"}), code: 201, holds: note},
		step{what: "create again", method: "POST", path: maps, body: configMap("a", nil), code: 409, reason: "AlreadyExists"},
		step{what: "update without a resource version", method: "PUT", path: maps + "/a", body: configMap("a", m{"k": "2"}), code: 200, holds: moved},
	)
	old := seen
	steps(
		step{what: "update with it", method: "PUT", path: maps + "/a", body: with(configMap("a", m{"k": "3"}), "resourceVersion", seen), code: 200, holds: moved},
		step{what: "update with a former one", method: "PUT", path: maps + "/a", body: with(configMap("a", m{"k": "4"}), "resourceVersion", old), code: 409, reason: "Conflict"},
		step{what: "an update that changes nothing", method: "PUT", path: maps + "/a", body: configMap("a", m{"k": "3"}), code: 200, holds: unmoved},
		step{what: "update what is not there", method: "PUT", path: maps + "/none", body: configMap("none", nil), code: 404, reason: "NotFound"},
		step{what: "a merge patch", method: "PATCH", path: maps + "/a", kind: mergePatch, body: m{"data": m{"k": nil, "l": "1"}}, code: 200, holds: is("map[l:1]", "data")},
		step{what: "a JSON patch", method: "PATCH", path: maps + "/a", kind: jsonPatch, body: []any{m{"op": "replace", "path": "/data/l", "value": "2"}}, code: 200, holds: is("map[l:2]", "data")},
		step{what: "a JSON patch with a former resource version", method: "PATCH", path: maps + "/a", kind: jsonPatch,
			body: []any{m{"op": "replace", "path": "/metadata/resourceVersion", "value": old}, m{"op": "replace", "path": "/data/l", "value": "3"}}, code: 409, reason: "Conflict"},

		step{what: "apply makes", method: "PATCH", path: maps + "/b" + ours, kind: applyPatch, body: configMap("b", m{"k": "1", "l": "1"}), code: 201, holds: note},
		step{what: "it is owned", method: "GET", path: maps + "/b", code: 200, holds: owns("otomi", true, "k")},
		step{what: "apply again writes nothing", method: "PATCH", path: maps + "/b" + ours, kind: applyPatch, body: configMap("b", m{"k": "1", "l": "1"}), code: 200, holds: unmoved},
		step{what: "a dropped field goes", method: "PATCH", path: maps + "/b" + ours, kind: applyPatch, body: configMap("b", m{"k": "1"}), code: 200, holds: is("map[k:1]", "data")},
		step{what: "another's apply conflicts", method: "PATCH", path: maps + "/b" + theirs, kind: applyPatch, body: configMap("b", m{"k": "2"}), code: 409,
			reason: "Conflict", holds: cause("FieldManagerConflict", ".data.k")},
		step{what: "unless forced", method: "PATCH", path: maps + "/b" + theirs + "&force=true", kind: applyPatch, body: configMap("b", m{"k": "2"}), code: 200, holds: owns("other", true, "k")},
		step{what: "which takes it from us", method: "GET", path: maps + "/b", code: 200, holds: owns("otomi", false, "k")},
		step{what: "and back", method: "PATCH", path: maps + "/b" + ours, kind: applyPatch, body: configMap("b", m{"k": "1"}), code: 200, holds: note},
		step{what: "a foreign update takes the field", method: "PATCH", path: maps + "/b?fieldManager=kubectl-edit", kind: mergePatch, body: m{"data": m{"k": "9"}}, code: 200, holds: owns("otomi", false, "k")},
		step{what: "apply without a manager", method: "PATCH", path: maps + "/b?force=true", kind: applyPatch, body: configMap("b", nil), code: 422, reason: "Invalid"},

		step{what: "apply of something absent, guarded by a version that no object has", method: "PATCH", path: maps + "/c" + ours, kind: applyPatch,
			body: with(configMap("c", m{"k": "1"}), "resourceVersion", "1"), code: 201, holds: note},
		step{what: "the same where it is there", method: "PATCH", path: maps + "/c" + ours, kind: applyPatch, body: with(configMap("c", m{"k": "2"}), "resourceVersion", "1"), code: 409, reason: "Conflict"},
	)
	steps(
		step{what: "apply guarded by its version", method: "PATCH", path: maps + "/c" + ours, kind: applyPatch, body: with(configMap("c", m{"k": "3"}), "resourceVersion", seen), code: 200, holds: moved},
		step{what: "apply guarded by another UID", method: "PATCH", path: maps + "/c" + ours, kind: applyPatch, body: with(configMap("c", m{"k": "4"}), "uid", "00000000-0000-0000-0000-000000000000"), code: 422, reason: "Invalid", holds: cause("FieldValueInvalid", "metadata.uid")},
		step{what: "apply guarded by another UID and a former version", method: "PATCH", path: maps + "/c" + ours, kind: applyPatch,
			body: with(with(configMap("c", m{"k": "4"}), "uid", "00000000-0000-0000-0000-000000000000"), "resourceVersion", old), code: 409, reason: "Conflict"},
		step{what: "apply guarded by a UID where nothing is", method: "PATCH", path: maps + "/none" + ours, kind: applyPatch, body: with(configMap("none", nil), "uid", uid), code: 409, reason: "Conflict"},

		step{what: "a dry-run of something new", method: "PATCH", path: maps + "/d" + ours + "&dryRun=All", kind: applyPatch, body: configMap("d", m{"k": "1"}), code: 201, holds: is("map[k:1]", "data")},
		step{what: "makes nothing", method: "GET", path: maps + "/d", code: 404},
		step{what: "a dry-run of a change", method: "PATCH", path: maps + "/c" + ours + "&dryRun=All", kind: applyPatch, body: configMap("c", m{"k": "8"}), code: 200, holds: is("map[k:8]", "data")},
		step{what: "changes nothing", method: "GET", path: maps + "/c", code: 200, holds: is("map[k:3]", "data")},

		step{what: "delete with another UID", method: "DELETE", path: maps + "/c", body: m{"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": m{"uid": "00000000-0000-0000-0000-000000000000"}}, code: 409, reason: "Conflict"},
		step{what: "delete", method: "DELETE", path: maps + "/c", code: 200},
		step{what: "delete again", method: "DELETE", path: maps + "/c", code: 404},

		step{what: "a finalizer", method: "PATCH", path: maps + "/b", kind: mergePatch, body: m{"metadata": m{"finalizers": []any{"example.com/a"}}}, code: 200},
		step{what: "holds an object", method: "DELETE", path: maps + "/b", code: 200},
		step{what: "which is being deleted", method: "GET", path: maps + "/b", code: 200, holds: func(a map[string]any) error {
			if at(a, "metadata", "deletionTimestamp") == nil {
				return fmt.Errorf("no deletionTimestamp")
			}
			return nil
		}},
		step{what: "and can't be made anew", method: "POST", path: maps, body: configMap("b", nil), code: 409, reason: "AlreadyExists"},
		step{what: "until it is let go", method: "PATCH", path: maps + "/b", kind: mergePatch, body: m{"metadata": m{"finalizers": nil}}, code: 200},
		step{what: "and gone", method: "GET", path: maps + "/b", code: 404},

		step{what: "a Secret in plain", method: "POST", path: secrets, body: m{"apiVersion": "v1", "kind": "Secret", "metadata": m{"name": "s", "labels": m{"a": "1"}}, "stringData": m{"k": "v"}},
			code: 201, holds: is("map[k:dg==]", "data")},
		step{what: "has a type", method: "GET", path: secrets + "/s", code: 200, holds: is("Opaque", "type")},
		step{what: "a Secret over 1 MiB", method: "POST", path: secrets, body: m{"apiVersion": "v1", "kind": "Secret", "metadata": m{"name": "t"}, "stringData": m{"k": strings.Repeat("x", 1<<20+1)}},
			code: 422, reason: "Invalid", holds: cause("FieldValueTooLong", "data")},
		step{what: "a list by label", method: "GET", path: secrets + "?labelSelector=a%3D1", code: 200, holds: length(1)},
		step{what: "a list by another", method: "GET", path: secrets + "?labelSelector=a%3D2", code: 200, holds: length(0)},
		step{what: "a bad name", method: "POST", path: maps, body: configMap("A_b", nil), code: 422, reason: "Invalid", holds: cause("FieldValueInvalid", "metadata.name")},

		step{what: "a Job", method: "PATCH", path: "/apis/batch/v1/namespaces/" + space + "/jobs/job" + ours, kind: applyPatch, body: job("a"), code: 201},
		step{what: "completes", method: "GET", path: "/apis/batch/v1/namespaces/" + space + "/jobs/job", code: 200, holds: is("1", "status", "succeeded"), eventually: true},
		step{what: "its template stays", method: "PATCH", path: "/apis/batch/v1/namespaces/" + space + "/jobs/job" + ours, kind: applyPatch, body: job("b"), code: 422, reason: "Invalid", holds: cause("FieldValueInvalid", "spec.template")},
		step{what: "a Deployment", method: "PATCH", path: "/apis/apps/v1/namespaces/" + space + "/deployments/app" + ours, kind: applyPatch, body: deployment("a", "1"), code: 201, holds: is("1", "metadata", "generation")},
		step{what: "becomes available", method: "GET", path: "/apis/apps/v1/namespaces/" + space + "/deployments/app", code: 200, holds: is("1", "status", "availableReplicas"), eventually: true},
		step{what: "a note is a generation of a Deployment", method: "PATCH", path: "/apis/apps/v1/namespaces/" + space + "/deployments/app" + ours, kind: applyPatch, body: deployment("a", "2"), code: 200, holds: is("2", "metadata", "generation")},
		step{what: "a change is", method: "PATCH", path: "/apis/apps/v1/namespaces/" + space + "/deployments/app" + ours, kind: applyPatch, body: deployment("b", "2"), code: 200, holds: is("3", "metadata", "generation")},

		step{what: "a Lease", method: "POST", path: leases, body: lease, code: 201, holds: note},
		step{what: "is there", method: "POST", path: leases, body: lease, code: 409, reason: "AlreadyExists"},
	)
	first := seen
	steps(
		step{what: "a Lease is renewed", method: "PUT", path: leases + "/lock", body: with(m{"apiVersion": lease["apiVersion"], "kind": "Lease", "metadata": lease["metadata"], "spec": m{"holderIdentity": "b"}}, "resourceVersion", first), code: 200, holds: moved},
		step{what: "once", method: "PUT", path: leases + "/lock", body: with(lease, "resourceVersion", first), code: 409, reason: "Conflict"},

		step{what: "a definition", method: "PATCH", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things." + group + ours, kind: applyPatch, body: crd, code: 201},
		step{what: "is served", method: "GET", path: "/apis/" + group + "/v1", code: 200, eventually: true, holds: func(a map[string]any) error {
			list, _ := a["resources"].([]any)
			if !slices.ContainsFunc(list, func(v any) bool { return v.(map[string]any)["name"] == "things" }) {
				return fmt.Errorf("no things: %v", list)
			}
			return nil
		}},
		step{what: "an object of its kind", method: "PATCH", path: "/apis/" + group + "/v1/namespaces/" + space + "/things/one" + ours, kind: applyPatch, eventually: true,
			body: m{"apiVersion": group + "/v1", "kind": "Thing", "metadata": m{"name": "one"}, "spec": m{"list": []any{"a", "b"}}}, code: 201},
		step{what: "its lists are one", method: "PATCH", path: "/apis/" + group + "/v1/namespaces/" + space + "/things/one" + ours, kind: applyPatch,
			body: m{"apiVersion": group + "/v1", "kind": "Thing", "metadata": m{"name": "one"}, "spec": m{"list": []any{"c"}}}, code: 200, holds: is("map[list:[c]]", "spec")},
		step{what: "the definition goes", method: "DELETE", path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things." + group, code: 200},
		step{what: "and its objects with it", method: "GET", path: "/apis/" + group + "/v1/namespaces/" + space + "/things/one", code: 404, eventually: true},
	)
	contractOfClient(ctx, t, s, space)
	steps(
		step{what: "something that holds the namespace", method: "POST", path: maps, body: with(configMap("held", nil), "finalizers", []any{"example.com/a"}), code: 201},
		step{what: "the namespace goes", method: "DELETE", path: base, code: 200},
		step{what: "nothing new in it", method: "POST", path: maps, body: configMap("late", nil), code: 403, reason: "Forbidden", holds: cause("NamespaceTerminating", "metadata.namespace")},
		step{what: "it still is", method: "GET", path: base, code: 200, holds: is("Terminating", "status", "phase")},
		step{what: "until all is gone", method: "GET", path: secrets + "/s", code: 404, eventually: true},
		step{what: "and what held it", method: "PATCH", path: maps + "/held", kind: mergePatch, body: m{"metadata": m{"finalizers": nil}}, code: 200},
		step{what: "then it is gone", method: "GET", path: base, code: 404, eventually: true},
	)
}

func length(n int) func(map[string]any) error {
	return func(answer map[string]any) error {
		if items, _ := answer["items"].([]any); len(items) != n {
			return fmt.Errorf("%d items, not %d", len(items), n)
		}
		return nil
	}
}

// step asks, and compares the answer.
func (s *site) step(t *testing.T, st step) {
	t.Helper()
	kind := st.kind
	if kind == "" {
		kind = "application/json"
	}
	deadline := time.Now().Add(time.Minute)
	for {
		code, answer, err := s.ask(st.method, st.path, kind, st.body)
		require.NoError(t, err, st.what)
		if code != st.code {
			err = fmt.Errorf("%s %s: %d, not %d: %v", st.method, st.path, code, st.code, answer["message"])
		} else if st.reason != "" && answer["reason"] != st.reason {
			err = fmt.Errorf("%s %s: the reason is %v, not %s", st.method, st.path, answer["reason"], st.reason)
		} else if st.holds != nil {
			err = st.holds(answer)
		}
		if err == nil {
			return
		}
		if !st.eventually || time.Now().After(deadline) {
			t.Errorf("%s: %v", st.what, err)
			return
		}
		time.Sleep(50 * time.Millisecond) // a controller is on its way
	}
}

// contractOfClient is the part of the contract that goes through otomi's own client, protobuf included.
func contractOfClient(ctx context.Context, t *testing.T, s *site, space string) {
	t.Helper()
	c, err := cluster.Connect(ctx, cluster.Options{Kubeconfig: []string{s.kubeconfig}, UserAgent: "contract/1"})
	require.NoError(t, err)
	versions, err := c.APIVersions(ctx)
	require.NoError(t, err)
	for _, want := range []string{"v1", "apps/v1", "apps/v1/Deployment", "batch/v1/Job", "coordination.k8s.io/v1/Lease"} {
		require.Contains(t, versions, want)
	}
	object := func(data map[string]any) manifest.Object {
		o, err := manifest.New(data, "", "contract")
		require.NoError(t, err)
		return o
	}
	one := object(m{"apiVersion": "v1", "kind": "ConfigMap", "metadata": m{"name": "one"}, "data": m{"k": "1"}})
	placed, known, err := c.Place(ctx, space, []manifest.Object{one, object(m{"apiVersion": "example.org/v1", "kind": "Nothing", "metadata": m{"name": "x"}})})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false}, known)
	require.Equal(t, space, placed[0].Namespace)
	owner := manifest.Owner{Namespace: space, Name: "app"}
	_, found, err := c.Get(ctx, placed[0])
	require.NoError(t, err)
	require.False(t, found)
	after, err := c.DryRun(ctx, placed[0], owner)
	require.NoError(t, err)
	require.Equal(t, m{"k": "1"}, after["data"])
	print, err := c.Apply(ctx, placed[0], owner)
	require.NoError(t, err)
	prints, err := c.Prints(ctx, placed[:1])
	require.NoError(t, err)
	require.Equal(t, map[manifest.ID]string{placed[0].ID: print}, prints, "what an apply answers is what a list of metadata says")
	begun, err := c.Delete(ctx, placed[0], manifest.Owner{Namespace: space, Name: "another"})
	require.NoError(t, err)
	require.False(t, begun)
	begun, err = c.Delete(ctx, placed[0], owner)
	require.NoError(t, err)
	require.True(t, begun)

	record := manifest.Stored{
		Release: manifest.Release{Name: "app", Namespace: space, Revision: 1, Text: "---\n", Values: m{"a": "1"}, Chart: manifest.Chart{Name: "app", Version: "1.0.0"}},
		Status:  manifest.PendingInstall, Labels: map[string]string{"otomi.io/run": "contract"},
	}
	require.NoError(t, c.CreateRecord(ctx, record))
	require.Error(t, c.CreateRecord(ctx, record), "creating is the lock on a revision")
	stored, err := c.Stored(ctx, space, "app", 1)
	require.NoError(t, err)
	require.Equal(t, manifest.PendingInstall, stored.Status)
	require.NotEmpty(t, stored.Seen)
	other := stored
	stored.Status = manifest.Deployed
	require.NoError(t, c.UpdateRecord(ctx, stored))
	var refusal *manifest.Refusal
	require.ErrorAs(t, c.UpdateRecord(ctx, other), &refusal)
	require.Equal(t, manifest.RefusedConflict, refusal.Reason)
	revisions, err := c.Revisions(ctx, space, "app")
	require.NoError(t, err)
	require.Len(t, revisions, 1)
	require.Equal(t, manifest.Deployed, revisions[0].Status)
	require.Equal(t, "contract", revisions[0].Labels["otomi.io/run"])
	require.NoError(t, c.DeleteRecord(ctx, space, "app", 1))
	require.NoError(t, c.DeleteRecord(ctx, space, "app", 1))
}
