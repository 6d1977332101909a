// Package e2e tries the playground as its users do: as a program, and with an ordinary client. It does not import the
// control plane, so that changing a test does not link Kubernetes.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	annotation = "playground.otomi.io/pod"
	userAgent  = "playground-test"
	patience   = 30 * time.Second // a deadline, not a wait
)

// binary is the playground's path. The build script prints it, and builds it if need be, which takes minutes.
var binary = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("sh", "../build")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
})

func TestWorkloadsBecomeReady(t *testing.T) {
	t.Parallel()
	p := start(t)
	client := p.client(t)

	t.Run("deployment", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().Deployments(ns).Create, deployment("web", 3, nil))
		eventually(t, "the deployment is available", func(ctx context.Context) (bool, error) {
			d, err := client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
			return err == nil && d.Status.AvailableReplicas == 3, err
		})
	})
	t.Run("daemon set", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().DaemonSets(ns).Create, &appsv1.DaemonSet{
			ObjectMeta: metav1.ObjectMeta{Name: "agent"},
			Spec:       appsv1.DaemonSetSpec{Selector: selector("agent"), Template: template("agent", nil)},
		})
		eventually(t, "every node has its pod", func(ctx context.Context) (bool, error) {
			d, err := client.AppsV1().DaemonSets(ns).Get(ctx, "agent", metav1.GetOptions{})
			return err == nil && d.Status.NumberReady > 1 && d.Status.NumberReady == d.Status.DesiredNumberScheduled, err
		})
	})
	t.Run("job", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.BatchV1().Jobs(ns).Create, job("work", nil))
		eventually(t, "the job is complete", jobHas(client, ns, "work", batchv1.JobComplete))
	})
	t.Run("failing job", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.BatchV1().Jobs(ns).Create, job("work", map[string]string{annotation: "fail"}))
		eventually(t, "the job has failed", jobHas(client, ns, "work", batchv1.JobFailed))
	})
	t.Run("bare pod that ends", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		pod := template("once", nil)
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		create(t, client.CoreV1().Pods(ns).Create, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "once"}, Spec: pod.Spec})
		eventually(t, "the pod has succeeded", func(ctx context.Context) (bool, error) {
			p, err := client.CoreV1().Pods(ns).Get(ctx, "once", metav1.GetOptions{})
			return err == nil && p.Status.Phase == corev1.PodSucceeded, err
		})
	})
	t.Run("pod of many parts", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		always := corev1.ContainerRestartPolicyAlways
		pod := template("parts", nil)
		pod.Spec.HostNetwork = true
		pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/gate"}}
		pod.Spec.InitContainers = []corev1.Container{
			{Name: "first", Image: "example.com/first"},
			{Name: "sidecar", Image: "example.com/sidecar", RestartPolicy: &always},
		}
		create(t, client.CoreV1().Pods(ns).Create, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "parts"}, Spec: pod.Spec})
		eventuallyPod(t, client, ns, "ready", func(p corev1.Pod) bool {
			return ready(p) && len(p.Status.InitContainerStatuses) == 2 && p.Status.InitContainerStatuses[0].State.Terminated != nil
		})
	})
	t.Run("stateful set with a claim", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().StatefulSets(ns).Create, statefulSet("db", 2, "a-class-of-some-cloud"))
		eventually(t, "the stateful set is ready", func(ctx context.Context) (bool, error) {
			s, err := client.AppsV1().StatefulSets(ns).Get(ctx, "db", metav1.GetOptions{})
			return err == nil && s.Status.ReadyReplicas == 2, err
		})
		claim, err := client.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), "data-db-0", metav1.GetOptions{})
		must(t, err)
		must(t, client.AppsV1().StatefulSets(ns).Delete(t.Context(), "db", metav1.DeleteOptions{}))
		must(t, client.CoreV1().PersistentVolumeClaims(ns).Delete(t.Context(), "data-db-0", metav1.DeleteOptions{}))
		eventually(t, "the volume goes with its claim", func(ctx context.Context) (bool, error) {
			_, err := client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
			return apierrors.IsNotFound(err), err
		})
	})
	t.Run("load balancer", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.CoreV1().Services(ns).Create, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "lb"},
			Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
		})
		eventually(t, "the service has an address", func(ctx context.Context) (bool, error) {
			s, err := client.CoreV1().Services(ns).Get(ctx, "lb", metav1.GetOptions{})
			return err == nil && len(s.Status.LoadBalancer.Ingress) == 1 && net.ParseIP(s.Status.LoadBalancer.Ingress[0].IP) != nil, err
		})
	})
}

