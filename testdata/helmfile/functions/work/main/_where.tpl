{{ define "where" }}helper of main{{ end }}{{ define "arg" }}<{{ . }}>{{ end }}
