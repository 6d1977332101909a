package cluster

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/redkubes/otomi/pkg/manifest"
)

// logging is an API server that has Pods with logs, and events.
func logging(t *testing.T) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		write := func(v any) { _ = json.NewEncoder(w).Encode(v) }
		pod := func(name string) map[string]any {
			return map[string]any{"metadata": map[string]any{"name": name, "namespace": "apps"},
				"spec": map[string]any{"initContainers": []any{map[string]any{"name": "init"}}, "containers": []any{map[string]any{"name": "main"}}}}
		}
		switch q := r.URL.Query(); {
		case r.URL.Path == "/version":
			write(map[string]any{"gitVersion": "v1.36.0"})
		case strings.HasSuffix(r.URL.Path, "/log") && q.Get("container") == "init":
			w.WriteHeader(http.StatusInternalServerError)
			write(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "message": "no kubelet, and a password"})
		case strings.HasSuffix(r.URL.Path, "/log"):
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("tail=" + q.Get("tailLines") + " limit=" + q.Get("limitBytes") + "\nboom\n"))
		case strings.HasSuffix(r.URL.Path, "/pods") && q.Get("labelSelector") == "job-name=job":
			write(map[string]any{"kind": "PodList", "apiVersion": "v1", "items": []any{pod("job-a")}})
		case strings.HasSuffix(r.URL.Path, "/pods") && q.Get("fieldSelector") == "metadata.name=test":
			write(map[string]any{"kind": "PodList", "apiVersion": "v1", "items": []any{pod("test")}})
		case strings.HasSuffix(r.URL.Path, "/events"):
			event := func(reason, last string, count int) map[string]any {
				return map[string]any{"metadata": map[string]any{"name": reason}, "reason": reason, "message": reason + " it was", "type": "Warning",
					"lastTimestamp": last, "count": count}
			}
			write(map[string]any{"kind": "EventList", "apiVersion": "v1", "items": []any{
				event("FailedMount", "2026-11-20T10:00:02Z", 12), event("Unhealthy", "2026-11-20T10:00:01Z", 1),
			}})
		default:
			w.WriteHeader(http.StatusNotFound)
			write(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "message": r.URL.String()})
		}
	}))
	t.Cleanup(server.Close)
	c, err := Connect(context.Background(), Options{Kubeconfig: []string{kubeconfig(t, server.URL, "a")}})
	require.NoError(t, err)
	return c
}

func TestLogsOfHooks(t *testing.T) {
	t.Parallel()
	c := logging(t)
	for name, o := range map[string]manifest.ID{
		"job-a": {Group: "batch", Kind: "Job", Namespace: "apps", Name: "job"},
		"test":  {Kind: "Pod", Namespace: "apps", Name: "test"},
	} {
		text, err := c.Logs(context.Background(), manifest.Object{ID: o}, 7)
		require.Equal(t, name+"/main: tail=7 limit=65536\n"+name+"/main: boom\n", text)
		require.ErrorContains(t, err, "reading the logs of container init of pod apps/"+name)
		require.NotContains(t, err.Error(), "password")
	}
	text, err := c.Logs(context.Background(), manifest.Object{ID: manifest.ID{Kind: "ConfigMap", Name: "c"}}, 7)
	require.NoError(t, err)
	require.Empty(t, text)
}

func TestLastWarning(t *testing.T) {
	t.Parallel()
	require.Equal(t, "FailedMount: FailedMount it was (12 times)", logging(t).lastWarning(context.Background(), "apps", "Pod", "p"))
}

func TestWhyAPodDoesNotRun(t *testing.T) {
	t.Parallel()
	for want, status := range map[string]string{
		"container app: CrashLoopBackOff: back-off; it ended before with Error, exit code 3": `{"containerStatuses":[{"name":"app",
			"state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off"}},"lastState":{"terminated":{"reason":"Error","exitCode":3}}}]}`,
		"container app: ImagePullBackOff: no such image": `{"containerStatuses":[{"name":"app",
			"state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]}`,
		"container init: OOMKilled, exit code 137": `{"initContainerStatuses":[{"name":"init","state":{"terminated":{"reason":"OOMKilled","exitCode":137}}}]}`,
		"Unschedulable: no node":                   `{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"no node"}]}`,
		"":                                         `{"containerStatuses":[{"name":"app","state":{"terminated":{"reason":"Completed","exitCode":0}}}]}`,
	} {
		var s map[string]any
		require.NoError(t, json.Unmarshal([]byte(status), &s))
		require.Equal(t, want, podReason(&unstructured.Unstructured{Object: map[string]any{"status": s}}))
	}
}

func TestWaitThatCannotSucceedEndsAtOnce(t *testing.T) {
	t.Parallel()
	var deployment unstructured.Unstructured
	require.NoError(t, deployment.UnmarshalJSON([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","generation":1},
		"spec":{"replicas":1,"progressDeadlineSeconds":600},"status":{"observedGeneration":1,"replicas":1,"conditions":[
		{"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"too long"}]}}`)))
	require.True(t, readiness(&deployment).failed)
}
