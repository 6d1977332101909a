package transform

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/template"
)

// postRendered is the file that documents are said to come from which a post-renderer wrote without saying more.
const postRendered = "templates/post-rendered.yaml"

// PostRender gives the manifest of a release to its post-renderer and reads what that makes of it, as helm template and helm
// install --post-renderer do (Helm 3.22, pkg/postrender): a program with arguments that reads the manifest from standard input
// and writes the new one; hooks and the files of crds/ are not part of it, and what it wrote keeps its order. The program runs in
// Dir. A release without a post-renderer is returned as it is.
//
// programs is nil where the user allowed none, which is a diagnostic, as is a program that fails. The error is the end of ctx.
func PostRender(ctx context.Context, r *render.Renderer, req Request, programs template.Programs) (manifest.Release, diag.Diagnostics, error) {
	rel := req.Release
	if rel.PostRenderer == "" {
		return req.Rendered, nil, nil
	}
	problem := func(code diag.Code, format string, args ...any) diag.Diagnostics {
		return diag.Diagnostics{{Severity: diag.Error, Code: code, Range: rel.Range,
			Detail: fmt.Sprintf("release %s: ", rel.Key()) + fmt.Sprintf(format, args...)}}
	}
	if programs == nil {
		return manifest.Release{}, problem(diag.ProgramForbidden, "its post-renderer is a program (%s), which runs only where you allow it. "+
			"Allow it: --allow exec", rel.PostRenderer), nil
	}
	// helmfile drops empty arguments (pkg/state, appendPostRenderArgsFlags).
	args := slices.DeleteFunc(slices.Clone(rel.PostRendererArgs), func(arg string) bool { return arg == "" })
	out, err := programs.Run(ctx, template.Program{Command: rel.PostRenderer, Args: args, Dir: req.Dir, Stdin: req.Rendered.Text})
	switch {
	case ctx.Err() != nil:
		return manifest.Release{}, nil, fmt.Errorf("post-rendering release %s: %w", rel.Key(), context.Cause(ctx))
	case err != nil:
		return manifest.Release{}, problem(diag.ProgramFailed, "its post-renderer failed: %v. Correct the program or its arguments.", err), nil
	case strings.TrimSpace(string(out)) == "":
		return manifest.Release{}, problem(diag.ProgramFailed, "its post-renderer %s wrote nothing. It has to write the whole manifest.", rel.PostRenderer), nil
	}
	changed, ds := r.RereadText(req.Request, req.Rendered, string(out), path.Join(req.Chart.Name, postRendered))
	return changed, ds, nil
}
