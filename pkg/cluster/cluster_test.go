package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/release"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/redkubes/otomi/pkg/manifest"
)

// kubeconfig writes a kubeconfig with contexts a and b at an address.
func kubeconfig(t *testing.T, server, current string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: %q
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {}}]
contexts: [{name: b, context: {cluster: c, user: u}}, {name: a, context: {cluster: c, user: u}}]
`, current, server)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// closed is an address where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String()
}

func TestConnect(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"gitVersion":"v1.34.2"}`))
	}))
	defer server.Close()
	c, err := Connect(t.Context(), Options{Kubeconfig: []string{"/nonexistent", kubeconfig(t, server.URL, "a")}})
	require.NoError(t, err)
	version, err := c.Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "v1.34.2", version)
	require.Equal(t, "a", c.Context())
	require.Equal(t, server.URL, c.Server())
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	address := closed(t)
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer html.Close()
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"refused": {
			Options{Kubeconfig: []string{kubeconfig(t, address, "a")}},
			`connecting to the cluster of context "a" at ` + address + `: dial tcp ` + address[len("http://"):] + `: connect: connection refused`,
		},
		"unknown context": {
			Options{Kubeconfig: []string{kubeconfig(t, address, "a")}, Context: "prod"},
			`the kubeconfig has no context "prod": it has a, b`,
		},
		"no current context": {
			Options{Kubeconfig: []string{kubeconfig(t, address, "")}},
			`the kubeconfig has no current context: name one with --kube-context: a, b`,
		},
		"no kubeconfig": {
			Options{Kubeconfig: []string{"/nonexistent/config"}},
			`no kubeconfig with a context found in /nonexistent/config: name a file with --kubeconfig or KUBECONFIG`,
		},
		"not Kubernetes": {
			Options{Kubeconfig: []string{kubeconfig(t, html.URL, "a")}},
			`connecting to the cluster of context "a" at ` + html.URL + `: the server's answer to /version names no version: is it a Kubernetes API server?`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Connect(t.Context(), test.o)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestServerThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	_, err := Connect(t.Context(), Options{Kubeconfig: []string{kubeconfig(t, server.URL, "a")}, HeaderTimeout: 50 * time.Millisecond})
	require.ErrorIs(t, err, errNoAnswer)
}

func TestListContexts(t *testing.T) {
	t.Parallel()
	contexts, err := ListContexts([]string{kubeconfig(t, "http://localhost", "b")})
	require.NoError(t, err)
	require.Equal(t, Contexts{Current: "b", Names: []string{"a", "b"}}, contexts)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method   string
		statuses []int
		want     int
		sent     int32
	}{
		"a read is sent again":                      {http.MethodGet, []int{503, 500, 200}, 200, 3},
		"an apply is sent again":                    {http.MethodPatch, []int{429, 502, 200}, 200, 3},
		"an apply that does not fit is not":         {http.MethodPatch, []int{500, 200}, 500, 1},
		"a create is not":                           {http.MethodPost, []int{503, 200}, 503, 1},
		"a refusal is not":                          {http.MethodGet, []int{403, 200}, 403, 1},
		"a server that stays overloaded has an end": {http.MethodGet, []int{503, 503, 503, 503, 503, 503, 503}, 503, attempts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var body map[string]any
				if r.Method != http.MethodGet {
					require.NoError(t, json.NewDecoder(r.Body).Decode(&body), "the body is sent every time")
				}
				w.WriteHeader(test.statuses[n.Add(1)-1])
			}))
			defer server.Close()
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL, http.NoBody)
			if test.method != http.MethodGet {
				request, err = http.NewRequestWithContext(t.Context(), test.method, server.URL, jsonBody())
			}
			require.NoError(t, err)
			resp, err := (&retrying{next: http.DefaultTransport}).RoundTrip(request)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, test.want, resp.StatusCode)
			require.Equal(t, test.sent, n.Load())
		})
	}
}

func TestRefusalOfASecretHidesItsBody(t *testing.T) {
	t.Parallel()
	id := manifest.ID{Kind: "Secret", Namespace: "n", Name: "s"}
	invalid := apierrors.NewInvalid(schema.GroupKind{Kind: "Secret"}, "s", field.ErrorList{
		field.Invalid(field.NewPath("data").Key("password"), "hunter2", "bad"),
	})
	err := refused("applying", id, fmt.Errorf("wrapped: %w", invalid))
	require.NotContains(t, err.Error(), "hunter2")
	require.Contains(t, err.Error(), "data[password]")
	var refusal *manifest.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, manifest.RefusedInvalid, refusal.Reason)

	id.Kind = "ConfigMap"
	require.Contains(t, refused("applying", id, invalid).Error(), "hunter2")
	require.NotContains(t, secretError(invalid).Error(), "hunter2")
	require.EqualError(t, refused("applying", id, context.Canceled), "applying ConfigMap n/s: context canceled")
}

