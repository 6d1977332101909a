package runlevel_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
)

// TestBudgetsInEachPlace tries what has no end where templates are carried out: state files, bases, values of environments and of
// releases, and releases themselves. Each ends with the diagnostic of the bound, in the file that is wrong.
func TestBudgetsInEachPlace(t *testing.T) {
	t.Parallel()
	const environments = "environments: {default: {values: [e.yaml.gotmpl]}}\n---\n"
	const release = "releases: [{name: a, chart: c}]\n"
	aliases := "x:\n  - &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		was, is := string(rune('0'+i)), string(rune('1'+i))
		aliases += "  - &a" + is + " [" + strings.TrimSuffix(strings.Repeat("*a"+was+", ", 10), ", ") + "]\n"
	}
	places := map[string]func(text string) (map[string]string, string){
		"state": func(text string) (map[string]string, string) {
			return map[string]string{"helmfile.yaml.gotmpl": release + text}, "helmfile.yaml.gotmpl"
		},
		"base": func(text string) (map[string]string, string) {
			return map[string]string{"helmfile.yaml": "bases: [b.yaml.gotmpl]\n---\n" + release, "b.yaml.gotmpl": "values:\n- y: 1\n" + text}, "b.yaml.gotmpl"
		},
		"environment": func(text string) (map[string]string, string) {
			return map[string]string{"helmfile.yaml": environments + release, "e.yaml.gotmpl": text}, "e.yaml.gotmpl"
		},
		"values": func(text string) (map[string]string, string) {
			return map[string]string{"helmfile.yaml": "releases: [{name: a, chart: c, values: [v.yaml.gotmpl]}]\n", "v.yaml.gotmpl": text}, "v.yaml.gotmpl"
		},
		"release": func(text string) (map[string]string, string) {
			text = "releases:\n- name: a\n  chart: c\n  valuesTemplate:\n  - x: |\n      " + strings.ReplaceAll(text, "\n", "\n      ") + "\n"
			return map[string]string{"helmfile.yaml": text}, "helmfile.yaml"
		},
	}
	for bound, c := range map[string]struct {
		text   string
		code   diag.Code
		detail string
		// not are places where the text means something else.
		not string
	}{
		"include":   {"{{ include \"loop\" . }}", diag.TemplateBudget, "200 deep", ""},
		"tpl":       {"{{ $t := \"{{ tpl .t . }}\" }}{{ tpl $t (dict \"t\" $t) }}", diag.TemplateBudget, "200 deep", ""},
		"template":  {"{{ template \"again\" . }}", diag.TemplateBudget, "200 deep", ""},
		"output":    {"{{ range until 100000 }}{{ repeat 1000 \"x\" }}{{ end }}", diag.TemplateBudget, "writes more than 16 MiB", ""},
		"functions": {"{{ $l := list }}{{ range until 100000 }}{{ $l = concat $l $l (list 1) }}{{ end }}", diag.TemplateBudget, "list larger", ""},
		"list":      {"{{ until 1000000000 | len }}", diag.TemplateBudget, "smaller number", ""},
		"repeat":    {"{{ repeat 1000000000 \"xx\" | len }}", diag.TemplateBudget, "smaller number", ""},
		"aliases":   {aliases + "# {{ 1 }}\n", diag.YAMLTooLarge, "", "release"},
		"fromYaml":  {"{{ fromYaml (readFile \"bomb.yaml\") | len }}", diag.TemplateBudget, "the aliases of the file expand to more", ""},
	} {
		for place, write := range places {
			if place == c.not {
				continue
			}
			t.Run(bound+"/"+place, func(t *testing.T) {
				t.Parallel()
				texts, wrong := write(c.text)
				files := fstest.MapFS{
					"_h.tpl":    {Data: []byte(`{{ define "loop" }}{{ include "loop" . }}{{ end }}{{ define "again" }}{{ template "again" . }}{{ end }}`)},
					"bomb.yaml": {Data: []byte(aliases)},
				}
				for name, text := range texts {
					files[name] = &fstest.MapFile{Data: []byte(text)}
				}
				host := source.Inside(files)
				name := "helmfile.yaml"
				if texts[name] == "" {
					name += ".gotmpl"
				}
				state, ds := runlevel.Discover(host, name, "")
				require.Empty(t, ds)
				_, ds = runlevel.Evaluate(t.Context(), runlevel.Input{Files: state, FS: host})
				require.NotEmpty(t, ds)
				require.Equal(t, c.code, ds[0].Code, "%v", ds)
				require.Contains(t, ds[0].Detail, c.detail)
				require.Less(t, len(ds[0].Detail), 400)
				file := strings.TrimSuffix(ds[0].Range.File, " (rendered)")
				if file != "_h.tpl" {
					require.Equal(t, wrong, file)
				}
			})
		}
	}
}
