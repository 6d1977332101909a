package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/chart"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
)

// loaded is a chart as Helm reads it. Nobody changes it: whoever renders takes a clone.
type loaded struct {
	once     sync.Once
	chart    *helmchart.Chart
	err      error
	programs programs
}

// load makes a Helm chart of the chart's files, once for each digest.
func (r *Renderer) load(c *chart.Chart) (*loaded, error) {
	r.mu.Lock()
	l, ok := r.charts[c.Digest]
	if !ok {
		l = &loaded{}
		r.charts[c.Digest] = l
	}
	r.mu.Unlock()
	l.once.Do(func() {
		files := make([]*loader.BufferedFile, len(c.Files))
		for i, f := range c.Files {
			files[i] = &loader.BufferedFile{Name: f.Name, Data: f.Data}
		}
		if l.chart, l.err = loader.LoadFiles(files); l.err != nil {
			return
		}
		// Raw is a second copy of all files, for helm show alone.
		l.chart.Raw = nil
		order(l.chart)
	})
	if l.err != nil {
		return nil, fmt.Errorf("loading the chart %s: %w", c.Display, l.err)
	}
	return l, nil
}

// order sorts the subcharts, which Helm's loader leaves in the random order of a Go map: the order of CRDs and of imported
// values would change from run to run.
func order(c *helmchart.Chart) {
	subcharts := slices.SortedStableFunc(slices.Values(c.Dependencies()), func(a, b *helmchart.Chart) int {
		if n := strings.Compare(a.Name(), b.Name()); n != 0 {
			return n
		}
		return strings.Compare(a.Metadata.Version, b.Metadata.Version)
	})
	for _, s := range subcharts {
		s.Raw = nil
		order(s)
	}
	c.SetDependencies(subcharts...)
}

// clone copies what chartutil.ProcessDependenciesWithMerge and rendering change: the tree of subcharts, the metadata with
// its list of dependencies, and the values. Without it, a release that disables a subchart takes it from the next one.
func clone(c *helmchart.Chart) *helmchart.Chart {
	out := &helmchart.Chart{Lock: c.Lock, Templates: c.Templates, Schema: c.Schema, Files: c.Files}
	// A template may change any list and what any pointer leads to: sortAlpha sorts a list of texts where it is.
	metadata := *c.Metadata
	metadata.Keywords, metadata.Sources = slices.Clone(metadata.Keywords), slices.Clone(metadata.Sources)
	metadata.Annotations = maps.Clone(metadata.Annotations)
	metadata.Maintainers = slices.Clone(metadata.Maintainers)
	for i, m := range metadata.Maintainers {
		if m != nil {
			maintainer := *m
			metadata.Maintainers[i] = &maintainer
		}
	}
	metadata.Dependencies = slices.Clone(metadata.Dependencies)
	for i, d := range metadata.Dependencies {
		if d != nil {
			dependency := *d
			dependency.Tags = slices.Clone(d.Tags)
			dependency.ImportValues, _ = copied(d.ImportValues).([]any)
			metadata.Dependencies[i] = &dependency
		}
	}
	out.Metadata = &metadata
	if c.Values != nil {
		out.Values, _ = copied(c.Values).(map[string]any)
	}
	for _, s := range c.Dependencies() {
		out.AddDependency(clone(s))
	}
	return out
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = copied(item)
		}
		return m
	case []any:
		if v == nil {
			return v
		}
		l := make([]any, len(v))
		for i, item := range v {
			l[i] = copied(item)
		}
		return l
	default:
		return v
	}
}