func TestAnnotation(t *testing.T) {
	t.Parallel()
	p := start(t)
	client := p.client(t)

	t.Run("pending pod is released", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().Deployments(ns).Create, deployment("web", 1, map[string]string{annotation: "pending"}))
		pod := eventuallyPod(t, client, ns, "held", func(p corev1.Pod) bool {
			return p.Status.Phase == corev1.PodPending && waiting(p) == "ContainerCreating" && !ready(p)
		})
		patch(t, client, ns, pod, nil)
		eventually(t, "the deployment is available", available(client, ns, "web"))
	})
	t.Run("crashing pod is released", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().Deployments(ns).Create, deployment("web", 1, map[string]string{annotation: "fail"}))
		pod := eventuallyPod(t, client, ns, "crashing", func(p corev1.Pod) bool {
			return waiting(p) == "CrashLoopBackOff" && !ready(p)
		})
		patch(t, client, ns, pod, "ok")
		eventually(t, "the deployment is available", available(client, ns, "web"))
	})
	t.Run("a new template releases", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().Deployments(ns).Create, deployment("web", 1, map[string]string{annotation: "fail"}))
		eventuallyPod(t, client, ns, "crashing", func(p corev1.Pod) bool { return waiting(p) == "CrashLoopBackOff" })
		patch := []byte(`{"spec":{"template":{"metadata":{"annotations":{"` + annotation + `":null}}}}}`)
		_, err := client.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.MergePatchType, patch, metav1.PatchOptions{})
		must(t, err)
		eventually(t, "the deployment is available", available(client, ns, "web"))
	})
	t.Run("a ready pod is taken out and brought back", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.AppsV1().Deployments(ns).Create, deployment("web", 1, nil))
		pod := eventuallyPod(t, client, ns, "ready", ready)
		for _, value := range []string{"pending", "fail"} {
			patch(t, client, ns, pod, value)
			eventuallyPod(t, client, ns, "not ready after "+value, func(p corev1.Pod) bool { return !ready(p) })
			patch(t, client, ns, pod, nil)
			eventuallyPod(t, client, ns, "ready again after "+value, ready)
		}
	})
	t.Run("pending job is released", func(t *testing.T) {
		t.Parallel()
		ns := namespace(t, client)
		create(t, client.BatchV1().Jobs(ns).Create, job("work", map[string]string{annotation: "pending"}))
		pod := eventuallyPod(t, client, ns, "held", func(p corev1.Pod) bool { return waiting(p) == "ContainerCreating" })
		patch(t, client, ns, pod, nil)
		eventually(t, "the job is complete", jobHas(client, ns, "work", batchv1.JobComplete))
	})
}

func TestLifeInTheBackground(t *testing.T) {
	t.Parallel()
	// Longer than a socket's path may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 25))
	t.Cleanup(func() { run(t, "down", "--dir", dir) })

	_, code := run(t, "status", "--dir", dir)
	equal(t, 1, code, "exit code of status before up")
	out, code := run(t, "down", "--dir", dir)
	equal(t, 0, code, "exit code of down before up")
	equal(t, "", out, "output of down")

	kubeconfig := up(t, dir)
	equal(t, filepath.Join(dir, "kubeconfig")+"\n", kubeconfig, "output of up")
	info, err := os.Stat(strings.TrimSpace(kubeconfig))
	must(t, err)
	equal(t, fs.FileMode(0o600), info.Mode().Perm(), "mode of the kubeconfig")
	former := readStatus(t, dir)
	equal(t, true, former.Running && former.Ready, "status after up")
	equal(t, kubernetesVersion(t), former.Version, "version")
	equal(t, former.Server, server(t, dir), "the kubeconfig's server")
	listening(t, former.PID)

	equal(t, kubeconfig, up(t, dir), "output of a second up")
	equal(t, former.PID, readStatus(t, dir).PID, "process after a second up")

	client := newClient(t, dir)
	create(t, client.CoreV1().ConfigMaps("default").Create, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}})
	create(t, client.AppsV1().Deployments("default").Create, deployment("web", 1, nil))
	eventually(t, "the deployment is available", available(client, "default", "web"))

	_, code = run(t, "down", "--dir", dir)
	equal(t, 0, code, "exit code of down")
	gone(t, former.PID)
	noSockets(t, dir)

	up(t, dir)
	again := readStatus(t, dir)
	equal(t, former.Server, again.Server, "server after a restart")
	client = newClient(t, dir)
	_, err = client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
	must(t, err)
	create(t, client.AppsV1().Deployments("default").Create, deployment("web2", 1, nil))
	eventually(t, "a deployment of after the restart is available", available(client, "default", "web2"))

	// A process that was killed leaves a pid file and sockets, and no harm.
	must(t, syscall.Kill(again.PID, syscall.SIGKILL))
	gone(t, again.PID)
	_, code = run(t, "status", "--dir", dir)
	equal(t, 1, code, "exit code of status after a kill")
	up(t, dir)
	_, err = newClient(t, dir).CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
	must(t, err)

	last := readStatus(t, dir)
	_, code = run(t, "down", "--dir", dir, "--delete")
	equal(t, 0, code, "exit code of down --delete")
	gone(t, last.PID)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("down --delete left %s: %v", dir, err)
	}
}

