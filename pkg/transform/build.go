package transform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// BuildOptions say how a kustomization is built. The zero value builds it as it stands.
type BuildOptions struct {
	// Display is how the root of the files is shown: a file is shown as DISPLAY/FILE, unless Shown says how.
	Display string
	Shown   func(name string) string
	// Values are those of the release. Of them a kustomization takes images, namePrefix, nameSuffix, namespace and sortOptions
	// (chartify 0.28, KustomizeOpts).
	Values map[string]any
	// Namespace is put on all objects that have a namespace, before that of Values; empty leaves them.
	Namespace string
	// Range is the place that names the kustomization.
	Range diag.Range
}

// IsKustomization reports whether a directory of files holds a kustomization.
func IsKustomization(files fs.FS, dir string) bool {
	return slices.ContainsFunc(kustomizationNames, func(name string) bool {
		info, err := fs.Stat(files, path.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
}

// Build builds the kustomization in the directory dir of files, as helmfile 1.7 does for a release whose chart it is (chartify
// 0.28, KustomizeBuild, with kustomize 5): an overlay of it with what the values say, objects in kustomize's legacy order. It
// returns its documents.
//
// Bases and files may stand anywhere in files, and nowhere else: nothing is fetched, no program is run, and plugins are
// kustomize's own. What is wrong is a diagnostic, its text in the sources. The error is a file that can't be read, or the
// end of ctx.
func Build(ctx context.Context, files fs.FS, dir string, o BuildOptions) (documents []byte, ds diag.Diagnostics, sources diag.Sources, err error) {
	b := &build{tree: newTree(ctx, files), o: o, sources: diag.Sources{}}
	b.check = b.vet
	overlay, ds := b.overlay(dir)
	if ds.HasErrors() {
		return nil, ds, b.sources, nil
	}
	text, err := yaml.Marshal(overlay)
	if err != nil {
		return nil, ds, b.sources, fmt.Errorf("writing the overlay: %w", err)
	}
	if err := b.WriteFile(overlayRoot+"/kustomization.yaml", text); err != nil {
		return nil, ds, b.sources, fmt.Errorf("writing the overlay: %w", err)
	}
	objects, err := kustomize(b, overlayRoot)
	if err := ctx.Err(); err != nil {
		return nil, ds, b.sources, fmt.Errorf("building the kustomization %s: %w", b.shown(dir), err)
	}
	if b.failed != nil {
		err = b.failed
	}
	var problem finding
	var refused refusal
	if detail, forbidden := template.Forbidden(err); forbidden {
		d := b.diagnostic(o.Range, fmt.Sprintf("building the kustomization %s: %s", b.shown(dir), strings.TrimSuffix(detail, ".")))
		d.Code = diag.TemplateForbidden
		return nil, append(ds, d), b.sources, nil
	}
	switch {
	case errors.As(err, &problem):
		return nil, append(ds, problem.d), b.sources, nil
	case errors.As(err, &refused):
		return nil, append(ds, b.diagnostic(diag.Range{File: b.shown(refused.file)}, refused.detail)), b.sources, nil
	case b.failed != nil:
		return nil, ds, b.sources, fmt.Errorf("building the kustomization %s: %w", b.shown(dir), err)
	case err != nil:
		return nil, append(ds, b.diagnostic(o.Range, fmt.Sprintf("kustomize can't build %s: %s", b.shown(dir), b.reason(err)))), b.sources, nil
	}
	documents, err = objects.AsYaml()
	if err != nil {
		return nil, ds, b.sources, fmt.Errorf("writing the objects of the kustomization %s: %w", b.shown(dir), err)
	}
	return documents, ds, b.sources, nil
}

// build is the building of one kustomization.
type build struct {
	*tree
	o       BuildOptions
	sources diag.Sources
	nodes   int
	growth  int
}

// finding is a diagnostic on its way through kustomize.
type finding struct{ d diag.Diagnostic }

func (f finding) Error() string { return f.d.Detail }

func (b *build) shown(name string) string { return b.o.shown(name) }

func (o BuildOptions) shown(name string) string {
	if o.Shown != nil {
		return o.Shown(name)
	}
	return path.Join(o.Display, name)
}

func (b *build) source(name string, text []byte) { b.sources[b.shown(name)] = text }

func (b *build) diagnostic(at diag.Range, detail string) diag.Diagnostic {
	d := diag.Diagnostic{Severity: diag.Error, Code: diag.ChartInvalid, Detail: detail + ".", Range: at}
	if at != b.o.Range && !b.o.Range.IsZero() {
		d.Notes = []diag.Note{{Message: "the kustomization is named here", Range: b.o.Range}}
	}
	return d
}

func (b *build) refuse(name string, at diag.Range, format string, args ...any) error {
	if at.IsZero() {
		at = diag.Range{File: b.shown(name)}
	}
	d := b.diagnostic(at, fmt.Sprintf(format, args...))
	d.Detail = strings.ReplaceAll(d.Detail, "?.", "?")
	return finding{d}
}

// understood are the values that a kustomization takes.
var understood = []string{"images", "namePrefix", "nameSuffix", "namespace", "sortOptions"}

// overlay is the kustomization of the one in dir with what the values say.
func (b *build) overlay(dir string) (map[string]any, diag.Diagnostics) {
	var ds diag.Diagnostics
	out := map[string]any{"resources": []any{path.Join("../tree", dir)}}
	wrong := func(key, what string) {
		ds = append(ds, b.diagnostic(b.o.Range, fmt.Sprintf("the chart is a kustomization, and the release's value %s is no %s. Correct it", key, what)))
	}
	for _, key := range slices.Sorted(maps.Keys(b.o.Values)) {
		v := b.o.Values[key]
		if v == nil {
			continue
		}
		switch key {
		case "namePrefix", "nameSuffix", "namespace":
			text, ok := v.(string)
			if !ok {
				wrong(key, "string")
			} else if text != "" {
				out[key] = text
			}
		case "sortOptions":
			options, ok := v.(map[string]any)
			if order := options["order"]; !ok || len(options) != 1 || order != "legacy" && order != "fifo" {
				wrong(key, "{order: legacy} or {order: fifo}")
			} else {
				out[key] = options
			}
		case "images":
			images, ok := image(v)
			if !ok {
				wrong(key, "list of maps with name, newName, newTag and digest")
			} else if len(images) > 0 {
				out[key] = images
			}
		default:
			d := b.diagnostic(b.o.Range, fmt.Sprintf("the chart is a kustomization, and its release's value %s has no effect: it takes %s. Drop the value",
				key, strings.Join(understood, ", ")))
			d.Severity = diag.Warning
			ds = append(ds, d)
		}
	}
	if b.o.Namespace != "" {
		out["namespace"] = b.o.Namespace
	}
	return out, ds
}

// image reads the images of the values. As with kustomize edit set image, the last of one name wins, and they are sorted.
func image(v any) ([]any, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	byName := map[string]any{}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		name, _ := m["name"].(string)
		if name == "" {
			return nil, false
		}
		out := map[string]any{}
		for key, v := range m {
			text, ok := v.(string)
			if !ok || !slices.Contains([]string{"name", "newName", "newTag", "digest"}, key) {
				return nil, false
			}
			if text != "" {
				out[key] = text
			}
		}
		byName[name] = out
	}
	var out []any
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out, true
}

// alone keeps kustomize to one at a time: the schema that it looks kinds up in is one for the process, and is not guarded.
var alone sync.Mutex

// kustomize runs kustomize as its CLI does by default, but with no plugin of others and no program.
func kustomize(files filesys.FileSystem, dir string) (m resmap.ResMap, err error) {
	alone.Lock()
	defer alone.Unlock()
	// What it reads is half trusted, and it is a library of many corners.
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("kustomize failed: %v", r)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsNone, // the file system knows no other file
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(files, dir)
}

// maxReason bounds what is shown of an error of kustomize, which may quote what it read.
const maxReason = 300

// reason is what kustomize says of a failure, on one line: the innermost of what it wraps.
func reason(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	// Each directory is first tried as a file, and each step is told with what was tried.
	for _, before := range []string{"recursed accumulation of path '", "couldn't make target for path '"} {
		if i := strings.LastIndex(text, before); i >= 0 {
			if _, inner, ok := strings.Cut(text[i+len(before):], "': "); ok {
				text = inner
			}
		}
	}
	if i := strings.LastIndex(text, fs.ErrNotExist.Error()+"': "); i >= 0 {
		text = text[i+len(fs.ErrNotExist.Error()+"': "):]
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "…"
	}
	return strings.TrimSuffix(text, ".")
}

// inTree finds the paths of kustomize's file system in what it says.
var inTree = regexp.MustCompile(`(?:` + treeRoot + `|` + overlayRoot + `)(/[^\s'",:]*)?`)

// reason is reason with paths as they are shown.
func (b *build) reason(err error) string {
	return inTree.ReplaceAllStringFunc(reason(err), func(found string) string {
		if in, ok := inside(found); ok {
			return b.shown(in)
		}
		return "the overlay"
	})
}
