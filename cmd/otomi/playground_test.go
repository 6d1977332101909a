package main

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
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
)

// patience is how long a script waits for something of the cluster before it fails. Machines are shared and noisy.
const patience = 2 * time.Minute

// startPlayground starts a control plane for this script alone, and points KUBECONFIG at it:
//
//	playground
//
// It writes an audit log, and it ends with the script, also when the test is killed: its standard input is ours.
func startPlayground(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: playground")
	}
	dir := ts.MkAbs("playground")
	cmd := exec.Command(os.Getenv("OTOMI_PLAYGROUND"), "up", "--foreground", "--exit-with-parent", "--audit", "--dir", dir)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stdin.Close()
		cmd.Wait()
		ts.Fatalf("the playground did not start: %v\n%s", err, talk.String())
	}
	ts.Setenv("KUBECONFIG", strings.TrimSpace(line))
	ts.Setenv("AUDIT", filepath.Join(dir, "audit.log"))
}

// kube looks at the cluster, and changes it as another user would:
//
//	kube get RESOURCE NAME [FIELD]          print the object as JSON, or one field of it
//	! kube get RESOURCE NAME                there is no such object
//	kube until RESOURCE NAME FIELD VALUE    wait until the field has the value
//	kube patch RESOURCE NAME JSON           merge-patch the object
//	kube create RESOURCE NAME JSON          create the object
//	kube delete RESOURCE NAME               delete the object
//	kube ordered RESOURCE NAME RESOURCE NAME  the first became available before the second was created
//
// RESOURCE is GROUP/VERSION/PLURAL or VERSION/PLURAL; NAME is NAMESPACE/NAME or NAME; FIELD is a.b[0].c.
func kube(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: kube get|until|patch|create|delete|ordered RESOURCE NAME …")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	object := resource(ts, args[1], args[2])
	switch args[0] {
	case "get":
		got, err := object.Get(ctx)
		if neg {
			if !apierrors.IsNotFound(err) {
				ts.Fatalf("%s %s is there", args[1], args[2])
			}
			return
		}
		ts.Check(err)
		field := ""
		if len(args) > 3 {
			field = args[3]
		}
		fmt.Fprintln(ts.Stdout(), show(got.Object, field))
	case "until":
		if len(args) != 5 {
			ts.Fatalf("usage: kube until RESOURCE NAME FIELD VALUE")
		}
		var last string
		for {
			got, err := object.Get(ctx)
			switch {
			case err == nil:
				last = show(got.Object, args[3])
			case ctx.Err() != nil:
				ts.Fatalf("%s %s: %s is %q, not %q", args[1], args[2], args[3], last, args[4])
			case apierrors.IsNotFound(err):
				last = "(no object)"
			default:
				ts.Check(err)
			}
			if last == args[4] {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	case "patch":
		_, err := object.client.Patch(ctx, object.name, types.MergePatchType, []byte(args[3]), metav1.PatchOptions{FieldManager: "somebody"})
		ts.Check(err)
	case "create":
		var data map[string]any
		ts.Check(json.Unmarshal([]byte(args[3]), &data))
		_, err := object.client.Create(ctx, &unstructured.Unstructured{Object: data}, metav1.CreateOptions{FieldManager: "somebody"})
		ts.Check(err)
	case "delete":
		ts.Check(object.client.Delete(ctx, object.name, metav1.DeleteOptions{}))
	case "ordered":
		first, err := object.Get(ctx)
		ts.Check(err)
		second, err := resource(ts, args[3], args[4]).Get(ctx)
		ts.Check(err)
		ready := availableSince(first.Object)
		created := second.GetCreationTimestamp().Time
		if ready.IsZero() || created.Before(ready) {
			ts.Fatalf("%s %s available since %s, %s %s created at %s", args[1], args[2], ready, args[3], args[4], created)
		}
	default:
		ts.Fatalf("kube: unknown command %q", args[0])
	}
}

type liveObject struct {
	client dynamic.ResourceInterface
	name   string
}

func (o liveObject) Get(ctx context.Context) (*unstructured.Unstructured, error) {
	return o.client.Get(ctx, o.name, metav1.GetOptions{})
}

func resource(ts *testscript.TestScript, kind, name string) liveObject {
	config, err := clientcmd.BuildConfigFromFlags("", ts.Getenv("KUBECONFIG"))
	ts.Check(err)
	config.UserAgent = "script"
	client, err := dynamic.NewForConfig(config)
	ts.Check(err)
	parts := strings.Split(kind, "/")
	gvr := schema.GroupVersionResource{Version: parts[0], Resource: parts[len(parts)-1]}
	if len(parts) == 3 {
		gvr.Group, gvr.Version = parts[0], parts[1]
	}
	if namespace, inner, ok := strings.Cut(name, "/"); ok {
		return liveObject{client: client.Resource(gvr).Namespace(namespace), name: inner}
	}
	return liveObject{client: client.Resource(gvr), name: name}
}

// show returns a field of an object as text: scalars as they are, anything else as JSON, nothing as "".
func show(data any, field string) string {
	for _, step := range strings.FieldsFunc(field, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		step = strings.ReplaceAll(step, "~", ".")
		switch at := data.(type) {
		case map[string]any:
			data = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				return ""
			}
			data = at[i]
		default:
			return ""
		}
	}
	switch data := data.(type) {
	case nil:
		return ""
	case string:
		return data
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// availableSince returns when a Deployment became available.
func availableSince(data map[string]any) time.Time {
	conditions, _, _ := unstructured.NestedSlice(data, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] == "Available" && condition["status"] == "True" {
			text, _ := condition["lastTransitionTime"].(string)
			at, _ := time.Parse(time.RFC3339, text)
			return at
		}
	}
	return time.Time{}
}

// audit counts what otomi asked of the API server:
//
//	audit mark          forget what was before
//	audit writes N      otomi sent N requests that change something since the mark, dry-runs included
//	audit reads-below N otomi sent fewer than N other requests since the mark
//	audit lists         since the mark otomi read no object and no record by itself: it listed each kind at most once, Secrets
//	                    twice (records, and those of releases), and asked for discovery once
func audit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: audit mark | audit writes N | audit reads-below N | audit lists")
	}
	text, err := os.ReadFile(ts.Getenv("AUDIT"))
	ts.Check(err)
	if args[0] == "mark" {
		ts.Setenv("AUDIT_MARK", strconv.Itoa(len(text)))
		return
	}
	mark, _ := strconv.Atoi(ts.Getenv("AUDIT_MARK"))
	want := 0
	if len(args) > 1 {
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	var writes, reads []string
	for _, line := range strings.Split(strings.TrimSpace(string(text[mark:])), "\n") {
		var event struct {
			Stage, Verb, RequestURI, UserAgent string
		}
		if line == "" {
			continue
		}
		ts.Check(json.Unmarshal([]byte(line), &event))
		if event.Stage != "ResponseComplete" || !strings.HasPrefix(event.UserAgent, "otomi/") {
			continue
		}
		request := event.Verb + " " + event.RequestURI
		if slices.Contains([]string{"get", "list", "watch"}, event.Verb) {
			reads = append(reads, request)
		} else {
			writes = append(writes, request)
		}
	}
	switch args[0] {
	case "writes":
		if len(writes) != want {
			ts.Fatalf("%d writes, not %d:\n%s", len(writes), want, strings.Join(writes, "\n"))
		}
		if len(reads)+len(writes) == 0 {
			ts.Fatalf("otomi asked nothing at all: the audit log proves nothing")
		}
	case "reads-below":
		if len(reads) >= want {
			ts.Fatalf("%d reads, not below %d:\n%s", len(reads), want, strings.Join(reads, "\n"))
		}
	case "lists":
		seen := map[string]int{}
		for _, request := range reads {
			verb, uri, _ := strings.Cut(request, " ")
			path, _, _ := strings.Cut(uri, "?")
			seen[path]++
			most := 1
			if path == "/api/v1/secrets" {
				most = 2
			}
			// The identity of the cluster is the one object that is read by its name.
			named := verb == "get" && strings.Contains(path, "/namespaces/") && path != "/api/v1/namespaces/otomi-system/configmaps/otomi"
			if named || seen[path] > most {
				ts.Fatalf("%s, among:\n%s", request, strings.Join(reads, "\n"))
			}
		}
		if len(reads) == 0 {
			ts.Fatalf("otomi asked nothing at all: the audit log proves nothing")
		}
		fmt.Fprintln(ts.Stdout(), strings.Join(reads, "\n"))
	default:
		ts.Fatalf("audit: unknown command %q", args[0])
	}
}