// However many start it at the same time, it is one, and all of them may work with it.
func TestUpAtTheSameTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { run(t, "down", "--dir", dir) })
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			out, err := command(t, "up", "--dir", dir).CombinedOutput()
			if err != nil {
				t.Errorf("up: %v\n%s", err, out)
			}
		})
	}
	group.Wait()
	readStatus(t, dir)
}

func TestUpFailsLoudly(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	var stderr bytes.Buffer
	cmd := command(t, "up", "--dir", t.TempDir(), "--port", fmt.Sprint(taken.Addr().(*net.TCPAddr).Port))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil || len(out) != 0 {
		t.Errorf("up on a taken port: want an error and no output, got %v and %q", err, out)
	}
	if !strings.Contains(stderr.String(), "address already in use") {
		t.Errorf("up on a taken port does not say why:\n%s", &stderr)
	}
}

// A test counts the requests of its subject in the audit log, and reads it right after the last one.
func TestAudit(t *testing.T) {
	t.Parallel()
	p := start(t, "--audit")
	client := p.client(t)
	const n = 50
	for i := range n {
		create(t, client.CoreV1().ConfigMaps("default").Create, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("n-", i)}})
		equal(t, i+1, p.requests(t, "create", "configmaps"), "requests in the audit log")
	}
}

func TestEndsWithItsParent(t *testing.T) {
	t.Parallel()
	cmd := command(t, "up", "--foreground", "--exit-with-parent", "--dir", t.TempDir())
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "standard input ended") {
		t.Errorf("up with no parent: want an error that says so, got %v and:\n%s", err, out)
	}

	p := start(t)
	must(t, p.stdin.Close())
	must(t, p.cmd.Wait())
	noSockets(t, p.dir)
	p.cmd = nil
}

// playground is one in the foreground, which ends with the test, however that ends.
type playground struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
}

func start(t *testing.T, args ...string) *playground {
	t.Helper()
	p := &playground{dir: t.TempDir()}
	p.cmd = command(t, append([]string{"up", "--foreground", "--exit-with-parent", "--dir", p.dir}, args...)...)
	p.cmd.Stderr = t.Output()
	stdin, err := p.cmd.StdinPipe()
	must(t, err)
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd == nil {
			return
		}
		_ = stdin.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("the playground ended with %v", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	equal(t, filepath.Join(p.dir, "kubeconfig")+"\n", line, "output of up --foreground")
	return p
}

func (p *playground) client(t *testing.T) *kubernetes.Clientset { return newClient(t, p.dir) }

// requests counts the test's own ones of a verb on a resource.
func (p *playground) requests(t *testing.T, verb, resource string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, "audit.log"))
	must(t, err)
	n := 0
	for line := range bytes.Lines(content) {
		var event struct {
			Verb, UserAgent, Stage string
			ObjectRef              struct{ Resource string }
		}
		must(t, json.Unmarshal(line, &event))
		if event.UserAgent == userAgent && event.Verb == verb && event.ObjectRef.Resource == resource && event.Stage == "ResponseComplete" {
			n++
		}
	}
	return n
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	must(t, err)
	return exec.Command(path, args...)
}

// run is a verb from start to end: its output and its exit code.
func run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := command(t, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func up(t *testing.T, dir string) string {
	t.Helper()
	out, code := run(t, "up", "--dir", dir)
	equal(t, 0, code, "exit code of up")
	return out
}

type status struct {
	Running, Ready  bool
	PID             int
	Server, Version string
}

func readStatus(t *testing.T, dir string) status {
	t.Helper()
	out, code := run(t, "status", "--dir", dir, "-o", "json")
	equal(t, 0, code, "exit code of status")
	var s status
	must(t, json.Unmarshal([]byte(out), &s))
	return s
}

func config(t *testing.T, dir string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	must(t, err)
	config.UserAgent = userAgent
	config.QPS = -1
	return config
}

func newClient(t *testing.T, dir string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(config(t, dir))
	must(t, err)
	return client
}

func server(t *testing.T, dir string) string {
	t.Helper()
	u, err := url.Parse(config(t, dir).Host)
	must(t, err)
	return u.String()
}

// kubernetesVersion is that of the library.
func kubernetesVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../go.mod")
	must(t, err)
	_, rest, _ := strings.Cut(string(content), "\tk8s.io/kubernetes ")
	version, _, _ := strings.Cut(rest, "\n")
	return version
}