func TestRefusalQuotesNoPartOfTheObject(t *testing.T) {
	t.Parallel()
	id := manifest.ID{Kind: "Deployment", Group: "apps", Namespace: "n", Name: "web"}
	template := map[string]any{"containers": []any{map[string]any{"env": []any{map[string]any{"value": "hunter2: {"}}}}}
	path := field.NewPath("spec")
	invalid := func(errs ...*field.Error) error {
		return apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "web", errs)
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a number": {
			invalid(field.Invalid(path.Child("replicas"), -1, "must be greater than or equal to 0")),
			"spec.replicas: Invalid value: -1: must be greater than or equal to 0",
		},
		"a word": {
			invalid(field.NotSupported(path.Child("type"), "Foo", []string{"A", "B"})),
			`spec.type: Unsupported value: "Foo": supported values: "A", "B"`,
		},
		"a whole part": {
			invalid(field.Invalid(path.Child("template"), template, "field is immutable")),
			"spec.template: field is immutable",
		},
		"a part that is there twice": {
			invalid(field.Duplicate(path.Child("list").Index(1), template)),
			"spec.list[1]: Duplicate value",
		},
		"a long text": {
			invalid(field.Invalid(path.Child("key"), strings.Repeat("hunter2 ", 10), "too odd: really")),
			"spec.key: too odd: really",
		},
		"the same thing twice": {
			invalid(field.Required(path.Child("a"), ""), field.Required(path.Child("a"), ""), field.Required(path.Child("b"), "say it")),
			"spec.a: Required value; spec.b: Required value: say it",
		},
		"what Go prints": {
			apierrors.NewBadRequest("failed: .spec.list: expected list, got &value.valueUnstructured{Value:true}"),
			"failed: .spec.list: expected list, got the boolean true",
		},
		"what Go prints of a map": {
			apierrors.NewBadRequest("failed: .spec.list: expected list, got &{map[password:hunter2]}\n.spec.b: bad"),
			"failed: .spec.list: expected list, got a map\n.spec.b: bad",
		},
		"what Go prints of a string": {
			apierrors.NewBadRequest("failed: .spec.map: expected map, got &{hunter} hunter2}"),
			"failed: .spec.map: expected map, got something else",
		},
		"an object in a webhook's words": {
			apierrors.NewBadRequest("denied: " + strings.Repeat("x", 10) + ` {"password": "hunter2", "more": "` + strings.Repeat("y", 100) + `"} is bad`),
			"denied: xxxxxxxxxx {…} is bad",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, refused("applying", id, test.err), "Deployment.apps n/web: "+test.want)
		})
	}
}

func TestAggregatedClusterRoleIsSentWithoutRules(t *testing.T) {
	t.Parallel()
	role := manifest.Object{ID: manifest.ID{Kind: "ClusterRole", Group: "rbac.authorization.k8s.io", Name: "r"}, Version: "v1",
		Data: map[string]any{"metadata": map[string]any{"name": "r"}, "rules": []any{}, "aggregationRule": map[string]any{"a": "b"}}}
	got, err := prepared(role, manifest.Owner{})
	require.NoError(t, err)
	require.NotContains(t, got, "rules")
	delete(role.Data, "aggregationRule")
	got, err = prepared(role, manifest.Owner{})
	require.NoError(t, err)
	require.Contains(t, got, "rules")
}

