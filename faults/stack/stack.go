// Package stack makes the platform that the fault suite applies: a stack and a values repository of some releases with hooks,
// CustomResourceDefinitions, workloads and secrets, in two versions of which the second changes, removes, adds, replaces and moves
// objects and releases. It also says what a cluster holds when one of them is applied, without asking otomi.
package stack

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// Stack is one version of the platform.
type Stack struct {
	// Releases is how many releases each version has; at least 13 for all there is to have its place.
	Releases int
	// Version is 1 or 2.
	Version int
	// Prefix begins the names of the namespaces, and of all that belongs to no namespace.
	Prefix string
	// Canary begins every secret.
	Canary string
	// Leaver says that release 9 is not there any more in version 2, beside release 7, which is there and not installed.
	Leaver bool
	// Heavy are that many bytes in the first release, which its record must hold; they can't be compressed.
	Heavy int
	// Timeout is how many seconds a release may take to be ready; 0 leaves it as it is.
	Timeout int
}

// Object is an object that is to be there.
type Object struct {
	Data map[string]any
	// Namespace and Name are those of the release that it belongs to; both empty for hooks and what is in crds/.
	Namespace, Name string
}

// Release is a release that is to be deployed.
type Release struct {
	Namespace, Name string
	// Password is what its values hold.
	Password string
}

// The words in whose place templates have expressions.
const (
	passwordMark = "MARK-PASSWORD"
	encodedMark  = "MARK-ENCODED"
	sentenceMark = "MARK-SENTENCE"
)

var expressions = strings.NewReplacer(
	passwordMark, `{{ .Values.password | toJson }}`,
	encodedMark, `{{ .Values.password | b64enc | toJson }}`,
	sentenceMark, `{{ printf "postgres://app:%s@db/app" .Values.password | toJson }}`,
)

// numbers are those of the releases of this version.
func (s Stack) numbers() []int {
	var all []int
	for i := range s.Releases + 1 {
		switch {
		case s.Version == 1 && i == s.Releases, s.Version == 2 && i == 7, s.Version == 2 && i == 9 && s.Leaver:
			continue
		}
		all = append(all, i)
	}
	return all
}

// namespace is that of a release.
func (s Stack) namespace(i int) string {
	if i%2 == 0 {
		return s.Prefix + "-even"
	}
	return s.Prefix + "-odd"
}

func name(i int) string { return fmt.Sprintf("r%02d", i) }

// password is the secret of a release. Some change with the version. It has characters that every encoding writes its own way.
func (s Stack) password(i int) string {
	version := s.Version
	if i%4 != 0 {
		version = 1
	}
	return fmt.Sprintf("%s-%02d-v%d-\"x\\<&>'é", s.Canary, i, version)
}

// version is that of a release: some have nothing new in version 2.
func (s Stack) version(i int) int {
	if i%3 == 2 {
		return 1
	}
	return s.Version
}

// Secrets are the secrets of this version.
func (s Stack) Secrets() []string {
	var all []string
	for _, i := range s.numbers() {
		all = append(all, s.password(i))
	}
	return all
}

// Namespaces are those that the releases are in.
func (s Stack) Namespaces() []string { return []string{s.namespace(0), s.namespace(1)} }

// Group is the API group of the kinds that the stack defines.
func (s Stack) Group() string { return s.Prefix + ".example.com" }

// parts are what a release is made of.
type parts struct {
	objects, hooks, crds []map[string]any
}

