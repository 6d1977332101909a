package template_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
)

// tree is a file system of a test as templates see one.
type tree struct{ fstest.MapFS }

func (t tree) ReadFile(name string) ([]byte, error) {
	if strings.HasPrefix(name, "..") {
		return nil, template.Forbid("the file leads out. Allow it: --allow files")
	}
	return t.MapFS.ReadFile(name)
}

// shell answers with what it was asked.
type shell struct{}

func (shell) Run(_ context.Context, p template.Program) ([]byte, error) {
	if p.Command == "false" {
		return nil, errors.New("running false: exit status 1")
	}
	return []byte(p.Dir + "|" + p.Command + " " + strings.Join(p.Args, " ") + "|" + p.Env["X"] + "|" + p.Stdin), nil
}

func world(file string) template.Options {
	return template.Options{
		File: file, Dir: "d", Programs: shell{},
		Files: tree{fstest.MapFS{
			"d/a.txt": {Data: []byte("A\n")}, "d/b.txt": {Data: []byte("B")}, "d/sub/c.txt": {}, "d/v.yaml": {Data: []byte("a: {b: 7}\n")},
		}},
		Helpers: []template.Helper{{File: "d/_h.tpl", Text: []byte("{{ define \"my\" }}A={{ .a }}{{ end }}\n{{ define \"bad\" }}\n {{ .nope }}{{ end }}")}},
		Allow:   template.Permissions{Exec: true, Env: map[string]string{"FOO": "bar", "EMPTY": ""}},
	}
}

func TestTheWorldOfATemplate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{{ readFile "a.txt" | trim }}`:                                     "A",
		`{{ readDir "." }}`:                                                 "[a.txt b.txt v.yaml]",
		`{{ readDir "../d" }}`:                                              "[../d/a.txt ../d/b.txt ../d/v.yaml]",
		`{{ range readDirEntries "." }}{{ .Name }} {{ end }}`:               "a.txt b.txt sub v.yaml ",
		`{{ isFile "a.txt" }}{{ isFile "x" }}{{ isFile "sub" }}`:            "truefalsefalse",
		`{{ isDir "a.txt" }}{{ isDir "x" }}{{ isDir "sub" }}`:               "falsefalsetrue",
		`{{ include "my" (dict "a" 1) }}`:                                   "A=1",
		`{{ tpl "{{ include \"my\" . }}" (dict "a" 2) }}`:                   "A=2",
		`{{ exec "echo" (list "a" "b") }}`:                                  "d|echo a b||",
		`{{ "in" | exec "cat" (list) }}`:                                    "d|cat ||in",
		`{{ envExec (dict "X" "y") "env" (list) }}`:                         "d|env |y|",
		`{{ env "FOO" }}{{ expandenv "a-$FOO-${FOO}$" }}`:                   "bara-bar-bar$",
		`{{ fetchSecretValue "ref+echo://foo/bar" }}`:                       "foo/bar",
		`{{ fetchSecretValue "ref+echo://a/b/c#/a/b" }}`:                    "c",
		`{{ fetchSecretValue "x ref+file://v.yaml#/a/b+ y" }}`:              "x 7 y",
		`{{ (expandSecretRefs (dict "a" (list "ref+file://b.txt" 1))).a }}`: "[B 1]",
		`{{ toYaml (dict "a" (list (dict "b" 1)) "s" "on") }}`:              "a:\n  - b: 1\ns: \"on\"\n",
	} {
		got, ds := template.Execute(t.Context(), []byte(text), nil, world("d/x.gotmpl"))
		require.Empty(t, ds, text)
		require.Equal(t, want, got, text)
	}
}

func TestTheWorldOfATemplateRefuses(t *testing.T) {
	t.Parallel()
	o := world("d/x.gotmpl")
	off := o
	off.Allow.Off = "HELMFILE_DISABLE_INSECURE_FEATURES"
	for _, tt := range []struct {
		text string
		o    template.Options
		code diag.Code
		at   string
		want string
	}{
		{`a{{ readFile "nope" }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:5", "readFile: nope: file does not exist"},
		{`{{ readFile "../../x" }}`, o, diag.TemplateForbidden, "d/x.gotmpl:1:4", "--allow files"},
		{`{{ readFile "a.txt" }}`, off, diag.TemplateForbidden, "d/x.gotmpl:1:4", "HELMFILE_DISABLE_INSECURE_FEATURES turned that off"},
		{`{{ exec "ls" list }}`, off, diag.TemplateForbidden, "d/x.gotmpl:1:4", "turned that off"},
		{`{{ exec "ls" list }}`, template.Options{File: "f"}, diag.TemplateForbidden, "f:1:4", "Allow it: --allow exec"},
		{`{{ exec "echo" (list 1) }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:4", "the argument 0 of echo is of the type int"},
		{`{{ envExec (dict "X" 1) "echo" list }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:4", "the variable X of echo is of the type int"},
		{`{{ exec "false" list }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:4", "exit status 1"},
		{`{{ env "HOME" }}`, o, diag.TemplateForbidden, "d/x.gotmpl:1:4", "Allow it: --allow env=HOME"},
		{`{{ requiredEnv "EMPTY" }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:4", "EMPTY of the environment is required"},
		{`{{ include "bad" (dict) }}`, o, diag.TemplateUndefined, "d/_h.tpl:3:5", `"nope"`},
		{`{{ fetchSecretValue "ref+awsssm://xy" }}`, o, diag.TemplateForbidden, "d/x.gotmpl:1:4", "ref+awsssm://"},
		{`{{ "1: a" | fromYaml }}`, o, diag.TemplateExecution, "d/x.gotmpl:1:13", "key is not a string"},
	} {
		_, ds := template.Execute(t.Context(), []byte(tt.text), nil, tt.o)
		require.Len(t, ds, 1, tt.text)
		require.Equal(t, tt.code, ds[0].Code, ds[0].Detail)
		require.Equal(t, tt.at, ds[0].Range.String(), tt.text)
		require.Contains(t, ds[0].Detail, tt.want)
	}
	bad := world("d/x.gotmpl")
	bad.Helpers[0].Text = []byte("\n{{ define }}")
	_, ds := template.Execute(t.Context(), nil, nil, bad)
	require.Equal(t, "d/_h.tpl:2:11", ds[0].Range.String())
	_, _, err := template.Permissions{AnyEnv: true}.Lookup("env", "X")
	require.NoError(t, err)
	_, ok := template.Forbidden(fs.ErrNotExist)
	require.False(t, ok)
}
