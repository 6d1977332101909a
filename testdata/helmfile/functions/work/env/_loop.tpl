{{ define "loop" }}{{ include "loop" . }}{{ end }}{{ define "even" }}{{ if gt (int .) 0 }}{{ include "even" (sub (int .) 1) }}{{ end }}x{{ end }}
