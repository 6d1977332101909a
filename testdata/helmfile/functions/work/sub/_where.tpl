{{ define "where" }}helper of sub{{ end }}{{ define "arg" }}<{{ . }}>{{ end }}
