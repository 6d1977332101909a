package openapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/redkubes/otomi/pkg/manifest"
)

// server is the real API server.
type server struct {
	ctx     context.Context
	client  dynamic.Interface
	mapper  func() (mapping, error)
	version string
	known   mapping
}

type mapping = map[schema.GroupVersionKind]resource

type resource struct {
	name       schema.GroupVersionResource
	namespaced bool
}

func start(t *testing.T) *server {
	t.Helper()
	binary := os.Getenv("OTOMI_PLAYGROUND")
	if binary == "" {
		t.Skip("needs a control plane: make test sets OTOMI_PLAYGROUND")
	}
	cmd := exec.Command(binary, "up", "--foreground", "--exit-with-parent", "--dir", t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	config, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(line))
	require.NoError(t, err)
	config.QPS, config.Burst = 1000, 1000
	config.WarningHandler = rest.NoWarnings{}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	client, err := dynamic.NewForConfig(config)
	require.NoError(t, err)
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	require.NoError(t, err)
	version, err := disco.ServerVersion()
	require.NoError(t, err)
	s := &server{ctx: ctx, client: client, version: version.GitVersion}
	s.mapper = func() (mapping, error) {
		groups, err := restmapper.GetAPIGroupResources(disco)
		out := mapping{}
		for _, g := range groups {
			for v, list := range g.VersionedResources {
				for _, r := range list {
					if !strings.Contains(r.Name, "/") {
						gv := schema.GroupVersion{Group: g.Group.Name, Version: v}
						out[gv.WithKind(r.Kind)] = resource{gv.WithResource(r.Name), r.Namespaced}
					}
				}
			}
		}
		return out, err
	}
	s.known, err = s.mapper()
	require.NoError(t, err)
	return s
}

// create asks the server to create an object, in earnest or not.
func (s *server) create(o manifest.Object, dryRun bool) error {
	r, ok := s.known[schema.GroupVersionKind{Group: o.Group, Version: o.Version, Kind: o.Kind}]
	if !ok {
		return fmt.Errorf("no such kind")
	}
	var client dynamic.ResourceInterface = s.client.Resource(r.name)
	if r.namespaced {
		client = s.client.Resource(r.name).Namespace("default")
	}
	options := metav1.CreateOptions{FieldValidation: "Strict"}
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	_, err := client.Create(s.ctx, &unstructured.Unstructured{Object: o.Data}, options)
	return err
}

// install creates definitions and waits until they are served.
func (s *server) install(t *testing.T, definitions []manifest.Object) {
	t.Helper()
	for _, d := range definitions {
		require.NoError(t, s.create(d, false))
	}
	require.Eventually(t, func() bool {
		known, err := s.mapper()
		if err != nil {
			return false
		}
		s.known = known
		_, ok := known[schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}]
		return ok
	}, time.Minute, 100*time.Millisecond)
}

// TestTheServerAgrees asks a real API server about every example, and about each of the accepted ones with one thing
// changed. Whatever we refuse it must refuse; what it can't decode we must refuse. (It refuses more: what a selector selects
// or a name may be is no matter of form.)
func TestTheServerAgrees(t *testing.T) {
	s := start(t)
	definitions, all := examples(t)
	s.install(t, definitions)
	c := checker(t, s.version, definitions)
	for _, e := range all {
		err := s.create(e.object, true)
		if e.want == "" {
			require.NoError(t, err, e.name)
		} else {
			require.Error(t, err, e.name)
		}
	}
	asked, disagreed := 0, 0
	for _, e := range all {
		if e.want != "" {
			continue
		}
		for what, data := range mutations(e.object.Data) {
			o, err := manifest.New(data, "", "")
			if err != nil {
				continue
			}
			asked++
			diags := check(t, c, o)
			err = s.create(o, true)
			switch {
			case err == nil && diags.HasErrors() && strings.HasPrefix(what, "list") && strings.Contains(diags[0].Detail, "is a list, and Kubernetes wants a string"):
				// Bytes may be a list of numbers in Go's JSON, and the server's checks of formats overlook lists. Nobody means that.
			case err == nil && diags.HasErrors():
				t.Errorf("%s, %s: the server accepts it, and we say: %s", e.name, what, diags[0].Detail)
				disagreed++
			case err != nil && !diags.HasErrors() && undecodable(err):
				t.Errorf("%s, %s: we accept it, and the server says: %v", e.name, what, err)
				disagreed++
			}
		}
	}
	t.Logf("asked about %d changed objects: %d disagreements", asked, disagreed)
	require.Greater(t, asked, 1000)
}

// undecodable reports whether the server could not even read an object.
func undecodable(err error) bool {
	for _, words := range []string{"unknown field", "cannot unmarshal", "json:", "illegal base64", "must be of type", "quantities must match"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// mutations returns copies of an object with one thing changed in each, by what was changed.
func mutations(data map[string]any) map[string]map[string]any {
	out := map[string]map[string]any{}
	var walk func(at []any, v any)
	change := func(at []any, word string, edit func(parent any, key any)) {
		root := clone(data).(map[string]any)
		var parent any = root
		for _, step := range at[:len(at)-1] {
			switch step := step.(type) {
			case string:
				parent = parent.(map[string]any)[step]
			case int:
				parent = parent.([]any)[step]
			}
		}
		edit(parent, at[len(at)-1])
		out[fmt.Sprint(word, " ", at)] = root
	}
	set := func(v any) func(parent, key any) {
		return func(parent, key any) {
			switch p := parent.(type) {
			case map[string]any:
				p[key.(string)] = v
			case []any:
				p[key.(int)] = v
			}
		}
	}
	walk = func(at []any, v any) {
		if len(at) > 0 {
			for word, other := range map[string]any{
				"null": nil, "text": "text", "number": 7.0, "fraction": 1.5, "boolean": true, "list": []any{}, "map": map[string]any{}, "list of text": []any{"a"},
			} {
				change(at, word, set(other))
			}
			if _, inMap := at[len(at)-1].(string); inMap {
				change(at, "without", func(parent, key any) { delete(parent.(map[string]any), key.(string)) })
			}
		}
		switch v := v.(type) {
		case map[string]any:
			change(append(slices.Clone(at), "bogus"), "with", set("x"))
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if len(at) > 0 || key != "apiVersion" && key != "kind" {
					walk(append(slices.Clone(at), key), v[key])
				}
			}
		case []any:
			for i, item := range v {
				walk(append(slices.Clone(at), i), item)
			}
		}
	}
	walk(nil, data)
	return out
}

func clone(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}
