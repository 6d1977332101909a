package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/transform"
)

// changes carry out what releases ask of their charts and manifests.
type changes struct {
	platform *Platform
	// in is what the releases were evaluated from.
	in runlevel.Input
	// state is the file that they are of, and host its files; nil for a stack.
	state *runlevel.State
	host  *source.Host
	// values are those of the cluster, for a stack.
	values Values
	// namespaces are those that objects get which name none, by release: of releases whose chart is a directory of manifests.
	namespaces map[string]string
}

// apply changes a rendered release.
func (c changes) apply(ctx context.Context, req render.Request, rendered manifest.Release) (manifest.Release, diag.Diagnostics, error) {
	t := transform.Request{
		Request: req, Rendered: rendered, Namespace: c.namespaces[req.Release.Key()], Files: c.in.FS, Dir: req.Release.Base,
	}
	out, ds, err := transform.Apply(ctx, c.platform.renderer, t)
	if err != nil || ds.HasErrors() {
		return out, ds, err
	}
	t.Rendered = out
	var programs template.Programs
	if c.in.Allow.Exec {
		programs = c.in.Programs
	}
	out, more, err := transform.PostRender(ctx, c.platform.renderer, t, programs)
	return out, append(ds, more...), err
}

// chart loads the chart of a release: the chart that it names, or one that is made of a directory that is none, with the
// dependencies that the release adds. load loads a chart that is one.
func (c changes) chart(ctx context.Context, r runlevel.Release, load func(context.Context, runlevel.Release) (*chart.Chart, diag.Diagnostics, error)) (*chart.Chart, diag.Diagnostics, error) {
	if r.EnableDNS {
		return nil, diag.Diagnostics{{Severity: diag.Error, Code: diag.RunlevelUnsupported, Range: r.KeyRange("enableDNS"), Detail: fmt.Sprintf(
			"release %s has enableDNS, and otomi looks nothing up while a chart renders. Give the chart the address as a value.", r.Name)}}, nil
	}
	main, ds, err := c.one(ctx, r, load)
	if err != nil || ds.HasErrors() {
		return nil, ds, err
	}
	if ds = append(ds, chart.Installable(main)...); ds.HasErrors() {
		return nil, ds, nil
	}
	var additions []chart.Addition
	for _, d := range r.Dependencies {
		loaded, more, err := load(ctx, dependency(r, d))
		ds = append(ds, more...)
		if err != nil {
			return nil, ds, err
		}
		if loaded != nil && !more.HasErrors() {
			additions = append(additions, chart.Addition{Chart: loaded, Version: d.Version, Alias: d.Alias, Range: d.Range})
		}
	}
	if ds.HasErrors() {
		return nil, ds, nil
	}
	out, more := chart.With(main, additions)
	return out, append(ds, more...), nil
}

// dependency is a chart that a release adds as one of a release of its own: it is seen from the state file, as the release's is.
func dependency(r runlevel.Release, d runlevel.Dependency) runlevel.Release {
	return runlevel.Release{
		Name: r.Name, Namespace: r.Namespace, Chart: d.Chart, Version: d.Version, ChartRange: d.Range, Base: r.Base, Repository: d.Repository,
	}
}

func (c changes) one(ctx context.Context, r runlevel.Release, load func(context.Context, runlevel.Release) (*chart.Chart, diag.Diagnostics, error)) (*chart.Chart, diag.Diagnostics, error) {
	if isRemote(r) {
		return load(ctx, r)
	}
	files, dir, shown := c.directory(r)
	info, err := fs.Stat(files, dir)
	if err != nil || !info.IsDir() || transform.HasChart(files, dir) {
		return load(ctx, r)
	}
	made, ds, err := transform.Chart(ctx, files, dir, transform.DirectoryOptions{
		BuildOptions: transform.BuildOptions{Shown: shown, Values: r.Values, Namespace: r.WrittenNamespace, Range: r.ChartRange},
		Version:      r.Version,
		CarryOut: func(name string, text []byte) (string, diag.Diagnostics) {
			c.platform.addSources(diag.Sources{shown(name): text})
			return template.Execute(ctx, text, c.data(r), template.Options{
				File: shown(name), Dir: template.Join(r.Base, r.Chart), Files: c.in.FS, Programs: c.in.Programs, Allow: c.in.Allow,
			})
		},
	})
	c.platform.addSources(made.Sources)
	if made.Namespace != "" {
		c.namespaces[r.Key()] = made.Namespace
	}
	return made.Chart, ds, err
}

// directory is the directory that the chart of a release may be, in a tree of files, and how its files are shown.
func (c changes) directory(r runlevel.Release) (files fs.FS, dir string, shown func(string) string) {
	if m, inside, ok := c.platform.fetch.mounted(template.Join(r.Base, r.Chart)); ok {
		return m.tree.FS, inside, m.tree.Display
	}
	if c.host == nil {
		return c.platform.stack.FS, path.Join(r.Base, r.Chart), c.platform.stack.Display
	}
	at := filepath.ToSlash(c.host.Abs(template.Join(r.Base, r.Chart)))
	return hostFS{c.in.FS}, strings.TrimPrefix(at, "/"), func(name string) string {
		rel, err := filepath.Rel(c.platform.dir, filepath.FromSlash("/"+name))
		if err != nil {
			return "/" + name
		}
		return filepath.ToSlash(rel)
	}
}

// data is what the templates among manifests see (helmfile 1.7, pkg/state, newReleaseTemplateData).
func (c changes) data(r runlevel.Release) map[string]any {
	labels := map[string]any{}
	for k, v := range r.Labels {
		labels[k] = v
	}
	environment := runlevel.Environment{Name: "default"}
	var values map[string]any
	if c.state != nil {
		environment, values = c.state.Environment, c.state.Values
	} else if c.values.Root != nil {
		values = c.values.Root.PlainMap()
		environment.Values = values
	}
	return map[string]any{
		"Environment": environment.Data(),
		"Values":      values, "StateValues": values, "Namespace": c.in.Namespace, "KubeContext": c.in.KubeContext, "Chart": c.in.Chart,
		"Release": map[string]any{
			"Name": r.Name, "Namespace": r.WrittenNamespace, "Chart": r.Chart, "ChartVersion": r.Version, "KubeContext": r.KubeContext, "Labels": labels,
		},
	}
}

// hostFS are the files of a state file as one tree from the root of the machine: what may not be read there, is not here.
type hostFS struct{ files template.Files }

func (h hostFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	return h.files.Stat(path.Join("/", name))
}

func (h hostFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	return h.files.ReadDir(path.Join("/", name))
}

func (h hostFS) Open(name string) (fs.File, error) {
	info, err := h.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a directory")}
	}
	text, err := h.files.ReadFile(path.Join("/", name))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return &hostFile{info: info, Reader: bytes.NewReader(text)}, nil
}

// hostFile is a file that was read.
type hostFile struct {
	io.Reader
	info fs.FileInfo
}

func (f *hostFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (*hostFile) Close() error                 { return nil }
