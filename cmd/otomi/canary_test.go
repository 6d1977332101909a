package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/faults/fakeapi"
	"github.com/redkubes/otomi/faults/proxy"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/report"
)

// canaries are fifty secrets by the slot that each is in. Those that begin with x are values that the schema marks; those with k
// are of the kubeconfig; those with c stand in the chart alone, in a Secret and beside it.
var canaries = map[string]string{
	// How a value is written.
	"xPlain": "cnry-plain-8Zq1vX", "xQuotes": `cnry"quo'tes"\8Zq2vX`, "xShell": "cnry$HOME&<8Zq3vX>;`id`%s", "xUnicode": "cnry-pässwörd-鍵-8Zq4vX",
	"xLines": "cnry line one 8Zq5vX\ncnry line two 8Zq5vY\n\tcnry three 8Zq5vZ", "xShort": "Qz7!", "xLong": strings.Repeat("cnry8Zq6vXpadding", 240),
	"xNumber": "7398216405518", "xTab": "cnry\t8Zq7vX\ttab", "xSpaces": "cnry 8Zq8vX the bird sings at night", "xBool": "truecnry8Zq9",
	"xDollar": "${cnry8ZqAvX}$$", "xColon": "cnry: 8ZqBvX # no comment", "xPercent": "cnry%2F8ZqCvX%",
	"xKey": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANcnry8ZqDvXBAQEFAASCBKcwggSj\nAgEAAoIBAQCcnry8ZqDvYKjMzEfYyjiWA4R\n-----END PRIVATE KEY-----\n",
	// Where a chart puts it.
	"xData": "cnry-data-8ZqEvX", "xStringData": "cnry-stringdata-8ZqFvX", "xConfig": "cnry-config-8ZqGvX", "xJSON": "cnry\"json\"-8ZqHvX",
	"xYAML": "cnry-yaml: 8ZqIvX", "xBase64": "cnry-base64-8ZqJvX", "xTwice": "cnry-twice-8ZqKvX", "xAnnotation": "cnry-annotation-8ZqLvX",
	"xLabel": "cnry-label-8ZqMvX", "xArgs": "cnry-args-8ZqNvX", "xEnv": "cnry-env-8ZqOvX", "xCommand": "cnry-command-8ZqPvX",
	"xURL": "cnry/url@8ZqQvX", "xDocker": "cnry-docker-8ZqRvX", "xHook": "cnry-hook-8ZqSvX", "xNotes": "cnry-notes-8ZqTvX",
	"xCustom": "cnry-custom-8ZqUvX", "xName": "cnry-name-8zqvvx", "xNamespace": "cnry-namespace-8zqwvx", "xReleaseLabel": "cnry-rlabel-8ZqXvX",
	"xWrapped": "cnry-wrapped-in-lines-of-twenty-8ZqYvX", "xKeyName": "cnry-key-name-8ZqZvX", "xList": "cnry-list-item-9Zq0vX",
	// What goes wrong with it.
	"xFail": "cnry-fail-9Zq1vX", "xRequired": "cnry-required-9Zq2vX", "xDenied": "cnry-denied-9Zq3vX", "xSchema": "cnry-schema-9Zq4vX",
	"xConflict": "cnry-conflict-9Zq5vX", "xFlag": "cnry-flag-9Zq6vX", "xFormer": "cnry-former-9Zq7vX",
	// Who gets in.
	"kToken": "cnry-token-9Zq8vX", "kExec": "cnry-exec-9Zq9vX", "rPassword": "cnry-repo-9ZqAvX",
	// What no schema knows.
	"cData": "cnry-undeclared-9ZqBvX", "cConfig": "cnry-undeclared-config-9ZqCvX",
}

// cage is a values repository with a canary in every slot.
type cage struct {
	dir, kubeconfig string
	api             *fakeapi.Server
}

