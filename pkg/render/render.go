// Package render turns releases into manifests, exactly as Helm does.
//
// It runs an engine that is Helm's but for its bounds, in the process, over charts that package chart read. It reads no
// file and talks to no cluster: what a chart may know of the cluster comes as Capabilities, and lookup finds nothing.
package render

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/value"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Request is one release to render.
type Request struct {
	Release runlevel.Release
	Chart   *chart.Chart
	// Revision is .Release.Revision; 0 means 1.
	Revision int
	// Upgrade makes .Release.IsUpgrade true and .Release.IsInstall false.
	Upgrade bool
	// Origin returns the place in the layers from which the value at a path of the release's values came, where there is no
	// doubt. It is asked only of a value that is at fault; nil knows of none.
	Origin func(value.Path) (diag.Range, bool)
}

// Renderer renders releases. It keeps each chart it loaded, and is safe for concurrent use.
type Renderer struct {
	mu      sync.Mutex
	charts  map[string]*loaded
	library library
	sources diag.Sources
	// Clock tells the templates the time; nil means time.Now. It is set before the first release.
	Clock func() time.Time

	// schemas are the compiled schemas of charts.
	schemas map[string]*chartSchema

	// cache is asked first, or nil; version is that of the program. cacheErr is the first failure of writing into it.
	cache    Cache
	version  string
	cacheErr error
	shared   sharedValues
}

// New returns a renderer.
func New() *Renderer {
	return &Renderer{charts: map[string]*loaded{}, schemas: map[string]*chartSchema{}, sources: diag.Sources{}}
}

// Render renders one release as helm install and helm upgrade do (Helm 3.22, pkg/action: Install.RunWithContext and
// renderResources), with subnotes off and nothing asked of a cluster: the record's text, hooks and notes are Helm's to the
// byte.
//
// What is wrong with the chart, its values or what it renders is a diagnostic; the release is whole only where none is an
// error: also a chart whose templates go over the bounds of time, output, memory or depth. The error is a Kubernetes version
// that can't be read, or the end of ctx, at which templates stop at their next step.
func (r *Renderer) Render(ctx context.Context, req Request, caps Capabilities) (manifest.Release, diag.Diagnostics, error) {
	if err := ctx.Err(); err != nil {
		return manifest.Release{}, nil, fmt.Errorf("rendering release %s: %w", req.Release.Key(), err)
	}
	helmCaps, err := caps.helm()
	if err != nil {
		return manifest.Release{}, nil, fmt.Errorf("rendering release %s: %w", req.Release.Key(), err)
	}
	place := req.Release.Place
	req.Release = seen(req.Release)
	key := ""
	if r.cache != nil {
		key = r.key(req, caps)
	}
	var asked atomic.Bool
	if key != "" {
		if out, diags, ok := r.recall(key, req); ok {
			return out, diags, nil
		}
		req.Origin = noting(req.Origin, &asked)
	}
	c, err := r.load(req.Chart)
	if err != nil {
		return manifest.Release{}, nil, fmt.Errorf("rendering release %s: %w", req.Release.Key(), err)
	}
	j := &job{r: r, req: req, chart: clone(c.chart), caps: helmCaps, programs: &c.programs}
	j.place = func(path value.Path) (diag.Range, bool) {
		asked.Store(true)
		return place(path)
	}
	limited, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	out := j.render(limited)
	if err := ctx.Err(); err != nil {
		return manifest.Release{}, nil, fmt.Errorf("rendering release %s: %w", req.Release.Key(), err)
	}
	// A warning that names a place in the layers may name another one tomorrow.
	if key != "" && !asked.Load() {
		r.keep(key, req, out, j.diags)
	}
	return out, j.diags, nil
}

// CRDs returns the objects of the chart's crds/ folder and those of all its subcharts, enabled or not: what a run must
// know before it fixes the capabilities.
func (r *Renderer) CRDs(c *chart.Chart) ([]manifest.Object, diag.Diagnostics, error) {
	l, err := r.load(c)
	if err != nil {
		return nil, nil, err
	}
	j := &job{r: r, req: Request{Chart: c}, chart: l.chart}
	return j.crds(), j.diags, nil
}

// Sources returns the texts that the diagnostics of this renderer refer to: the templates they point at, and what was
// rendered where that is at fault.
func (r *Renderer) Sources() diag.Sources {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.sources)
}

func (r *Renderer) source(name string, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources[name] = text
}

// job is the rendering of one release.
type job struct {
	r     *Renderer
	req   Request
	chart *helmchart.Chart
	caps  *chartutil.Capabilities
	diags diag.Diagnostics
	// programs are what was parsed of the chart.
	programs *programs
	// traced finds the line of a template that wrote a line of what it rendered, or is nil where nothing was rendered.
	traced func(source string, line int) diag.Range
	// values are the release's, put over those of the chart and its subcharts.
	values map[string]any
	// place is runlevel.Release.Place of the release.
	place func(value.Path) (diag.Range, bool)
	// files is what the templates rendered, by Helm's names of them.
	files map[string]string
}

