{{- define "team.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/part-of: {{ .Release.Namespace | quote }}
platform.otomi.io/team: {{ .Values.name | quote }}
{{- end }}

{{- /* A peer of a network policy: every pod of a namespace. */}}
{{- define "team.namespacePeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ . | quote }}
{{- end }}

{{- /* Amounts as text, because a server that is given a number answers with text. */}}
{{- define "team.amounts" -}}
{{- range $name, $amount := . }}
{{ $name }}: {{ $amount | quote }}
{{- end }}
{{- end }}