func (s Stack) parts(i int) parts {
	var p parts
	n, v := name(i), s.version(i)
	data := map[string]any{"number": fmt.Sprint(i), "version": fmt.Sprint(v), "dsn": sentenceMark}
	if v == 1 {
		data["old"] = "gone in version 2"
	}
	p.objects = append(p.objects,
		s.object("v1", "ConfigMap", n, map[string]any{"data": data}),
		s.object("v1", "Secret", n, map[string]any{"type": "Opaque", "data": map[string]any{"password": encodedMark}}))
	if i == 0 {
		p.crds = append(p.crds, s.crd("Widget", "widgets"))
		if s.Heavy > 0 {
			p.objects = append(p.objects, s.object("v1", "ConfigMap", "heavy", map[string]any{"data": map[string]any{"noise": noise(s.Heavy)}}))
		}
	}
	if i%4 == 1 {
		p.objects = append(p.objects, s.object(s.Group()+"/v1", "Widget", n, map[string]any{"spec": map[string]any{"size": int64(v), "colour": "red"}}))
	}
	if i%5 == 0 {
		labels := map[string]any{"app": n}
		p.objects = append(p.objects, s.object("apps/v1", "Deployment", n, map[string]any{"spec": map[string]any{
			"replicas": int64(1), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{
				"name": "app", "image": fmt.Sprintf("app:%d", v), "env": []any{map[string]any{"name": "PASSWORD", "value": passwordMark}},
			}}}},
		}}), s.object("v1", "Service", n, map[string]any{"spec": map[string]any{
			"selector": labels, "ports": []any{map[string]any{"name": "http", "port": int64(80)}},
		}}))
	}
	if i%7 == 3 && s.Version == 1 {
		p.objects = append(p.objects, s.object("v1", "ConfigMap", n+"-old", map[string]any{"data": map[string]any{"a": "1"}}))
	}
	if i%7 == 4 && s.Version == 2 {
		p.objects = append(p.objects, s.object("v1", "ServiceAccount", n+"-new", map[string]any{}))
	}
	if i == 3 && s.Version == 1 || i == 5 && s.Version == 2 {
		p.objects = append(p.objects, s.object("v1", "ConfigMap", "moving", map[string]any{"data": map[string]any{"a": "1"}}))
	}
	if i == 8 {
		p.objects = append(p.objects, s.object("batch/v1", "Job", n, map[string]any{"spec": job(fmt.Sprintf("migrate:%d", s.Version))}))
	}
	if i%6 == 2 {
		pre := s.object("batch/v1", "Job", n+"-pre", map[string]any{"spec": job("hook:1")})
		pre["metadata"].(map[string]any)["annotations"] = map[string]any{
			"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
		}
		post := s.object("v1", "ConfigMap", n+"-post", map[string]any{"data": map[string]any{"dsn": sentenceMark, "version": fmt.Sprint(v)}})
		post["metadata"].(map[string]any)["annotations"] = map[string]any{"helm.sh/hook": "post-install,post-upgrade"}
		p.hooks = append(p.hooks, pre, post)
	}
	if i == 12 {
		p.objects = append(p.objects, s.crd("Gadget", "gadgets"),
			s.object(s.Group()+"/v1", "Gadget", n, map[string]any{"spec": map[string]any{"size": int64(v)}}))
	}
	return p
}

func (s Stack) object(apiVersion, kind, name string, rest map[string]any) map[string]any {
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": name}}
	for k, v := range rest {
		o[k] = v
	}
	return o
}

func (s Stack) crd(kind, plural string) map[string]any {
	return s.object("apiextensions.k8s.io/v1", "CustomResourceDefinition", plural+"."+s.Group(), map[string]any{"spec": map[string]any{
		"group": s.Group(), "scope": "Namespaced",
		"names": map[string]any{"kind": kind, "listKind": kind + "List", "plural": plural, "singular": strings.ToLower(kind)},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{
			"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "properties": map[string]any{
				"size": map[string]any{"type": "integer"}, "colour": map[string]any{"type": "string"},
			}}},
		}}}},
	}})
}

func job(image string) map[string]any {
	return map[string]any{"template": map[string]any{"spec": map[string]any{
		"restartPolicy": "Never", "containers": []any{map[string]any{"name": "job", "image": image}},
	}}}
}

// noise is text that does not compress to much less than three quarters of its length.
func noise(n int) string {
	state := uint64(88172645463325252)
	raw := make([]byte, n)
	for i := range raw {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		raw[i] = byte(state)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Wanted are the objects that the cluster holds when this version is applied, those that hooks leave included.
func (s Stack) Wanted() []Object {
	var all []Object
	for _, namespace := range s.Namespaces() {
		all = append(all, Object{Data: s.object("v1", "Namespace", namespace, nil)})
	}
	for _, i := range s.numbers() {
		p := s.parts(i)
		for _, o := range p.objects {
			all = append(all, Object{Data: s.placed(i, o), Namespace: s.namespace(i), Name: name(i)})
		}
		for _, o := range p.crds {
			all = append(all, Object{Data: o})
		}
		for _, o := range p.hooks {
			if o["kind"] != "Job" { // those go when they succeeded
				all = append(all, Object{Data: s.placed(i, o)})
			}
		}
	}
	return all
}

// placed is an object in its namespace with its secrets.
func (s Stack) placed(i int, o map[string]any) map[string]any {
	password := s.password(i)
	out := replaced(o, map[string]string{
		passwordMark: password, encodedMark: base64.StdEncoding.EncodeToString([]byte(password)),
		sentenceMark: "postgres://app:" + password + "@db/app",
	}).(map[string]any)
	if o["kind"] != "CustomResourceDefinition" {
		out["metadata"].(map[string]any)["namespace"] = s.namespace(i)
	}
	return out
}

// replaced is a JSON value with other texts.
func replaced(v any, texts map[string]string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = replaced(e, texts)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = replaced(e, texts)
		}
		return out
	case string:
		if t, ok := texts[v]; ok {
			return t
		}
	}
	return v
}