func newCage(t *testing.T) *cage {
	t.Helper()
	c := &cage{dir: t.TempDir(), api: fakeapi.New()}
	p := proxy.New(c.api)
	t.Cleanup(p.Close)
	kubeconfig, err := p.Kubeconfig("cage", map[string]any{"token": canaries["kToken"]})
	require.NoError(t, err)
	c.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(c.kubeconfig, kubeconfig, 0o600))
	values := map[string]any{}
	for slot, text := range canaries {
		if slot[0] == 'x' {
			values[slot] = text
		}
	}
	values["xNumber"] = json.Number(canaries["xNumber"])
	settings, err := json.Marshal(map[string]any{
		"birds": values, "flock": []any{canaries["xList"]}, "public": "cage", "fail": "", "size": 1,
	})
	require.NoError(t, err)
	c.write(t, "env/settings.yaml", string(settings))
	c.write(t, "otomi.yaml", "version: 1\nstack: stack\n")
	c.write(t, "stack/schema/values.schema.yaml", `type: object
properties:
  public: {type: string}
  fail: {type: string}
  size: {type: integer, maximum: 3}
  flock: {type: array, items: {type: string, x-secret: ""}}
  birds:
    type: object
    properties:
      xSchema: {type: string, x-secret: "", maxLength: 40}
      xNumber: {type: integer, x-secret: ""}
    additionalProperties: {type: string, x-secret: ""}
`)
	c.write(t, "stack/runlevels/10-cage.yaml.gotmpl", `releases:
  - name: cage
    namespace: cage
    chart: ../charts/cage
    labels: { bird: {{ .Values.birds.xReleaseLabel | quote }} }
    values:
      - birds: {{ .Values.birds | toJson }}
        flock: {{ .Values.flock | toJson }}
        fail: {{ .Values.fail | quote }}
`)
	c.write(t, "stack/charts/cage/Chart.yaml", "apiVersion: v2\nname: cage\nversion: 0.1.0\n")
	c.write(t, "stack/charts/cage/values.yaml", "fail: \"\"\n")
	c.write(t, "stack/charts/cage/templates/NOTES.txt", "log in with {{ .Values.birds.xNotes }}\n")
	c.write(t, "stack/charts/cage/templates/all.yaml", cageTemplate)
	// The next version of the chart puts one more secret beside each.
	c.write(t, "next/cage/Chart.yaml", "apiVersion: v2\nname: cage\nversion: 0.2.0\n")
	c.write(t, "next/cage/values.yaml", "fail: \"\"\n")
	next := strings.ReplaceAll(cageTemplate, "image: cage:1", "image: cage:2")
	c.write(t, "next/cage/templates/all.yaml", strings.ReplaceAll(next, "{{ .xPlain ", "{{ .xArgs ")+"\n")
	c.write(t, "next/cage/templates/more.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: more }\ndata: { all: {{ .Values.birds | toJson | quote }} }\n")
	return c
}

func (c *cage) write(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join(c.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
}

const cageTemplate = `{{- with .Values.birds }}
apiVersion: v1
kind: Secret
metadata: { name: cage }
type: Opaque
data: { a: {{ .xData | b64enc }}, c: {{ "` + "cnry-undeclared-9ZqBvX" + `" | b64enc }} }
stringData: { b: {{ .xStringData | quote }}, d: "cnry-undeclared-config-9ZqCvX" }
---
apiVersion: v1
kind: Secret
metadata: { name: docker }
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: {{ dict "auths" (dict "r.example.com" (dict "password" .xDocker "auth" (printf "u:%s" .xDocker | b64enc))) | toJson | quote }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: cage
  labels: { bird: {{ .xLabel | quote }} }
  annotations: { bird: {{ .xAnnotation | quote }} }
data:
  undeclared: "dsn=cnry-undeclared-9ZqBvX"
  config: {{ .xConfig | quote }}
  formerly: {{ .xFormer | quote }}
  json: {{ dict "a" .xJSON | toJson | quote }}
  yaml: |
{{ dict "a" (dict "b" .xYAML) | toYaml | indent 4 }}
  base64: {{ printf "p:%s" .xBase64 | b64enc | quote }}
  twice: {{ .xTwice | b64enc | b64enc | quote }}
  docker: {{ dict "auth" (printf "u:%s" .xDocker | b64enc) | toJson | b64enc | quote }}
  url: {{ printf "postgres://u:%s@db" (.xURL | urlquery) | quote }}
  wrapped: |
{{ .xWrapped | b64enc | wrapWith 20 "\n" | indent 4 }}
  key: |
{{ .xKey | indent 4 }}
  lines: {{ .xLines | quote }}
  {{ .xKeyName }}: present
{{- range $name, $text := . }}
  all-{{ $name | lower }}: {{ $text | toString | toJson }}
{{- end }}
  list: {{ $.Values.flock | join "," | quote }}
  denied: {{ .xDenied | quote }}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: {{ .xName }} }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: cage }
spec:
  selector: { matchLabels: { app: cage } }
  template:
    metadata: { labels: { app: cage } }
    spec:
      containers:
        - name: cage
          image: cage:1
          command: [run, {{ .xCommand | quote }}]
          args: [{{ printf "--password=%s" .xArgs | quote }}]
          env: [{ name: P, value: {{ .xEnv | quote }} }]
---
apiVersion: batch/v1
kind: Job
metadata:
  name: hook
  annotations: { helm.sh/hook: "pre-install,pre-upgrade", bird: {{ .xHook | quote }} }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: a, image: a, args: [{{ .xHook | quote }}] }] } } }
---
apiVersion: v1
kind: Namespace
metadata: { name: {{ .xNamespace }} }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: birds.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Bird, listKind: BirdList, plural: birds, singular: bird }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
---
{{- if eq $.Values.fail "fail" }}{{ fail (printf "no bird %s" .xFail) }}{{ end }}
{{- if eq $.Values.fail "required" }}{{ required (printf "a bird like %s" .xRequired) nil }}{{ end }}
{{- if eq $.Values.fail "type" }}{{ .xPlain.nothing.there }}{{ end }}
{{- if eq $.Values.fail "yaml" }}
a: {{ .xPlain }}: {{ .xQuotes }}
 - b
{{ end }}
{{- if eq $.Values.fail "kind" }}
apiVersion: v1
kind: {{ .xPlain }}
metadata: { name: {{ .xEnv }} }
{{ end }}
{{- end }}
`

// call runs one command line and returns the exit code and all that came out: of both sides, and what is in new files.
func (c *cage) call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, talk bytes.Buffer
	require.NoError(t, os.MkdirAll(filepath.Join(c.dir, "out"), 0o755))
	env := map[string]string{"HOME": c.dir, "XDG_CONFIG_HOME": filepath.Join(c.dir, ".config"), "XDG_CACHE_HOME": filepath.Join(c.dir, ".cache"), "KUBECONFIG": c.kubeconfig}
	code := run(world{
		args: args, env: func(name string) string { return env[name] }, dir: c.dir, host: "cage",
		environ: func() []string { return nil }, stdin: strings.NewReader(""), stdout: &out, stderr: &talk,
	})
	text := out.String() + talk.String()
	written := filepath.Join(c.dir, "out")
	_ = filepath.WalkDir(written, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			body, err := os.ReadFile(name)
			require.NoError(t, err)
			text += "\n# " + name + "\n" + string(body)
		}
		return nil
	})
	require.NoError(t, os.RemoveAll(written))
	return code, text
}

