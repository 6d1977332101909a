{{ define "where" }}helper of values{{ end }}{{ define "arg" }}<{{ . }}>{{ end }}