// notesSuffix is how Helm tells notes from manifests (pkg/action, notesFileSuffix).
const notesSuffix = "NOTES.txt"

func (j *job) render(ctx context.Context) manifest.Release {
	rel := j.req.Release
	out := manifest.Release{
		Name:      rel.Name,
		Namespace: rel.Namespace,
		Revision:  max(j.req.Revision, 1),
		Upgrade:   j.req.Upgrade,
		Values:    rel.Values,
		Chart:     manifest.Chart{Name: j.req.Chart.Name, Version: j.req.Chart.Version, Digest: j.req.Chart.Digest},
	}
	if out.Values == nil {
		out.Values = map[string]any{}
	}
	if err := chartutil.ProcessDependenciesWithMerge(j.chart, out.Values); err != nil {
		j.report(diag.ChartInvalid, j.req.Chart.Range, "Helm can't resolve the chart's dependencies: %s. Correct Chart.yaml or the "+
			"release's values.", withoutMismatch(err))
		return out
	}
	metadata, err := json.Marshal(j.chart.Metadata)
	if err != nil {
		panic(fmt.Sprintf("render: metadata that was read from JSON does not become JSON: %v", err))
	}
	out.Chart.Metadata, out.Chart.Values = metadata, j.chart.Values
	if want := j.chart.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, j.caps.KubeVersion.Version) {
		j.report(diag.ChartIncompatible, j.req.Release.ChartRange, "the chart %s %s asks for Kubernetes %s, and the cluster has %s. "+
			"Take a version of the chart that fits, or correct kubeVersion in its Chart.yaml (%s)",
			j.req.Chart.Name, j.req.Chart.Version, want, j.caps.KubeVersion.Version, j.req.Chart.Range)
		return out
	}
	options := chartutil.ReleaseOptions{
		Name:      out.Name,
		Namespace: out.Namespace,
		Revision:  out.Revision,
		IsInstall: !out.Upgrade,
		IsUpgrade: out.Upgrade,
	}
	// The chart's schema is checked by us, since Helm's check would fetch what the schema refers to.
	values, err := chartutil.ToRenderValuesWithSchemaValidation(j.chart, out.Values, options, j.caps, true)
	if err != nil {
		j.report(diag.ChartInvalid, j.req.Chart.Range, "Helm can't combine the values with those of the chart: %s. Correct the release's "+
			"values.", withoutMismatch(err))
		return out
	}
	coalesced, ok := values["Values"].(chartutil.Values)
	j.values = coalesced
	if ok && !j.req.Release.SkipSchemaValidation && !j.fits(j.chart, nil, coalesced) {
		return out
	}
	j.traced = j.tracer(ctx)
	rendering, err := renderTemplates(ctx, j.programs, j.chart, values, j.r.clock())
	j.r.library.use(j.programs)
	if err != nil {
		j.failed(err)
		return out
	}
	j.files, out.Impure = rendering.files, rendering.impure
	for name, text := range j.files {
		if !strings.HasSuffix(name, notesSuffix) {
			continue
		}
		if name == path.Join(j.chart.Name(), "templates", notesSuffix) {
			out.Notes = text
		}
		delete(j.files, name)
	}
	var text strings.Builder
	documents, over := j.documents(ctx)
	if over != "" {
		j.overBudget(over)
		return out
	}
	for _, d := range documents {
		if ctx.Err() != nil {
			j.overBudget(overTime)
			return out
		}
		if d.isHook {
			if hook, ok := j.hook(d); ok {
				out.Hooks = append(out.Hooks, hook)
			}
			continue
		}
		fmt.Fprintf(&text, "---\n# Source: %s\n%s\n", d.source, d.text)
		out.Objects = append(out.Objects, j.objects(d.source, d.text, d.data)...)
	}
	out.Text = text.String()
	out.CRDs = j.crds()
	j.twice(out)
	return out
}

// overBudget reports that what a chart renders can't be read within the bounds.
func (j *job) overBudget(over string) {
	j.report(diag.TemplateBudget, j.req.Chart.Range, "what the chart renders is over its budget: %s. Let it render less, or split the "+
		"release.", over)
}

// withoutMismatch is what chartutil says of values that it can't coalesce, without the value (its coalesceDeps prints it).
func withoutMismatch(err error) string {
	if before, _, ok := strings.Cut(err.Error(), ": %!t("); ok {
		return before + ", which takes a map"
	}
	return err.Error()
}

// report adds a diagnostic about the release.
func (j *job) report(code diag.Code, at diag.Range, format string, args ...any) *diag.Diagnostic {
	detail := fmt.Sprintf(format, args...)
	if j.req.Release.Name != "" {
		detail = "release " + j.req.Release.Key() + ": " + detail
	}
	j.diags = append(j.diags, diag.Diagnostic{Severity: diag.Error, Code: code, Detail: detail, Range: at})
	return &j.diags[len(j.diags)-1]
}