// sung returns the slots whose canary is heard in a text, in any form.
func sung(text string) []string {
	var heard []string
	for slot, secret := range canaries {
		for form, shape := range shapes(secret) {
			if strings.Contains(text, shape) {
				heard = append(heard, slot+" ("+form+")")
			}
		}
	}
	slices.Sort(heard)
	return heard
}

// shapes are the forms of a secret, beside those of the redactor: its own pieces, too, where it is long enough.
func shapes(s string) map[string]string {
	out := map[string]string{"plain": s, "quoted": strings.Trim(strconv.Quote(s), `"`), "ASCII": strings.Trim(strconv.QuoteToASCII(s), `"`),
		"URL": url.QueryEscape(s), "path": url.PathEscape(s), "HTML": html.EscapeString(s), "YAML": strings.ReplaceAll(s, "'", "''")}
	if raw, err := json.Marshal(s); err == nil {
		out["JSON"] = string(raw[1 : len(raw)-1])
	}
	if len(s) < 12 {
		return out
	}
	for offset := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, offset), s...))
		from := (offset*8 + 5) / 6
		middle := text[from : (offset+len(s))*8/6]
		out[fmt.Sprint("base64 ", offset)] = middle[:min(len(middle), 20)]
		again := base64.RawStdEncoding.EncodeToString([]byte(middle))
		out[fmt.Sprint("base64 twice ", offset)] = again[:min(len(again)-2, 24)]
	}
	if at := strings.Index(s, "Zq"); at >= 1 && at+5 <= len(s) {
		out["mark"] = s[at-1 : at+5]
	}
	return out
}

func TestCanariesAreFifty(t *testing.T) {
	t.Parallel()
	require.Len(t, canaries, 50)
}

// silent are the verbs that need a row nowhere: they read no values, and are given none.
var silent = []string{"otomi", "otomi help", "otomi completion", "otomi version", "otomi bootstrap"}