// Deployed are the releases that are deployed when this version is applied.
func (s Stack) Deployed() []Release {
	var all []Release
	for _, i := range s.numbers() {
		all = append(all, Release{Namespace: s.namespace(i), Name: name(i), Password: s.password(i)})
	}
	return all
}

// Write writes the values repository with its stack into a folder, which need not be there.
func (s Stack) Write(dir string) error {
	w := writer{dir: dir}
	w.text("otomi.yaml", "version: 1\nstack: stack\n")
	w.text("stack/schema/values.schema.yaml", `type: object
properties:
  passwords:
    type: object
    additionalProperties:
      type: string
      x-secret: ""
`)
	passwords := map[string]any{}
	levels := map[string]string{}
	for i := range s.Releases + 1 {
		passwords[name(i)] = s.password(i)
	}
	for _, i := range s.numbers() {
		level := []string{"10-base", "20-apps", "30-more"}[min(i, 1)+i/(s.Releases/2+1)*min(i, 1)]
		levels[level] += fmt.Sprintf(`  - name: %s
    namespace: %s
    chart: ../charts/%s
    values:
      - password: {{ index .Values.passwords %q | toJson }}
%s`, name(i), s.namespace(i), name(i), name(i), s.timeout())
		s.chart(&w, i)
	}
	// What the other version has and this one has not is there and not installed.
	gone, other := 7, s
	if s.Version == 1 {
		gone, other.Version = s.Releases, 2
	} else {
		other.Version = 1
	}
	levels["20-apps"] += fmt.Sprintf("  - name: %s\n    namespace: %s\n    chart: ../charts/%s\n    installed: false\n%s", name(gone), s.namespace(gone), name(gone), s.timeout())
	other.chart(&w, gone)
	for level, releases := range levels {
		w.text("stack/runlevels/"+level+".yaml.gotmpl", "releases:\n"+releases)
	}
	w.yaml("env/settings.yaml", map[string]any{"passwords": passwords})
	return w.err
}

// timeout is the line of a release that says how long it may take.
func (s Stack) timeout() string {
	if s.Timeout == 0 {
		return ""
	}
	return fmt.Sprintf("    timeout: %d\n    deleteTimeout: %d\n", s.Timeout, s.Timeout)
}

// chart writes the chart of a release.
func (s Stack) chart(w *writer, i int) {
	dir := "stack/charts/" + name(i) + "/"
	w.yaml(dir+"Chart.yaml", map[string]any{"apiVersion": "v2", "name": name(i), "version": fmt.Sprintf("%d.0.0", s.version(i))})
	w.text(dir+"values.yaml", "password: \"\"\n")
	p := s.parts(i)
	for n, o := range append(p.objects, p.hooks...) {
		w.yaml(fmt.Sprintf("%stemplates/%02d.yaml", dir, n), o)
	}
	for n, o := range p.crds {
		w.yaml(fmt.Sprintf("%scrds/%02d.yaml", dir, n), o)
	}
}

// writer writes files until one fails.
type writer struct {
	dir string
	err error
}

func (w *writer) yaml(name string, v any) {
	raw, err := json.Marshal(v)
	if err == nil {
		raw, err = yaml.JSONToYAML(raw)
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.text(name, expressions.Replace(string(raw)))
}

func (w *writer) text(name, text string) {
	if w.err != nil {
		return
	}
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if w.err = os.MkdirAll(filepath.Dir(path), 0o755); w.err == nil {
		w.err = os.WriteFile(path, []byte(text), 0o644)
	}
}
