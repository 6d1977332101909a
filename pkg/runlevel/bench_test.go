package runlevel_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
)

// platform is a state of n releases over files of 20, with a base, environments, release templates, labels, needs, templated values files and
// readFile.
func platform(n int) runlevel.Input {
	files := fstest.MapFS{
		"base.yaml.gotmpl": {Data: []byte("environments:\n  default:\n    values: [env.yaml, env2.yaml.gotmpl]\n  prod:\n    values: [env.yaml]\n")},
		"env2.yaml.gotmpl": {Data: []byte("name: {{ .Environment.Name }}\nfrom: {{ readFile \"text\" | trim }}\n")},
		"text":             {Data: []byte("file\n")},
		"v.yaml.gotmpl":    {Data: []byte("name: {{ .Release.Name }}\ndomain: {{ .Values.domain }}\nreplicas: {{ .Values | get \"apps.a1.replicas\" 1 }}\n")},
		"v.yaml":           {Data: []byte("image: {tag: v1}\nlist: [1, 2, 3]\n")},
	}
	var env strings.Builder
	env.WriteString("domain: example.com\napps:\n")
	for i := range 50 {
		fmt.Fprintf(&env, "  a%d: {enabled: true, replicas: %d, image: {repo: r, tag: t}}\n", i, i)
	}
	files["env.yaml"] = &fstest.MapFile{Data: []byte(env.String())}
	var state []runlevel.File
	for f := 0; f*20 < n; f++ {
		var b strings.Builder
		b.WriteString("bases: [base.yaml.gotmpl]\n---\ntemplates:\n  all:\n    namespace: \"team-{{ `{{ .Release.Name }}` }}\"\n    chart: ../charts/{{ `{{ .Release.Labels.app }}` }}\n    values: [v.yaml, v.yaml.gotmpl]\nreleases:\n")
		for i := f * 20; i < min(n, f*20+20); i++ {
			fmt.Fprintf(&b, "- name: r%d\n  labels: {app: web}\n  inherit: [{template: all}]\n  condition: apps.a%d.enabled\n  values:\n  - a: {{ .Values.domain }}\n    b: {{ index .Values.apps \"a%d\" | toJson }}\n  set: [{name: x.y, value: z}]\n", i, i%50, i%50)
			if i > f*20 {
				fmt.Fprintf(&b, "  needs: [team-r%d/r%d]\n", i-1, i-1)
			}
		}
		name := fmt.Sprintf("%03d.yaml.gotmpl", f)
		state = append(state, runlevel.File{Name: name, Display: name, Path: name, Text: []byte(b.String())})
	}
	return runlevel.Input{Files: state, FS: source.Inside(files)}
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			in := platform(n)
			for b.Loop() {
				ev, ds := runlevel.Evaluate(b.Context(), in)
				require.Empty(b, ds)
				require.Len(b, ev.Levels, (n+19)/20)
			}
		})
	}
}