// songs are the command lines, each with every output format that its verb has.
var songs = [][]string{
	{"values"}, {"values", "-o", "json"}, {"values", "--show-origins"}, {"values", "--path", "birds.xPlain"},
	{"layers"}, {"layers", "-o", "json"}, {"explain", "birds"}, {"explain", "birds.xPlain"}, {"explain", "birds.xPlain", "-o", "json"}, {"explain", "flock[0]", "--all"},
	{"validate"}, {"validate", "--all"}, {"validate", "-o", "json"}, {"validate", "-o", "sarif"}, {"validate", "-o", "junit"}, {"validate", "-o", "github"}, {"validate", "--manifests"},
	{"lint"}, {"lint", "-o", "json"}, {"lint", "-o", "sarif"}, {"lint", "-o", "junit"}, {"lint", "-o", "github"},
	{"template"}, {"template", "-o", "json"}, {"template", "--output-dir", "out"}, {"template", "--include-crds", "--skip-tests"}, {"template", "--no-cache"}, {"template", "--validate"},
	{"list"}, {"list", "-o", "json"}, {"schema", "docs"}, {"schema", "check"}, {"schema"},
	{"charts"}, {"charts", "list"}, {"charts", "list", "-o", "json"}, {"charts", "lock", "--check"}, {"charts", "outdated"}, {"charts", "vendor"}, {"charts", "diff", "cage", "stack/charts/cage", "next/cage"},
	{"charts", "diff", "cage", "stack/charts/cage", "next/cage", "-o", "json"},
	{"cache", "info"}, {"cache", "cleanup"}, {"cache"}, {"registry"},
	{"diff"}, {"diff", "-o", "json"}, {"diff", "--no-color"}, {"diff", "-o", "markdown"}, {"diff", "--structural"}, {"diff", "--unified"}, {"diff", "--summary"},
	{"diff", "--against", "release"}, {"diff", "--out", "out/plan.json"}, {"apply", "--yes", "--dry-run"}, {"apply", "--yes", "--dry-run", "-o", "json"},
	{"apply", "--yes"}, {"diff"}, {"apply", "--yes", "-o", "json"}, {"sync", "--yes"}, {"sync", "--yes", "-o", "json"}, {"status"}, {"status", "-o", "json"},
	{"diff", "--out", "out/plan.json"}, {"diff", "-o", "markdown"}, {"diff", "--structural"}, {"diff", "--summary"}, {"diff", "--against", "release"},
	{"drift"}, {"drift", "-o", "json"}, {"history", "cage/cage"}, {"history", "cage/cage", "-o", "json"},
	{"rollback", "cage/cage", "1", "--yes"}, {"rollback", "cage/cage", "1", "--dry-run"}, {"rollback", "cage/cage", "1", "--yes", "-o", "json"},
	{"unlock", "cage/cage"}, {"unlock"}, {"destroy", "--yes"}, {"destroy", "--yes", "-o", "json"},
}

func TestNoCanaryIsHeardOfAnyVerb(t *testing.T) {
	c := newCage(t)
	said := map[string]bool{}
	for _, args := range songs {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			code, text := c.call(t, args...)
			require.Empty(t, sung(text), "otomi %s exits with %d and says\n%s", strings.Join(args, " "), code, text)
			if strings.Join(args, " ") != "cache" {
				require.Zero(t, code, "a verb that fails proves nothing: %s", text)
			}
			t.Logf("exit %d, %d bytes: %.300s", code, len(text), text)
		})
		said[args[0]] = true
		if len(args) > 1 {
			said[args[0]+" "+args[1]] = true
		}
	}
	for _, args := range stateSongs {
		said[args[0]] = true
	}
	for _, args := range loneSongs {
		said[strings.Join(args[:2], " ")] = true
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(cmd.CommandPath(), "otomi ")
		if !slices.Contains(silent, cmd.CommandPath()) {
			require.True(t, said[name], "the verb %q has no row among the songs: add one for each of its output formats", name)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&app{world: world{env: func(string) string { return "" }}}))
}

// loneSongs are for verbs that only fail here.
var loneSongs = [][]string{
	{"registry", "login", "127.0.0.1:1", "-u", "u", "-p", "cnry-repo-9ZqAvX"}, {"registry", "logout", "127.0.0.1:1"},
	{"registry", "login", "127.0.0.1:1", "-u", "u", "--password=cnry-repo-9ZqAvX", "--no-such-flag"},
	{"values", "--state-values-set", "birds.xFlag=cnry-flag-9Zq6vX,bad["},
	{"values", "--state-values-set-string", "birds.xFlag.deeper=cnry-flag-9Zq6vX"},
	{"values", "--state-values-set", "birds.xFlag=cnry-flag-9Zq6vX", "--no-such-flag"},
	{"values", "--state-values-set", "birds=cnry-flag-9Zq6vX"}, {"validate", "--state-values-set", "flock=cnry-flag-9Zq6vX"},
	{"validate", "--state-values-set", "birds.xNumber=cnry-flag-9Zq6vX"}, {"validate", "-o", "json", "--state-values-set", "birds.xNumber=cnry-flag-9Zq6vX"},
	{"validate", "--state-values-set", "birds.xSchema=cnry-schema-9Zq4vXcnry-schema-9Zq4vXcnry-schema-9Zq4vX"},
	{"validate", "-o", "sarif", "--state-values-set", "birds.xSchema=cnry-schema-9Zq4vXcnry-schema-9Zq4vXcnry-schema-9Zq4vX"},
}

func TestNoCanaryIsHeardOfACommandLineThatFails(t *testing.T) {
	c := newCage(t)
	for _, args := range loneSongs {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			_, text := c.call(t, args...)
			require.Empty(t, sung(text), "%s", text)
			t.Logf("%.400s", text)
		})
	}
}

