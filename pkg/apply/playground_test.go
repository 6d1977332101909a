package apply_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

var (
	_ diff.Live     = (*cluster.Client)(nil)
	_ apply.Cluster = (*cluster.Client)(nil)
)

// playground is the control plane that the tests of this package share; each works in namespaces of its own.
var playground struct {
	kubeconfig string
	audit      string
}

func TestMain(m *testing.M) { os.Exit(withPlayground(m)) }

func withPlayground(m *testing.M) int {
	binary := os.Getenv("OTOMI_PLAYGROUND")
	if binary == "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command(binary, "up", "--foreground", "--exit-with-parent", "--dir", dir, "--audit")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		fmt.Fprintln(os.Stderr, "the playground did not start:", err)
		return 1
	}
	playground.kubeconfig = strings.TrimSpace(line)
	playground.audit = filepath.Join(dir, "audit.log")
	return m.Run()
}

// spaces numbers the namespaces of the tests.
var spaces atomic.Int64

// world is a test's view of the playground.
type world struct {
	t         testing.TB
	ctx       context.Context
	namespace string
	agent     string
	client    *cluster.Client
	raw       dynamic.Interface
}

// enter connects a parallel test to the playground, or skips it.
func enter(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return join(t)
}

// join connects to the playground, or skips the test.
func join(t testing.TB) *world {
	t.Helper()
	// Asked here and not only in TestMain, or the test cache would not know that the result depends on it.
	if os.Getenv("OTOMI_PLAYGROUND") == "" {
		t.Skip("needs a control plane: make test sets OTOMI_PLAYGROUND")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	n := spaces.Add(1)
	w := &world{t: t, ctx: ctx, namespace: fmt.Sprintf("t%d", n), agent: fmt.Sprintf("otomi-test/%d.", n)}
	w.client = w.connect(w.agent)
	config, err := clientcmd.BuildConfigFromFlags("", playground.kubeconfig)
	require.NoError(t, err)
	w.raw, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	return w
}

func (w *world) connect(agent string) *cluster.Client {
	w.t.Helper()
	client, err := cluster.Connect(w.ctx, cluster.Options{Kubeconfig: []string{playground.kubeconfig}, UserAgent: agent})
	require.NoError(w.t, err)
	return client
}

// chart is a release of a test: its documents as a chart would render them.
type chart struct {
	name, namespace string
	level           string
	group           int
	docs            []string
	crds            []string
	values          map[string]any
	gone            bool
	noWait          bool
	timeout         time.Duration
}

func (w *world) one(docs ...string) []chart {
	return []chart{{name: "app", docs: docs}}
}

// input turns charts into what diff takes, with the place of package render taken by a plain reading of the documents.
func (w *world) input(charts []chart) diff.Input {
	in := diff.Input{Cluster: "aws/test", Context: "playground"}
	byKey := map[string]chart{}
	for _, ch := range charts {
		if ch.namespace == "" {
			ch.namespace = w.namespace
		}
		if ch.level == "" {
			ch.level = "10-only"
		}
		if ch.timeout == 0 {
			ch.timeout = time.Minute
		}
		i := slices.IndexFunc(in.Levels, func(l runlevel.Level) bool { return l.Name == ch.level })
		if i < 0 {
			in.Levels = append(in.Levels, runlevel.Level{Name: ch.level})
			i = len(in.Levels) - 1
		}
		in.Levels[i].Releases = append(in.Levels[i].Releases, runlevel.Release{
			Name: ch.name, Namespace: ch.namespace, Installed: !ch.gone, Level: ch.level, Group: ch.group,
			Wait: !ch.noWait, Timeout: ch.timeout, CreateNamespace: true,
		})
		byKey[manifest.Key(ch.namespace, ch.name)] = ch
	}
	in.Render = func(_ context.Context, r runlevel.Release, revision int, upgrade bool) (diff.Rendered, diag.Diagnostics, error) {
		return rendered(w.t, byKey[r.Key()], revision, upgrade), nil, nil
	}
	return in
}

// rendered reads the documents of a chart.
func rendered(t testing.TB, ch chart, revision int, upgrade bool) diff.Rendered {
	rel := manifest.Release{
		Name: ch.name, Namespace: ch.namespace, Revision: revision, Upgrade: upgrade, Values: ch.values, Notes: "Have fun.\n",
		Chart: manifest.Chart{Name: ch.name, Version: "1.2.3", Metadata: []byte(
			`{"apiVersion":"v2","name":"` + ch.name + `","version":"1.2.3","appVersion":"7"}`)},
	}
	var objects []manifest.Object
	for i, doc := range ch.docs {
		o := object(t, doc, fmt.Sprintf("%s/templates/%d.yaml", ch.name, i))
		annotations, _ := o.Data["metadata"].(map[string]any)["annotations"].(map[string]any)
		events, isHook := annotations["helm.sh/hook"].(string)
		if !isHook {
			objects = append(objects, o)
			continue
		}
		hook := manifest.Hook{Object: o}
		for e := range strings.SplitSeq(events, ",") {
			hook.Events = append(hook.Events, manifest.Event(e))
		}
		if weight, ok := annotations["helm.sh/hook-weight"].(string); ok {
			_, err := fmt.Sscan(weight, &hook.Weight)
			require.NoError(t, err)
		}
		if policies, ok := annotations["helm.sh/hook-delete-policy"].(string); ok {
			for p := range strings.SplitSeq(policies, ",") {
				hook.DeletePolicies = append(hook.DeletePolicies, manifest.DeletePolicy(p))
			}
		}
		rel.Hooks = append(rel.Hooks, hook)
	}
	rel.Objects = manifest.Sorted(objects)
	for _, o := range rel.Objects {
		rel.Text += "---\n# Source: " + o.Source + "\n" + o.Text + "\n"
	}
	for i, doc := range ch.crds {
		rel.CRDs = append(rel.CRDs, object(t, doc, fmt.Sprintf("%s/crds/%d.yaml", ch.name, i)))
	}
	return diff.Rendered{Release: rel, Digest: render.Digest(rel)}
}

func object(t testing.TB, doc, source string) manifest.Object {
	raw, err := utilyaml.ToJSON([]byte(doc))
	require.NoError(t, err)
	var data map[string]any
	require.NoError(t, json.Unmarshal(raw, &data))
	o, err := manifest.New(data, strings.TrimSpace(doc), source)
	require.NoError(t, err, doc)
	return o
}

func encoded(t testing.TB, v any) string {
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

func (w *world) plan(charts []chart) diff.Plan {
	w.t.Helper()
	return w.planWith(charts, diff.Options{})
}

func (w *world) planWith(charts []chart, o diff.Options) diff.Plan {
	w.t.Helper()
	plan, diags, err := diff.Compare(w.ctx, w.input(charts), w.client, o)
	require.NoError(w.t, err)
	require.Empty(w.t, diags)
	return plan
}

// events collects what a run tells.
type events struct {
	mu  sync.Mutex
	all []apply.Event
}

func (e *events) add(event apply.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

// of are the events of one kind.
func (e *events) of(kind apply.EventKind) []apply.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(e.all), func(x apply.Event) bool { return x.Kind != kind })
}

func (w *world) run(plan diff.Plan) (apply.Result, *events, error) {
	w.t.Helper()
	seen := &events{}
	result, err := apply.Run(w.ctx, plan, w.client, apply.Options{Run: "run-" + w.namespace, Emit: seen.add})
	return result, seen, err
}

// apply brings the playground to what the charts want, and shows that nothing is left to do.
func (w *world) apply(charts []chart) diff.Plan {
	w.t.Helper()
	plan := w.plan(charts)
	_, _, err := w.run(plan)
	require.NoError(w.t, err)
	again := w.plan(charts)
	require.True(w.t, again.Empty(), "a second run should be empty: %s", describe(again))
	return plan
}

// describe is a plan in the short.
func describe(p diff.Plan) string {
	var b strings.Builder
	for _, l := range p.Levels {
		for _, r := range l.Releases {
			fmt.Fprintf(&b, "%s %s: %s (%s) %s\n", l.Name, r.Key(), r.Action, r.Reason, r.Invalid)
			for _, o := range r.Objects {
				fmt.Fprintf(&b, "  %s %s (%s) %s\n    %v\n    %v\n", o.Action, o.ID, o.Reason, o.Invalid, o.Before, o.After)
			}
		}
	}
	return b.String()
}

// actions are the changes of a release by "Kind name".
func actions(r diff.Release) map[string]diff.Action {
	all := map[string]diff.Action{}
	for _, o := range r.Objects {
		all[o.Kind+" "+o.Name] = o.Action
	}
	return all
}

var (
	configMaps  = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secretsKind = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	jobs        = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
)

// get reads an object of the test's namespace; nil where it is not there.
func (w *world) get(resource schema.GroupVersionResource, name string) map[string]any {
	w.t.Helper()
	u, err := w.raw.Resource(resource).Namespace(w.namespace).Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		require.Contains(w.t, err.Error(), "not found")
		return nil
	}
	return u.Object
}

