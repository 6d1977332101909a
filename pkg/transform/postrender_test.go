package transform_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/transform"
)

// program is a program that the user wrote.
type program func(p template.Program) (string, error)

func (f program) Run(ctx context.Context, p template.Program) ([]byte, error) {
	out, err := f(p)
	return []byte(out), err
}

func postRendered(t *testing.T) (*render.Renderer, transform.Request) {
	t.Helper()
	a := parse(t, "testdata/apply/json-patch.txtar")
	r := render.New()
	req := rendered(t, r, loaded(t, a.files, "chart"), runlevel.Release{
		Name: "web", Namespace: "apps", PostRenderer: "./add", PostRendererArgs: []string{"cm1", ""},
		Range: diag.Range{File: "helmfile.yaml", Start: diag.Pos{Line: 2, Column: 3}},
	}, transform.Request{Dir: "state"})
	return r, req
}

func TestPostRendererReadsAndWritesTheManifest(t *testing.T) {
	t.Parallel()
	r, req := postRendered(t)
	out, ds, err := transform.PostRender(context.Background(), r, req, program(func(p template.Program) (string, error) {
		require.Equal(t, template.Program{Command: "./add", Args: []string{"cm1"}, Dir: "state", Stdin: req.Rendered.Text}, p)
		return p.Stdin + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm1}\n", nil
	}))
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, req.Rendered.Text+"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cm1}\n", out.Text, "in its order, as Helm leaves it")
	require.Len(t, out.Objects, 3)
	require.Equal(t, "full/templates/svc.yaml", out.Objects[0].Source)
	require.NotContains(t, out.Objects[0].Text, "# Source", "that is Object.Source")
	require.Equal(t, "full/templates/post-rendered.yaml", out.Objects[2].Source)
	require.Equal(t, req.Rendered.Hooks, out.Hooks, "hooks are not post-rendered")
	require.Equal(t, req.Rendered.CRDs, out.CRDs)
}

func TestPostRendererThatFails(t *testing.T) {
	t.Parallel()
	r, req := postRendered(t)
	for name, c := range map[string]struct {
		program template.Programs
		code    diag.Code
		detail  string
	}{
		"not allowed": {nil, diag.ProgramForbidden, "Allow it: --allow exec"},
		"fails":       {program(func(template.Program) (string, error) { return "", errors.New("running ./add: exit status 3") }), diag.ProgramFailed, "exit status 3"},
		"empty":       {program(func(template.Program) (string, error) { return " \n", nil }), diag.ProgramFailed, "wrote nothing"},
		"no object":   {program(func(template.Program) (string, error) { return "a: b\n", nil }), diag.RenderNotObject, "no Kubernetes object"},
	} {
		_, ds, err := transform.PostRender(context.Background(), r, req, c.program)
		require.NoError(t, err, name)
		require.Len(t, ds, 1, name)
		require.Equal(t, c.code, ds[0].Code, name)
		require.Contains(t, ds[0].Detail, c.detail, name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := transform.PostRender(ctx, r, req, program(func(template.Program) (string, error) { return "", ctx.Err() }))
	require.ErrorIs(t, err, context.Canceled)
}

func TestAReleaseWithoutPostRendererStaysAsItIs(t *testing.T) {
	t.Parallel()
	r, req := postRendered(t)
	req.Release.PostRenderer = ""
	out, ds, err := transform.PostRender(context.Background(), r, req, nil)
	require.NoError(t, err)
	require.Empty(t, ds)
	require.Equal(t, req.Rendered, out)
}
