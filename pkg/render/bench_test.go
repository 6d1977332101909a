package render

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redkubes/otomi/pkg/cache"
	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/yaml"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v3/pkg/action"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"
)

// fixture is what one benchmark renders: charts as both sides read them, and releases of them.
type fixture struct {
	charts   []*chart.Chart
	helm     []*helmchart.Chart
	releases []Request
	// chartOf is which chart a release is of.
	chartOf []int
}

// ordinary is the text of charts as people write them: helpers, include, tpl, toYaml, range, conditions.
var ordinary = map[string]string{
	"values.yaml": `replicaCount: 2
image: {repository: example.com/app, tag: "", pullPolicy: IfNotPresent}
imagePullSecrets: []
nameOverride: ""
fullnameOverride: ""
commonLabels: {app.kubernetes.io/part-of: "{{ .Release.Name }}"}
serviceAccount: {create: true, annotations: {}, name: ""}
podAnnotations: {prometheus.io/scrape: "true", prometheus.io/port: "9090"}
podSecurityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
securityContext: {capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
service: {type: ClusterIP, port: 80, targetPort: http}
ingress: {enabled: true, className: nginx, annotations: {cert-manager.io/cluster-issuer: letsencrypt}, hosts: [{host: a.example.com, paths: [{path: /, pathType: Prefix}]}], tls: [{secretName: tls, hosts: [a.example.com]}]}
resources: {limits: {cpu: 500m, memory: 512Mi}, requests: {cpu: 100m, memory: 128Mi}}
autoscaling: {enabled: true, minReplicas: 1, maxReplicas: 10, targetCPUUtilizationPercentage: 80}
livenessProbe: {httpGet: {path: /healthz, port: http}, initialDelaySeconds: 10, periodSeconds: 10}
readinessProbe: {httpGet: {path: /ready, port: http}, initialDelaySeconds: 5, periodSeconds: 10}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Equal, value: apps, effect: NoSchedule}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}}]}}
env: {LOG_LEVEL: info, DATABASE_HOST: "{{ .Release.Name }}-db.{{ .Release.Namespace }}.svc", CACHE: redis, REGION: eu-central-1}
config: {server: {port: 8080, timeout: 30s, hosts: [a, b, c]}, logging: {level: info, format: json}, features: {a: true, b: false, c: true}}
extraVolumes: [{name: tmp, emptyDir: {}}]
extraVolumeMounts: [{name: tmp, mountPath: /tmp}]
networkPolicy: {enabled: true, namespaces: [monitoring, ingress]}
jobs: [{name: migrate, schedule: "0 3 * * *", command: [migrate, up]}, {name: clean, schedule: "*/5 * * * *", command: [clean]}]
rules: [{alert: Down, expr: 'up == 0', for: 5m, severity: critical}, {alert: Slow, expr: 'histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket[5m])) by (le)) > 1', for: 10m, severity: warning}]
`,
	"templates/_helpers.tpl": `{{- define "app.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "app.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}
{{- define "app.chart" -}}
{{- printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "app.render" -}}
{{- if typeIs "string" .value }}
{{- tpl .value .context }}
{{- else }}
{{- tpl (.value | toYaml) .context }}
{{- end }}
{{- end }}
{{- define "app.labels" -}}
helm.sh/chart: {{ include "app.chart" . }}
{{ include "app.selectorLabels" . }}
{{- if .Chart.AppVersion }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ include "app.render" (dict "value" . "context" $) }}
{{- end }}
{{- end }}
{{- define "app.selectorLabels" -}}
app.kubernetes.io/name: {{ include "app.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "app.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "app.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}
{{- define "app.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end }}
`,
	"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "app.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicaCount }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "app.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
        {{- with .Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      labels:
        {{- include "app.selectorLabels" . | nindent 8 }}
    spec:
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      serviceAccountName: {{ include "app.serviceAccountName" . }}
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      containers:
        - name: {{ .Chart.Name }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          image: {{ include "app.image" . | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          ports:
            - name: http
              containerPort: {{ .Values.config.server.port }}
              protocol: TCP
          env:
            {{- range $k, $v := .Values.env }}
            - name: {{ $k }}
              value: {{ tpl $v $ | quote }}
            {{- end }}
          livenessProbe:
            {{- toYaml .Values.livenessProbe | nindent 12 }}
          readinessProbe:
            {{- toYaml .Values.readinessProbe | nindent 12 }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
          {{- with .Values.extraVolumeMounts }}
          volumeMounts:
            {{- toYaml . | nindent 12 }}
          {{- end }}
      {{- with .Values.extraVolumes }}
      volumes:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
`,
	"templates/service.yaml": `apiVersion: v1
kind: Service
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  type: {{ .Values.service.type }}
  ports:
    - port: {{ .Values.service.port }}
      targetPort: {{ .Values.service.targetPort }}
      protocol: TCP
      name: http
  selector:
    {{- include "app.selectorLabels" . | nindent 4 }}
`,
	"templates/configmap.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "app.fullname" . }}-config
  labels:
    {{- include "app.labels" . | nindent 4 }}
data:
  config.yaml: |
    {{- tpl (toYaml .Values.config) . | nindent 4 }}
  {{- range $k, $v := .Values.env }}
  {{ $k | lower | replace "_" "-" }}: {{ tpl $v $ | quote }}
  {{- end }}
`,
	"templates/serviceaccount.yaml": `{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "app.serviceAccountName" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
  {{- with .Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
`,
	"templates/hpa.yaml": `{{- if .Values.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "app.fullname" . }}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  metrics:
    {{- if .Values.autoscaling.targetCPUUtilizationPercentage }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .Values.autoscaling.targetCPUUtilizationPercentage }}
    {{- end }}
{{- end }}
`,
	"templates/ingress.yaml": `{{- if .Values.ingress.enabled -}}
{{- $fullName := include "app.fullname" . -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $fullName }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
  {{- with .Values.ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if and .Values.ingress.className (.Capabilities.APIVersions.Has "networking.k8s.io/v1") }}
  ingressClassName: {{ .Values.ingress.className }}
  {{- end }}
  {{- if .Values.ingress.tls }}
  tls:
    {{- range .Values.ingress.tls }}
    - hosts:
        {{- range .hosts }}
        - {{ . | quote }}
        {{- end }}
      secretName: {{ .secretName }}
    {{- end }}
  {{- end }}
  rules:
    {{- range .Values.ingress.hosts }}
    - host: {{ .host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ .path }}
            pathType: {{ .pathType }}
            backend:
              service:
                name: {{ $fullName }}
                port:
                  number: {{ $.Values.service.port }}
          {{- end }}
    {{- end }}
{{- end }}
`,
	"templates/networkpolicy.yaml": `{{- if .Values.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "app.selectorLabels" . | nindent 6 }}
  ingress:
    {{- range .Values.networkPolicy.namespaces }}
    - from:
        - namespaceSelector:
            matchLabels:
              name: {{ . }}
    {{- end }}
{{- end }}
`,
	"templates/pdb.yaml": `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "app.fullname" . }}
  labels: {{- include "app.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels: {{- include "app.selectorLabels" . | nindent 6 }}
`,
	"templates/cronjobs.yaml": `{{- range .Values.jobs }}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "app.fullname" $ }}-{{ .name }}
  labels:
    {{- include "app.labels" $ | nindent 4 }}
spec:
  schedule: {{ .schedule | quote }}
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: {{ .name }}
              image: {{ include "app.image" $ }}
              command: {{ toJson .command }}
              resources: {{- toYaml $.Values.resources | nindent 16 }}
{{- end }}
`,
	"templates/rules.yaml": `apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  groups:
    - name: {{ include "app.name" . }}
      rules:
        {{- range .Values.rules }}
        - alert: {{ .alert }}
          expr: {{ .expr | quote }}
          for: {{ .for }}
          labels:
            severity: {{ .severity }}
        {{- end }}
`,
	"templates/rbac.yaml": `{{- if .Values.serviceAccount.create }}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ include "app.fullname" . }}
  labels: {{- include "app.labels" . | nindent 4 }}
rules:
  - apiGroups: [""]
    resources: [configmaps, secrets]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ include "app.fullname" . }}
  labels: {{- include "app.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "app.fullname" . }}
subjects:
  - kind: ServiceAccount
    name: {{ include "app.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}
`,
	"templates/tests/connection.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: "{{ include "app.fullname" . }}-test"
  labels:
    {{- include "app.labels" . | nindent 4 }}
  annotations:
    helm.sh/hook: test
spec:
  containers:
    - name: wget
      image: busybox
      command: [wget]
      args: ['{{ include "app.fullname" . }}:{{ .Values.service.port }}']
  restartPolicy: Never
`,
	"templates/NOTES.txt": `{{ .Release.Name }} runs{{ range .Values.ingress.hosts }} at https://{{ .host }}{{ end }}.
`,
}

// addChart adds a chart made of files to a fixture.
func (f *fixture) addChart(tb testing.TB, name string, files map[string]string) {
	tb.Helper()
	c := &chart.Chart{Name: name, Version: "1.2.3", Digest: name, Display: "charts/" + name}
	add := func(name, text string) { c.Files = append(c.Files, chart.File{Name: name, Data: []byte(text)}) }
	add("Chart.yaml", fmt.Sprintf("apiVersion: v2\nname: %s\nversion: 1.2.3\nappVersion: \"2.0\"\n", name))
	for _, file := range slices.Sorted(maps.Keys(files)) {
		add(file, files[file])
	}
	f.charts = append(f.charts, c)
	f.helm = append(f.helm, helmChart(tb, c))
}

func helmChart(tb testing.TB, c *chart.Chart) *helmchart.Chart {
	tb.Helper()
	var buffered []*loader.BufferedFile
	for _, file := range c.Files {
		buffered = append(buffered, &loader.BufferedFile{Name: file.Name, Data: file.Data})
	}
	loaded, err := loader.LoadFiles(buffered)
	require.NoError(tb, err)
	return loaded
}

func (f *fixture) addReleases(n int) {
	for i := range n {
		k := i % len(f.charts)
		f.chartOf = append(f.chartOf, k)
		f.releases = append(f.releases, Request{
			Chart: f.charts[k],
			Release: runlevel.Release{Name: fmt.Sprintf("app-%d", i), Namespace: fmt.Sprintf("team-%d", i%10), Values: map[string]any{
				"replicaCount": int64(i%5 + 1),
				"image":        map[string]any{"tag": fmt.Sprintf("v%d", i)},
				"ingress": map[string]any{"hosts": []any{map[string]any{
					"host": fmt.Sprintf("app-%d.example.com", i), "paths": []any{map[string]any{"path": "/", "pathType": "Prefix"}},
				}}},
				"env":    map[string]any{"INDEX": fmt.Sprintf("n%d", i), "URL": "https://{{ .Release.Name }}.example.com"},
				"config": map[string]any{"logging": map[string]any{"level": []any{"debug", "info", "warn"}[i%3]}},
			}},
		})
	}
}

// ordinaryCharts are 20 charts of 5 to 14 templates, some with a subchart.
func ordinaryCharts(tb testing.TB) *fixture {
	f := &fixture{}
	optional := []string{
		"templates/hpa.yaml", "templates/ingress.yaml", "templates/networkpolicy.yaml", "templates/pdb.yaml", "templates/cronjobs.yaml",
		"templates/rules.yaml", "templates/rbac.yaml", "templates/tests/connection.yaml", "templates/NOTES.txt",
	}
	for i := range 20 {
		name := fmt.Sprintf("chart%d", i)
		files := map[string]string{}
		for _, file := range []string{"values.yaml", "templates/_helpers.tpl", "templates/deployment.yaml", "templates/service.yaml",
			"templates/configmap.yaml", "templates/serviceaccount.yaml"} {
			files[file] = ordinary[file]
		}
		for k := range i % (len(optional) + 1) {
			files[optional[k]] = ordinary[optional[k]]
		}
		if i%5 == 4 {
			for file, text := range ordinary {
				files["charts/db/"+file] = strings.ReplaceAll(text, `"app.`, `"db.`)
			}
			files["charts/db/Chart.yaml"] = "apiVersion: v2\nname: db\nversion: 0.1.0\nappVersion: \"14\"\n"
			files["values.yaml"] += "db: {ingress: {enabled: false}, replicaCount: 3}\nglobal: {domain: example.com}\n"
		}
		f.addChart(tb, name, files)
	}
	return f
}

func smallChart(tb testing.TB) *fixture {
	f := &fixture{}
	f.addChart(tb, "small", map[string]string{
		"values.yaml":            ordinary["values.yaml"],
		"templates/_helpers.tpl": ordinary["templates/_helpers.tpl"],
		"templates/service.yaml": ordinary["templates/service.yaml"],
	})
	f.addReleases(1)
	return f
}

// largeChart has 220 templates.
func largeChart(tb testing.TB) *fixture {
	f := &fixture{}
	files := map[string]string{}
	for file, text := range ordinary {
		files[file] = text
		if !strings.HasSuffix(file, ".yaml") || !strings.HasPrefix(file, "templates/") {
			continue
		}
		for i := range 20 {
			name := strings.Replace(file, "templates/", fmt.Sprintf("templates/part%d/", i), 1)
			for _, call := range []string{`include "app.fullname" .`, `include "app.fullname" $`, `include "app.serviceAccountName" .`} {
				text = strings.ReplaceAll(text, call, fmt.Sprintf(`printf "%%s-%d" (%s)`, i, call))
			}
			files[name] = text
			text = ordinary[file]
		}
	}
	f.addChart(tb, "large", files)
	f.addReleases(1)
	return f
}

func releasesOf(n int) func(testing.TB) *fixture {
	return func(tb testing.TB) *fixture {
		f := ordinaryCharts(tb)
		f.addReleases(n)
		return f
	}
}

// action renders release i as helm template does.
func (f *fixture) action(ctx context.Context, i int) (string, error) {
	req := f.releases[i]
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.ClientOnly, install.DryRun = true, true
	install.ReleaseName, install.Namespace = req.Release.Name, req.Release.Namespace
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	values, _ := yaml.ToChart(req.Release.Values).(map[string]any)
	rel, err := install.RunWithContext(ctx, clone(f.helm[f.chartOf[i]]), values)
	if err != nil {
		return "", err
	}
	return rel.Manifest, nil
}

// coalesced is what a chart's templates see for release i.
func (f *fixture) coalesced(i int, caps *chartutil.Capabilities) (*helmchart.Chart, chartutil.Values, error) {
	req := f.releases[i]
	c := clone(f.helm[f.chartOf[i]])
	given, _ := yaml.ToChart(req.Release.Values).(map[string]any)
	if err := chartutil.ProcessDependenciesWithMerge(c, given); err != nil {
		return nil, nil, err
	}
	values, err := chartutil.ToRenderValues(c, given, chartutil.ReleaseOptions{
		Name: req.Release.Name, Namespace: req.Release.Namespace, Revision: 1, IsInstall: true,
	}, caps)
	return c, values, err
}

func requested(req Request) Request {
	req.Release.Values, _ = yaml.ToChart(req.Release.Values).(map[string]any)
	return req
}

// BenchmarkRender compares a whole release with Helm's action (release/…), and the templates alone, with the values that
// they see, with Helm's engine (templates/…). Ratios are taken within one run.
func BenchmarkRender(b *testing.B) {
	log.SetOutput(io.Discard)
	caps := Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()}
	helmCaps, err := caps.helm()
	require.NoError(b, err)
	for _, bench := range []struct {
		name string
		make func(testing.TB) *fixture
	}{
		{"small", smallChart}, {"large", largeChart}, {"100of20", releasesOf(100)}, {"1000of20", releasesOf(1000)},
	} {
		f := bench.make(b)
		each := func(name string, work func(i int) error) {
			b.Run(bench.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for i := range f.releases {
						if err := work(i); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
		var r *Renderer
		whole := func(i int) error {
			_, ds, err := r.Render(b.Context(), requested(f.releases[i]), caps)
			if err == nil && ds.HasErrors() {
				return fmt.Errorf("%v", ds)
			}
			return err
		}
		b.Run(bench.name+"/release/otomi-cold", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r = New()
				for i := range f.releases {
					if err := whole(i); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		r = New()
		each("release/otomi", whole)
		each("release/action", func(i int) error {
			_, err := f.action(b.Context(), i)
			return err
		})
		kept := make([]programs, len(f.charts))
		each("templates/otomi", func(i int) error {
			c, values, err := f.coalesced(i, helmCaps)
			if err != nil {
				return err
			}
			_, err = renderTemplates(b.Context(), &kept[f.chartOf[i]], c, values, time.Now)
			return err
		})
		each("templates/helm", func(i int) error {
			c, values, err := f.coalesced(i, helmCaps)
			if err != nil {
				return err
			}
			_, err = helmengine.Render(c, values)
			return err
		})
		each("values/both", func(i int) error {
			_, _, err := f.coalesced(i, helmCaps)
			return err
		})
	}
}

// BenchmarkKept is the render stage alone, with its cache in a directory: without one, with one that is filled, with one that
// has every release, and with one that has all but one. Each round has a new renderer, as a process has. The time of the
// processor counts, that of the system included: with a file a release there is a lot of it.
func BenchmarkKept(b *testing.B) {
	caps := Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()}
	for _, n := range []int{100, 1000} {
		f := releasesOf(n)(b)
		requests := make([]Request, n)
		for i := range requests {
			requests[i] = requested(f.releases[i])
		}
		all := func(b *testing.B, r *Renderer) {
			for _, request := range requests {
				if _, ds, err := r.Render(b.Context(), request, caps); err != nil || ds.HasErrors() {
					b.Fatal(err, ds)
				}
			}
		}
		opened := func(b *testing.B, dir string) *cache.Cache {
			c, err := cache.Open(filepath.Join(dir, "render"), cache.Options{MaxBytes: 512 << 20})
			require.NoError(b, err)
			return c
		}
		measured := func(name string, before func(b *testing.B, i int) *Renderer) {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				var used time.Duration
				rounds := 0
				for b.Loop() {
					b.StopTimer()
					r := before(b, rounds)
					rounds++
					runtime.GC()
					from := processorTime(b)
					b.StartTimer()
					all(b, r)
					used += processorTime(b) - from
				}
				b.ReportMetric(float64(used.Microseconds())/1000/float64(rounds), "cpu-ms/op")
			})
		}
		full := b.TempDir()
		all(b, NewCached(opened(b, full), "1"))
		measured("no-cache", func(*testing.B, int) *Renderer { return New() })
		measured("cold", func(b *testing.B, _ int) *Renderer { return NewCached(opened(b, b.TempDir()), "1") })
		measured("warm", func(b *testing.B, _ int) *Renderer { return NewCached(opened(b, full), "1") })
		measured("one-value-changed", func(b *testing.B, i int) *Renderer {
			values := maps.Clone(requests[7].Release.Values)
			values["replicaCount"] = float64(i + 100)
			requests[7].Release.Values = values
			return NewCached(opened(b, full), "1")
		})
	}
}

// processorTime is what this process used of the processors.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestTheBenchmarkComparesTheSame keeps the figures honest.
func TestTheBenchmarkComparesTheSame(t *testing.T) {
	t.Parallel()
	for _, f := range []*fixture{smallChart(t), largeChart(t), releasesOf(40)(t)} {
		r := New()
		for i := range f.releases {
			want, err := f.action(t.Context(), i)
			require.NoError(t, err)
			got, ds, err := r.Render(t.Context(), requested(f.releases[i]), Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()})
			require.NoError(t, err)
			require.False(t, ds.HasErrors(), "%.1000v", ds)
			require.Equal(t, want, got.Text)
		}
	}
}

// Releases that are rendered side by side share what was parsed, and nothing else.
func TestReleasesInParallelAreThoseInARow(t *testing.T) {
	t.Parallel()
	f := releasesOf(80)(t)
	caps := Capabilities{KubeVersion: "1.34", APIVersions: BuiltIn()}
	r := New()
	var group errgroup.Group
	group.SetLimit(8)
	texts := make([]string, len(f.releases))
	for i := range f.releases {
		group.Go(func() error {
			out, _, err := r.Render(t.Context(), requested(f.releases[i]), caps)
			texts[i] = out.Text
			return err
		})
	}
	require.NoError(t, group.Wait())
	for i := range f.releases {
		out, _, err := New().Render(t.Context(), requested(f.releases[i]), caps)
		require.NoError(t, err)
		require.NotEmpty(t, out.Text)
		require.Equal(t, out.Text, texts[i])
	}
}

// What was parsed of charts that were not used for long is forgotten, and parsed again when they are.
func TestParsedTemplatesGrewWithTheCharts(t *testing.T) {
	t.Parallel()
	var l library
	charts := make([]*programs, 5)
	for i := range charts {
		charts[i] = &programs{bytes: maxParsed / 2, all: []*program{{}}}
		l.use(charts[i])
	}
	l.use(charts[3])
	for i, c := range charts {
		require.Equal(t, i >= 3, c.size() > 0, i)
	}
	require.Equal(t, []*programs{charts[4], charts[3]}, l.charts)
}
