{{ define "where" }}helper of env{{ end }}{{ define "arg" }}<{{ . }}>{{ end }}