func TestNoCanaryIsHeardOfAChartThatFails(t *testing.T) {
	c := newCage(t)
	for _, how := range []string{"fail", "required", "type", "yaml", "kind"} {
		for _, args := range [][]string{{"template"}, {"template", "-o", "json"}, {"diff"}, {"apply", "--yes", "-o", "json"}, {"validate", "--manifests", "-o", "sarif"}, {"lint"}} {
			t.Run(how+" "+strings.Join(args, " "), func(t *testing.T) {
				code, text := c.call(t, append(args, "--state-values-set", "fail="+how)...)
				require.Empty(t, sung(text), "exit %d\n%s", code, text)
				t.Logf("exit %d %.600s", code, text)
			})
		}
	}
	c.write(t, "stack/charts/cage/values.schema.json", `{"type":"object","properties":{"birds":{"type":"object","additionalProperties":{"type":"string","maxLength":3}}}}`)
	_, text := c.call(t, "template")
	require.Empty(t, sung(text), "%s", text)
	c.write(t, "env/settings.yaml", "birds: {xPlain: "+canaries["xPlain"]+", xPlain: "+canaries["xConflict"]+"}\nflock: "+canaries["xList"]+"\n")
	_, text = c.call(t, "validate")
	require.Empty(t, sung(text), "%s", text)
	for _, broken := range []string{
		"birds: {xPlain: [" + canaries["xConflict"] + "\n", "birds:\n  xPlain: " + canaries["xConflict"] + "\n  xPlain: a\n",
		"birds:\n  xPlain: \"" + canaries["xConflict"] + "\nflock: 1\n", "flock:\n- " + canaries["xConflict"] + "\n - b\n",
		"flock: [" + canaries["xConflict"] + "\n", "birds:\n  xPlain: !!binary " + canaries["xConflict"] + "\n",
	} {
		c.write(t, "env/settings.yaml", broken)
		for _, args := range [][]string{{"validate"}, {"validate", "-o", "json"}, {"validate", "-o", "sarif"}, {"values"}, {"diff"}} {
			_, text := c.call(t, args...)
			require.Empty(t, sung(text), "%s", text)
		}
	}
}

func TestNoCanaryIsHeardOfAServerThatQuotesWhatItRefuses(t *testing.T) {
	c := newCage(t)
	for _, kind := range []string{"Secret", "ConfigMap", "Deployment", "Job", "Namespace", ""} {
		for code, reason := range map[int]string{400: "BadRequest", 403: "Forbidden", 409: "Conflict", 422: "Invalid"} {
			c.api.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
				if kind != "" && o["kind"] != kind || o["kind"] == "Lease" {
					return o, nil
				}
				body, _ := json.Marshal(o)
				return nil, &fakeapi.Refusal{Code: code, Reason: reason, Message: fmt.Sprintf("admission webhook denied %s %q %v", body, body, o)}
			})
			for _, args := range [][]string{{"diff"}, {"diff", "-o", "json"}, {"apply", "--yes"}, {"apply", "--yes", "-o", "json"}} {
				t.Run(fmt.Sprint(kind, code, args), func(t *testing.T) {
					_, text := c.call(t, args...)
					require.Empty(t, sung(text), "%s", text)
				})
			}
		}
	}
}

func TestFormerCanaryStaysHiddenAfterItIsChanged(t *testing.T) {
	c := newCage(t)
	_, text := c.call(t, "apply", "--yes")
	require.Empty(t, sung(text), "%s", text)
	settings, err := os.ReadFile(filepath.Join(c.dir, "env/settings.yaml"))
	require.NoError(t, err)
	c.write(t, "env/settings.yaml", strings.ReplaceAll(string(settings), canaries["xFormer"], "cnry-later-0ZqDvX"))
	for _, args := range [][]string{
		{"diff"}, {"diff", "-o", "json"}, {"diff", "-o", "markdown"}, {"diff", "--structural"}, {"diff", "--unified"}, {"diff", "--against", "release"},
		{"diff", "--out", "out/plan.json"}, {"diff", "--out", "plan.json"}, {"apply", "plan.json", "--yes"}, {"status"}, {"diff"},
		{"history", "cage/cage"}, {"rollback", "cage/cage", "1", "--dry-run"}, {"rollback", "cage/cage", "1", "--yes"}, {"drift"},
		{"diff"}, {"diff", "--against", "release"}, {"destroy", "--dry-run"}, {"destroy", "--dry-run", "-o", "json"}, {"destroy", "--yes"},
	} {
		code, text := c.call(t, args...)
		require.Zero(t, code, "%v\n%s", args, text)
		require.Empty(t, sung(text), "%v\n%s", args, text)
		require.NotContains(t, text, "0ZqDvX")
		t.Logf("%v: %.200s", args, text)
	}
}

