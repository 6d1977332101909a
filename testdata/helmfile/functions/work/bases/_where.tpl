{{ define "where" }}helper of bases{{ end }}{{ define "arg" }}<{{ . }}>{{ end }}
