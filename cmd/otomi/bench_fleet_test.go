package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkTemplateFleet is what many releases of a few charts cost, process by process: without a cache, with one that has
// them all, and with one in which a single value changed; beside it the helm CLI forked per release. CPU time and the peak of
// memory are those of the child processes, as the system counts them.
func BenchmarkTemplateFleet(b *testing.B) {
	otomi, helm := binaries(b)
	for _, n := range []int{100, 1000} {
		f := newReleases(n, 20)
		dir := f.write(b)
		args := []string{otomi, "template", "--cache-dir", filepath.Join(dir, ".cache")}
		b.Run(fmt.Sprintf("%d/no-cache", n), func(b *testing.B) {
			for u := (usage{}); b.Loop(); u.report(b) {
				u.run(b, dir, append(args, "--no-cache")...)
			}
		})
		b.Run(fmt.Sprintf("%d/cold", n), func(b *testing.B) {
			for u := (usage{}); b.Loop(); u.report(b) {
				b.StopTimer()
				require.NoError(b, os.RemoveAll(filepath.Join(dir, ".cache")))
				b.StartTimer()
				u.run(b, dir, args...)
			}
		})
		b.Run(fmt.Sprintf("%d/warm", n), func(b *testing.B) {
			(&usage{}).run(b, dir, args...)
			for u := (usage{}); b.Loop(); u.report(b) {
				u.run(b, dir, args...)
			}
		})
		b.Run(fmt.Sprintf("%d/one-value-changed", n), func(b *testing.B) {
			(&usage{}).run(b, dir, args...)
			i := 0
			for u := (usage{}); b.Loop(); u.report(b) {
				i++
				u.run(b, dir, append(args, "--state-values-set", fmt.Sprintf("apps.app0007.replicas=%d", i+10))...)
			}
		})
		if n > 100 {
			continue // minutes, and ten times the figure of a hundred
		}
		b.Run(fmt.Sprintf("%d/helm-per-release", n), func(b *testing.B) {
			for u := (usage{}); b.Loop(); u.report(b) {
				for i := range n {
					u.run(b, dir, helm, "template", f.name(i), filepath.Join(dir, "stack", "charts", f.chart(i)), "-n", f.namespace(i),
						"-f", f.valuesFile(b, dir, i))
				}
			}
		})
	}
}

// usage is what child processes took.
type usage struct {
	runs int
	cpu  time.Duration
	peak int64
}

func (u *usage) run(b *testing.B, dir string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	var talk strings.Builder
	cmd.Stderr = &talk
	require.NoError(b, cmd.Run(), talk.String())
	u.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if taken, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.peak = max(u.peak, taken.Maxrss)
	}
}

// report is called after each round; the figures of the last call stand.
func (u *usage) report(b *testing.B) {
	u.runs++
	b.ReportMetric(float64(u.cpu.Microseconds())/1000/float64(u.runs), "cpu-ms/op")
	b.ReportMetric(float64(u.peak)/1024, "peak-MiB")
}

// releases is a values repository with its stack: many releases of a few charts, in runlevels of a hundred.
type releases struct{ n, charts int }

func newReleases(n, charts int) releases { return releases{n, charts} }

func (f releases) name(i int) string      { return fmt.Sprintf("app%04d", i) }
func (f releases) namespace(i int) string { return fmt.Sprintf("team%02d", i%25) }
func (f releases) chart(i int) string     { return fmt.Sprintf("chart%02d", i%f.charts) }

func (f releases) values(i int) map[string]any {
	return map[string]any{
		"replicas": 1 + i%3, "host": f.name(i) + ".example.com", "tag": fmt.Sprintf("1.%d.0", i),
		"settings": map[string]any{"LOG_LEVEL": "info", "REGION": "eu-central-1", "DATABASE": "postgres://db-" + f.name(i)},
	}
}

// valuesFile writes the values of a release for the helm CLI.
func (f releases) valuesFile(tb testing.TB, dir string, i int) string {
	tb.Helper()
	body, err := json.Marshal(f.values(i))
	require.NoError(tb, err)
	name := filepath.Join(dir, f.name(i)+".json")
	require.NoError(tb, os.WriteFile(name, body, 0o600))
	return name
}