func TestPanicPrintsNoCanary(t *testing.T) {
	var talk bytes.Buffer
	a := newCageApp(&talk)
	code := func() (code int) {
		defer a.recovered(&code)
		panic(fmt.Errorf("lost %q", canaries["xQuotes"]))
	}()
	require.Equal(t, exitFailed, code)
	require.Contains(t, talk.String(), "(secret)")
	require.Empty(t, sung(talk.String()))
}

func TestNoCanaryIsHeardOfAPluginOfCredentials(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	for name, script := range map[string]string{
		"gives a token": `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$BIRD"`,
		"fails":         `exit 3`,
		"is no plugin":  `echo "the bird is $BIRD"`,
		"gives nothing": `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}'`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCage(t)
			p := proxy.New(c.api)
			t.Cleanup(p.Close)
			kubeconfig, err := p.Kubeconfig("cage", map[string]any{"exec": map[string]any{
				"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "sh",
				"args": []any{"-c", script, "sh", "--token=" + canaries["kExec"]},
				"env":  []any{map[string]any{"name": "BIRD", "value": canaries["kExec"]}},
			}})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(c.kubeconfig, kubeconfig, 0o600))
			for _, args := range [][]string{{"status"}, {"diff"}, {"apply", "--yes", "-o", "json"}, {"drift"}} {
				code, text := c.call(t, args...)
				require.Empty(t, sung(text), "%v exits with %d: %s", args, code, text)
				require.Equal(t, name == "gives a token", code == 0, "%v: %s", args, text)
			}
		})
	}
}

func TestPanicOfAGoroutinePrintsNoCanary(t *testing.T) {
	var talk bytes.Buffer
	a := newCageApp(&talk)
	code := func() (code int) {
		defer a.recovered(&code)
		var group parallel.Group
		group.Go(func() error { panic(fmt.Errorf("lost %q", canaries["xQuotes"])) })
		_ = group.Wait()
		return 0
	}()
	require.Equal(t, exitFailed, code)
	require.Contains(t, talk.String(), "(secret)")
	require.Contains(t, talk.String(), "canary_test.go", "with the stack of the goroutine")
	require.Empty(t, sung(talk.String()))
}

// stateSongs are those of verbs for state files.
var stateSongs = [][]string{
	{"build"}, {"print-env"}, {"show-dag"}, {"fetch"}, {"deps"}, {"repos"}, {"list"}, {"diff"}, {"template"}, {"lint"}, {"apply"}, {"sync"}, {"test"}, {"status"},
	{"destroy"}, {"write-values"},
}

func TestNoCanaryIsHeardOfStateFiles(t *testing.T) {
	c := newCage(t)
	c.write(t, "state/helmfile.yaml", `repositories:
  - name: cage
    url: https://127.0.0.1:1/charts
    username: u
    password: `+canaries["rPassword"]+`
releases:
  - name: lone
    namespace: cage
    chart: ./chart
    values: [{ a: 1 }]
  - name: far
    namespace: cage
    chart: cage/far
    installed: false
`)
	c.write(t, "state/chart/Chart.yaml", "apiVersion: v2\nname: lone\nversion: 0.1.0\n")
	c.write(t, "state/chart/templates/s.yaml", `apiVersion: v1
kind: Secret
metadata: { name: lone }
stringData: { a: "`+canaries["cData"]+`" }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: lone }
data: { a: "x `+canaries["cData"]+` y" }
`)
	for _, args := range stateSongs {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			code, text := c.call(t, append(args, "-f", "state/helmfile.yaml")...)
			if args[0] != "template" {
				require.Empty(t, sung(text), "exit %d\n%s", code, text)
			} // whose manifests are whole, as helmfile's are
			t.Logf("exit %d: %.300s", code, text)
		})
	}
}

// hookSongs are what Pods of hooks wrote with canaries in it: as a program logs its settings, a URL, an error.
func hookSongs() string {
	var b strings.Builder
	known := maps.Clone(canaries)
	// A Pod knows what is in the cluster, not who gets in.
	maps.DeleteFunc(known, func(slot, _ string) bool { return slot[0] != 'x' && slot[0] != 'c' })
	for _, slot := range slices.Sorted(maps.Keys(known)) {
		fmt.Fprintf(&b, "%s=%s url=%s %q\n", slot, known[slot], url.QueryEscape(known[slot]), known[slot])
	}
	raw, _ := json.Marshal(known) // a map of strings
	return b.String() + string(raw) + "\nthe hook has spoken\n"
}