func TestRecordSurvivesHelmsForm(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stored := manifest.Stored{
		Release: manifest.Release{
			Name: "app", Namespace: "n", Revision: 3, Values: map[string]any{"a": 1.0}, Notes: "hi",
			Text: "---\n# Source: app/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n" +
				"---\n# Source: app/templates/empty.yaml\n# nothing\n",
			Chart: manifest.Chart{Name: "app", Version: "1.0.0", Metadata: []byte(`{"name":"app","version":"1.0.0"}`)},
			Hooks: []manifest.Hook{{
				Object: manifest.Object{ID: manifest.ID{Kind: "Job", Group: "batch", Name: "h"}, Source: "app/templates/h.yaml",
					Text: "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h}"},
				Events: []manifest.Event{manifest.PreInstall}, Weight: -1, DeletePolicies: []manifest.DeletePolicy{manifest.HookFailed},
			}},
		},
		Status: manifest.Deployed, Description: "Install complete", FirstDeployed: now, LastDeployed: now,
		Labels: map[string]string{"otomi.io/run": "r"},
		Runs:   map[int]manifest.HookRun{0: {Started: now, Completed: now, Phase: "Succeeded"}},
	}
	helm, err := toHelm(stored)
	require.NoError(t, err)
	raw, err := json.Marshal(helm)
	require.NoError(t, err)
	back := &release.Release{Labels: map[string]string{"otomi.io/run": "r", "owner": "helm", "name": "app"}}
	require.NoError(t, json.Unmarshal(raw, back))
	got, err := fromHelm(back)
	require.NoError(t, err)
	require.Len(t, got.Objects, 1)
	require.Equal(t, manifest.ID{Kind: "ConfigMap", Name: "a"}, got.Objects[0].ID)
	require.Equal(t, "app/templates/a.yaml", got.Objects[0].Source)
	require.Equal(t, stored.Labels, got.Labels)
	require.Equal(t, stored.Runs, got.Runs)
	require.Equal(t, stored.Hooks[0].Events, got.Hooks[0].Events)
	require.Equal(t, stored.Hooks[0].ID, got.Hooks[0].ID)
	require.Equal(t, stored.Text, got.Text)
	require.True(t, now.Equal(got.FirstDeployed))
	require.Equal(t, manifest.Deployed, got.Status)
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		object map[string]any
		want   verdict
	}{
		"a started Job": {
			map[string]any{"apiVersion": "batch/v1", "kind": "Job", "status": map[string]any{"startTime": "2026-01-01T00:00:00Z", "active": int64(1)}},
			verdict{message: "the Job is not complete (1 active, 0 failed)"},
		},
		"a complete Job": {
			map[string]any{"apiVersion": "batch/v1", "kind": "Job", "status": map[string]any{"conditions": []any{
				map[string]any{"type": "Complete", "status": "True"}}}},
			verdict{ready: true},
		},
		"a failed Pod": {
			map[string]any{"apiVersion": "v1", "kind": "Pod", "status": map[string]any{"phase": "Failed", "message": "evicted"}},
			verdict{failed: true, message: "the Pod failed evicted"},
		},
		"a load balancer without an address": {
			map[string]any{"apiVersion": "v1", "kind": "Service", "spec": map[string]any{"type": "LoadBalancer", "clusterIP": "10.0.0.1"}},
			verdict{message: "the load balancer has no address"},
		},
		"a load balancer with one": {
			map[string]any{"apiVersion": "v1", "kind": "Service", "spec": map[string]any{"type": "LoadBalancer", "clusterIP": "10.0.0.1"},
				"status": map[string]any{"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": "1.2.3.4"}}}}},
			verdict{ready: true},
		},
		"a Pod that no node has room for yet": {
			map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"creationTimestamp": "2020-01-01T00:00:00Z"},
				"status": map[string]any{"phase": "Pending", "conditions": []any{
					map[string]any{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}}}},
			verdict{message: "Pod could not be scheduled"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, readiness(&unstructured.Unstructured{Object: test.object}))
		})
	}
}

func TestPrintDoesNotDependOnTheOrderOfFields(t *testing.T) {
	t.Parallel()
	entry := func(text string) []metav1.ManagedFieldsEntry {
		fields := &metav1.FieldsV1{}
		fields.SetRawString(text)
		return []metav1.ManagedFieldsEntry{{Manager: FieldManager, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: fields}}
	}
	a, err := fieldPrint("uid", entry(`{"f:a":{},"f:b":{"f:c":{},"f:d":{}}}`))
	require.NoError(t, err)
	b, err := fieldPrint("uid", entry(`{"f:b":{"f:d":{},"f:c":{}},"f:a":{}}`))
	require.NoError(t, err)
	require.Equal(t, a, b)
	other, err := fieldPrint("other", entry(`{"f:a":{},"f:b":{"f:c":{},"f:d":{}}}`))
	require.NoError(t, err)
	require.NotEqual(t, a, other, "an object made anew is another one")
	none, err := fieldPrint("uid", nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestPreparedLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	o := manifest.Object{ID: manifest.ID{Kind: "Secret", Namespace: "n", Name: "s"}, Version: "v1", Data: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata":   map[string]any{"name": "s", "creationTimestamp": nil, "labels": map[string]any{"a": "b"}},
		"stringData": map[string]any{"k": "v"},
		"data":       map[string]any{"k": "b2xk", "l": "bA=="},
	}}
	got, err := prepared(o, manifest.Owner{Namespace: "n", Name: "app"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "s", "namespace": "n",
			"labels":      map[string]any{"a": "b", "app.kubernetes.io/managed-by": "Helm"},
			"annotations": map[string]any{"meta.helm.sh/release-name": "app", "meta.helm.sh/release-namespace": "n"}},
		"data": map[string]any{"k": "dg==", "l": "bA=="},
	}, got)
	require.Equal(t, map[string]any{"a": "b"}, o.Data["metadata"].(map[string]any)["labels"])
	require.Contains(t, o.Data, "stringData")
}

func jsonBody() *bytes.Reader { return bytes.NewReader([]byte(`{"a":1}`)) }
