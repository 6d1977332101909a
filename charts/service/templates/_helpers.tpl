{{- define "service.selector" -}}
app.kubernetes.io/name: {{ .Release.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* Labels of pods. A new version of the chart alone must not restart them, so it is not among these. */}}
{{- define "service.podLabels" -}}
{{ include "service.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | toString | splitList "@" | first | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/part-of: {{ .Release.Namespace | quote }}
{{- with .Values.team }}
platform.otomi.io/team: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "service.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{ include "service.podLabels" . }}
{{- end }}

{{- define "service.probe" -}}
{{- if .Values.health.path }}
httpGet:
  path: {{ .Values.health.path | quote }}
  port: http
{{- else }}
tcpSocket:
  port: http
{{- end }}
{{- end }}

{{- /* Amounts as text, because a server that is given a number answers with text. */}}
{{- define "service.amounts" -}}
{{- range $name, $amount := . }}
{{ $name }}: {{ $amount | quote }}
{{- end }}
{{- end }}