// requests counts what an agent asked the API server, by verb. The log is written before an answer is sent.
func (w *world) requests(agent string) map[string]int {
	w.t.Helper()
	text, err := os.ReadFile(playground.audit)
	require.NoError(w.t, err)
	counts := map[string]int{}
	for line := range bytes.Lines(text) {
		var e struct {
			Verb      string `json:"verb"`
			UserAgent string `json:"userAgent"`
		}
		if json.Unmarshal(line, &e) == nil && e.UserAgent == agent {
			counts[e.Verb]++
		}
	}
	return counts
}

func configMap(name string, pairs ...string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += "  " + pairs[i] + ": " + fmt.Sprintf("%q", pairs[i+1]) + "\n"
	}
	return text
}

func deployment(name string, annotations string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: 1
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}, annotations: {` + annotations + `}}
    spec:
      containers:
      - name: main
        image: example/web:1
        resources: {limits: {cpu: 1000m, memory: 1024Mi}}
        ports: [{containerPort: 8080}]
`
}

func hook(kind, name, events, weight, policies string) string {
	text := "apiVersion: v1\nkind: ConfigMap\n"
	if kind == "Job" {
		text = "apiVersion: batch/v1\nkind: Job\n"
	}
	text += "metadata:\n  name: " + name + "\n  annotations:\n    helm.sh/hook: " + events + "\n    helm.sh/hook-weight: \"" + weight + "\"\n"
	if policies != "" {
		text += "    helm.sh/hook-delete-policy: " + policies + "\n"
	}
	if kind == "Job" {
		text += "spec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers: [{name: main, image: example/hook:1}]\n"
	}
	return text
}