// namespace makes one for a test alone. It is not deleted: that takes 5 s at least.
func namespace(t *testing.T, client *kubernetes.Clientset) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	ns, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{})
	must(t, err)
	// Pods are admitted once the namespace has its service account; a Deployment's controller tries again, a bare pod's
	// creator has to wait.
	eventually(t, "the namespace has its service account", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(ns.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
	return ns.Name
}

func create[T any](t *testing.T, create func(context.Context, T, metav1.CreateOptions) (T, error), object T) {
	t.Helper()
	_, err := create(t.Context(), object, metav1.CreateOptions{})
	must(t, err)
}

func patch(t *testing.T, client *kubernetes.Clientset, ns, pod string, value any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotation: value}}})
	must(t, err)
	_, err = client.CoreV1().Pods(ns).Patch(t.Context(), pod, types.MergePatchType, body, metav1.PatchOptions{})
	must(t, err)
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func template(name string, annotations map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}, Annotations: annotations},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: name, Image: "example.com/" + name}}},
	}
}

func deployment(name string, replicas int32, annotations map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector(name), Template: template(name, annotations)},
	}
}

func job(name string, annotations map[string]string) *batchv1.Job {
	pod := template(name, annotations)
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       batchv1.JobSpec{BackoffLimit: new(int32), Template: pod},
	}
}

func statefulSet(name string, replicas int32, class string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &replicas, Selector: selector(name), Template: template(name, nil),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					StorageClassName: &class,
					AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
				},
			}},
		},
	}
}

func available(client *kubernetes.Clientset, ns, name string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		d, err := client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
			d.Status.AvailableReplicas == *d.Spec.Replicas && d.Status.Replicas == *d.Spec.Replicas, nil
	}
}

func jobHas(client *kubernetes.Clientset, ns, name string, want batchv1.JobConditionType) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		j, err := client.BatchV1().Jobs(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range j.Status.Conditions {
			if c.Type == want && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	}
}

func ready(pod corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func waiting(pod corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			return c.State.Waiting.Reason
		}
	}
	return ""
}

// eventuallyPod waits until the namespace's only pod is as wanted, and says its name.
func eventuallyPod(t *testing.T, client *kubernetes.Clientset, ns, what string, want func(corev1.Pod) bool) string {
	t.Helper()
	var name string
	eventually(t, "the pod is "+what, func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil || len(pods.Items) != 1 {
			return false, err
		}
		name = pods.Items[0].Name
		return want(pods.Items[0]), nil
	})
	return name
}

// eventually asks again and again, until the answer is yes or patience ends.
func eventually(t *testing.T, what string, ask func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		ok, err := ask(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: want that %s; last error: %v", patience, what, err)
		case <-ticker.C:
		}
	}
}

// gone waits until a process has ended. It may still be listed, as what in a container nobody waits for is for ever.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d is gone", pid), func(context.Context) (bool, error) {
		if err := syscall.Kill(pid, 0); err != nil {
			return errors.Is(err, syscall.ESRCH), err
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc_pid_stat(5): pid (name) state …
		if err != nil {
			return false, nil
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "Z"), nil
	})
}

func noSockets(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type()&fs.ModeSocket != 0 {
			t.Errorf("%s is left behind", path)
		}
		return err
	}))
}

// listening checks that the process listens on loopback only.
func listening(t *testing.T, pid int) {
	t.Helper()
	for _, file := range []string{"tcp", "tcp6"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if errors.Is(err, fs.ErrNotExist) {
			t.Log("no /proc: what is listened on was not looked at")
			return
		}
		must(t, err)
		inodes := socketInodes(t, pid)
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			const listen = "0A" // TCP_LISTEN
			if len(fields) < 10 || fields[3] != listen || !inodes[fields[9]] {
				continue
			}
			if !strings.HasPrefix(fields[1], "0100007F:") {
				t.Errorf("it listens on %s, which is not 127.0.0.1", fields[1])
			}
		}
	}
}

func socketInodes(t *testing.T, pid int) map[string]bool {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	must(t, err)
	inodes := map[string]bool{}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, want, got T, what string) {
	t.Helper()
	if want != got {
		t.Fatalf("%s: want %v, got %v", what, want, got)
	}
}