func TestNoCanaryIsHeardInTheLogsOfHooks(t *testing.T) {
	for policy, failed := range map[string]bool{"": true, "hook-failed": true, "hook-succeeded": false, "hook-succeeded,hook-failed": true} {
		for _, output := range []string{"", "json"} {
			t.Run(fmt.Sprintf("%q %s", policy, output), func(t *testing.T) {
				c := newCage(t)
				c.api.Ends(func(map[string]any) (bool, string) { return failed, hookSongs() })
				if policy != "" {
					c.write(t, "stack/charts/cage/templates/all.yaml", strings.ReplaceAll(cageTemplate, `annotations: { helm.sh/hook:`,
						`annotations: { helm.sh/hook-output-log-policy: "`+policy+`", helm.sh/hook:`))
				}
				args := []string{"apply", "--yes"}
				if output != "" {
					args = append(args, "-o", output)
				}
				code, text := c.call(t, args...)
				require.Equal(t, failed, code != 0, "%s", text)
				require.Contains(t, text, "the hook has spoken")
				require.Empty(t, sung(text), "%s", text)
				_, text = c.call(t, "status")
				require.Empty(t, sung(text), "%s", text)
				_, text = c.call(t, "history", "cage/cage")
				require.Empty(t, sung(text), "%s", text)
			})
		}
	}
}

// lone writes a state file with one release whose values and chart hold canaries.
func (c *cage) lone(t *testing.T, more string) {
	t.Helper()
	c.write(t, "state/helmfile.yaml", "releases:\n  - name: lone\n    namespace: cage\n    chart: ./chart\n    values: [{ password: "+
		canaries["cConfig"]+" }]\n"+more)
	c.write(t, "state/chart/Chart.yaml", "apiVersion: v2\nname: lone\nversion: 0.1.0\n")
	c.write(t, "state/chart/templates/s.yaml", `apiVersion: v1
kind: Secret
metadata: { name: lone }
stringData: { a: "`+canaries["cData"]+`", b: {{ .Values.password | quote }} }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: lone }
data: { dsn: "u:`+canaries["cData"]+`@db" }
---
apiVersion: v1
kind: Pod
metadata: { name: lone-test, annotations: { helm.sh/hook: test } }
spec: { restartPolicy: Never, containers: [{ name: a, image: a }] }
`)
}

func TestNoCanaryIsHeardInTheLogsOfTests(t *testing.T) {
	for _, failed := range []bool{false, true} {
		c := newCage(t)
		c.lone(t, "")
		c.api.Ends(func(map[string]any) (bool, string) {
			return failed, "dsn=postgres://u:" + canaries["cConfig"] + "@db " + canaries["cData"] + "\nthe test has spoken\n"
		})
		code, text := c.call(t, "apply", "-f", "state/helmfile.yaml")
		require.Zero(t, code, "%s", text)
		for _, args := range [][]string{{"test", "--logs"}, {"test"}} {
			code, text = c.call(t, append(args, "-f", "state/helmfile.yaml")...)
			require.Equal(t, failed, code != 0, "%v %s", args, text)
			if failed || len(args) == 2 {
				require.Contains(t, text, "the test has spoken", "%v", args)
			}
			require.Empty(t, sung(text), "%v %s", args, text)
		}
	}
}

func TestNoCanaryIsHeardOfAnInterruptedRun(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs signals")
	}
	for _, kind := range []string{"Lease", "Secret", "ConfigMap", "Deployment", "Job", "Pod"} {
		for _, refuses := range []bool{false, true} {
			if refuses && kind == "Lease" {
				continue // which ends the run of itself
			}
			for _, output := range []string{"", "json"} {
				t.Run(fmt.Sprint(kind, refuses, output), func(t *testing.T) {
					c := newCage(t)
					// The fake's Pods run for good: an apply that nothing stops does not end.
					c.write(t, "stack/charts/cage/templates/wait.yaml", "apiVersion: v1\nkind: Pod\nmetadata: { name: wait, annotations: { helm.sh/hook: post-install, bird: "+
						"{{ .Values.birds.xHook | quote }} } }\nspec: { containers: [{ name: a, image: a }] }\n")
					args := []string{"apply", "--yes"}
					if output != "" {
						args = append(args, "-o", output)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					cmd := exec.CommandContext(ctx, "otomi", args...)
					cmd.Dir = c.dir
					cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "XDG_CACHE_HOME=" + filepath.Join(c.dir, ".cache"), "KUBECONFIG=" + c.kubeconfig}
					var out bytes.Buffer
					cmd.Stdout, cmd.Stderr = &out, &out
					started := make(chan struct{})
					var once sync.Once
					held := false
					c.api.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
						held = held || o["kind"] == "Lease" // before it, all is but compared
						if !held || o["kind"] != kind {
							return o, nil
						}
						<-started
						once.Do(func() { _ = cmd.Process.Signal(os.Interrupt) }) // one that has ended fails the test below
						if !refuses {
							return o, nil
						}
						body, _ := json.Marshal(o)
						return nil, &fakeapi.Refusal{Code: 422, Reason: "Invalid", Message: fmt.Sprintf("denied %s %q %v", body, body, o)}
					})
					require.NoError(t, cmd.Start())
					close(started)
					_ = cmd.Wait() // its code is below
					require.NotZero(t, cmd.ProcessState.ExitCode(), "%s", out.String())
					if !refuses { // a run that is refused may be at its end before it hears of the interrupt
						require.Equal(t, exitInterrupted, cmd.ProcessState.ExitCode(), "%s", out.String())
						require.Contains(t, out.String(), "interrupted: stopped")
					}
					require.Empty(t, sung(out.String()), "%s", out.String())
					c.api.Admit(nil)
					for _, args := range [][]string{{"status"}, {"diff"}, {"history", "cage/cage"}} {
						_, text := c.call(t, args...)
						require.Empty(t, sung(text), "%v %s", args, text)
					}
				})
			}
		}
	}
}