// write writes the repository and returns its directory.
func (f releases) write(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	put := func(name, text string) {
		name = filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(tb, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(tb, os.WriteFile(name, []byte(text), 0o600))
	}
	put("otomi.yaml", "version: 1\nstack: stack\n")
	put("stack/schema/values.schema.yaml", "type: object\n")
	var apps strings.Builder
	apps.WriteString("apps:\n")
	for i := range f.n {
		body, err := json.Marshal(f.values(i))
		require.NoError(tb, err)
		fmt.Fprintf(&apps, "  %s: %s\n", f.name(i), body)
	}
	put("env/apps.yaml", apps.String())
	for level := 0; level*100 < f.n; level++ {
		var text strings.Builder
		text.WriteString("releases:\n")
		for i := level * 100; i < min(f.n, level*100+100); i++ {
			fmt.Fprintf(&text, "  - name: %s\n    namespace: %s\n    chart: ../charts/%s\n    values: [{{ .Values.apps.%s | toJson }}]\n",
				f.name(i), f.namespace(i), f.chart(i), f.name(i))
		}
		put(fmt.Sprintf("stack/runlevels/%02d-apps.yaml.gotmpl", 10+level), text.String())
	}
	for c := range f.charts {
		put("stack/charts/"+f.chart(c)+"/Chart.yaml", "apiVersion: v2\nname: "+f.chart(c)+"\nversion: 1.0.0\nappVersion: 1.0.0\n")
		for name, text := range ordinaryChart {
			put("stack/charts/"+f.chart(c)+"/"+name, text)
		}
	}
	return dir
}

// ordinaryChart is what `helm create` makes, by and large: what most charts are like.
var ordinaryChart = map[string]string{
	"values.yaml": `replicas: 1
host: ""
tag: ""
settings: {}
image: {repository: example.com/app, pullPolicy: IfNotPresent}
serviceAccount: {create: true, annotations: {}}
podAnnotations: {prometheus.io/scrape: "true", prometheus.io/port: "9090"}
podSecurityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
securityContext: {capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}
service: {type: ClusterIP, port: 80}
resources: {limits: {cpu: 500m, memory: 512Mi}, requests: {cpu: 100m, memory: 128Mi}}
autoscaling: {enabled: true, minReplicas: 1, maxReplicas: 10, targetCPUUtilizationPercentage: 80}
livenessProbe: {httpGet: {path: /healthz, port: http}, initialDelaySeconds: 10}
readinessProbe: {httpGet: {path: /ready, port: http}, initialDelaySeconds: 5}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Equal, value: apps, effect: NoSchedule}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 100, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}}]}}
`,
	"templates/_helpers.tpl": `{{- define "app.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "app.fullname" -}}
{{- printf "%s-%s" .Release.Name (include "app.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- define "app.selector" -}}
app.kubernetes.io/name: {{ include "app.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "app.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "app.selector" . }}
app.kubernetes.io/version: {{ .Values.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
`,
	"templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "app.selector" . | nindent 6 }}
  template:
    metadata:
      annotations:
        checksum/config: {{ .Values.settings | toJson | sha256sum }}
        {{- toYaml .Values.podAnnotations | nindent 8 }}
      labels:
        {{- include "app.labels" . | nindent 8 }}
    spec:
      serviceAccountName: {{ include "app.fullname" . }}
      securityContext:
        {{- toYaml .Values.podSecurityContext | nindent 8 }}
      containers:
        - name: {{ .Chart.Name }}
          securityContext:
            {{- toYaml .Values.securityContext | nindent 12 }}
          image: "{{ .Values.image.repository }}:{{ .Values.tag | default .Chart.AppVersion }}"
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          ports:
            - {name: http, containerPort: 8080, protocol: TCP}
          envFrom:
            - configMapRef:
                name: {{ include "app.fullname" . }}
          livenessProbe:
            {{- toYaml .Values.livenessProbe | nindent 12 }}
          readinessProbe:
            {{- toYaml .Values.readinessProbe | nindent 12 }}
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
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
    - {port: {{ .Values.service.port }}, targetPort: http, protocol: TCP, name: http}
  selector:
    {{- include "app.selector" . | nindent 4 }}
`,
	"templates/configmap.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
data:
  {{- range $k, $v := .Values.settings }}
  {{ $k }}: {{ tpl (toString $v) $ | quote }}
  {{- end }}
`,
	"templates/serviceaccount.yaml": `{{- if .Values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
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
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "app.fullname" . }}}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ .Values.autoscaling.targetCPUUtilizationPercentage }}}}
{{- end }}
`,
	"templates/ingress.yaml": `{{- if .Values.host }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "app.fullname" . }}
  labels:
    {{- include "app.labels" . | nindent 4 }}
spec:
  rules:
    - host: {{ .Values.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: {{ include "app.fullname" . }}, port: {name: http}}}
{{- end }}
`,
	"templates/NOTES.txt": "{{ .Release.Name }} answers at https://{{ .Values.host }}\n",
}