// recorder is a program that writes its argument list into the file argv beside it, passes its standard input on, and says line.
func (c *cage) recorder(t *testing.T, name, line string) string {
	t.Helper()
	c.write(t, name, "#!/bin/sh\nprintf '%s\\n' \"$0 $*\" >>'"+filepath.Join(c.dir, "argv")+"'\n"+line+"\n")
	name = filepath.Join(c.dir, name)
	require.NoError(t, os.Chmod(name, 0o755))
	return name
}

// argv is what the recorders were called with since the last call.
func (c *cage) argv(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, "argv"))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(c.dir, "argv")))
	return string(text)
}

func TestNoCanaryIsInTheArgumentListOfAChild(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
	c := newCage(t)
	plugin := c.recorder(t, "plugin", `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$BIRD"`)
	p := proxy.New(c.api)
	t.Cleanup(p.Close)
	kubeconfig, err := p.Kubeconfig("cage", map[string]any{"exec": map[string]any{
		"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": plugin, "args": []any{"a b", "get-token"},
		"env": []any{map[string]any{"name": "BIRD", "value": canaries["kExec"]}},
	}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.kubeconfig, kubeconfig, 0o600))
	for _, args := range [][]string{{"diff"}, {"apply", "--yes"}, {"status"}, {"destroy", "--yes"}} {
		code, text := c.call(t, args...)
		require.Zero(t, code, "%v %s", args, text)
		require.Empty(t, sung(text))
	}
	// client-go keeps what a plugin gave for as long as the process lives: it runs once here.
	said := c.argv(t)
	require.Contains(t, said, plugin+" a b get-token\n")
	require.Empty(t, sung(said))

	hook, filter := c.recorder(t, "hook", "true"), c.recorder(t, "filter", "cat")
	c.lone(t, "    postRenderer: "+filter+"\n    postRendererArgs: [--keep]\n    hooks:\n      - events: [prepare, preapply, presync, postsync, preuninstall, postuninstall, cleanup]\n        command: "+hook+
		"\n        args: ['{{ .Event.Name }}', '{{ .Release.Name }}', '{{ .Event.Error }}']\n")
	for _, args := range [][]string{{"diff"}, {"apply"}, {"sync"}, {"template"}, {"destroy"}} {
		code, text := c.call(t, append(args, "-f", "state/helmfile.yaml", "--allow", "all")...)
		require.Zero(t, code, "%v %s", args, text)
		said = c.argv(t)
		require.Contains(t, said, hook+" prepare lone", "%v", args)
		if args[0] != "destroy" {
			require.Contains(t, said, filter+" --keep\n", "%v", args)
		}
		require.Empty(t, sung(said), "%v: %s", args, said)
	}

	// The error of an event is an argument where the state file asks for it: what a server quotes is hidden in it, too.
	c.api.Admit(func(_ string, o map[string]any) (map[string]any, *fakeapi.Refusal) {
		called, _ := os.ReadFile(filepath.Join(c.dir, "argv")) // not there yet: nothing was called
		if o["kind"] != "ConfigMap" || nameOf(o) != "lone" || !strings.Contains(string(called), " presync ") {
			return o, nil // the comparison is let through
		}
		body, _ := json.Marshal(o)
		return nil, &fakeapi.Refusal{Code: 422, Reason: "Invalid", Message: fmt.Sprintf("denied %s %q %v %s", body, body, o, canaries["cData"])}
	})
	code, text := c.call(t, "apply", "-f", "state/helmfile.yaml", "--allow", "all")
	require.NotZero(t, code)
	require.Empty(t, sung(text), "%s", text)
	said = c.argv(t)
	require.Contains(t, said, hook+" postsync lone")
	require.Empty(t, sung(said), "%s", said)
}

func nameOf(o map[string]any) string {
	metadata, _ := o["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// newCageApp is a program that knows of a secret.
func newCageApp(talk *bytes.Buffer) *app {
	a := &app{world: world{stderr: talk}, report: report.New(report.Options{Err: talk})}
	a.report.Hide([]string{canaries["xQuotes"]})
	return a
}
