package render

import (
	"fmt"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/value"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// schemaFile is the file of a chart that says what its values may be.
const schemaFile = "values.schema.json"

// chartSchema is the compiled schema of a chart.
type chartSchema struct {
	once sync.Once
	// compiled is nil for one that can't be used; diags say why, or what of it is not checked.
	compiled *schema.Chart
	diags    diag.Diagnostics
	sources  diag.Sources
}

// fits checks the values of a chart and its subcharts against their values.schema.json, as Helm does
// (chartutil.ValidateAgainstSchema). Path leads to them in the release's values.
func (j *job) fits(c *helmchart.Chart, path value.Path, values map[string]any) bool {
	ok := true
	if c.Schema != nil {
		ok = j.fitsSchema(c, path, values)
	}
	for _, s := range c.Dependencies() {
		// A null and an absent one are nothing to check; another kind of value was refused when the values were combined.
		if sub, isMap := values[s.Name()].(map[string]any); isMap {
			ok = j.fits(s, path.Key(s.Name()), sub) && ok
		}
	}
	return ok
}

func (j *job) fitsSchema(c *helmchart.Chart, path value.Path, values map[string]any) bool {
	s := j.schemaOf(c)
	for _, d := range s.diags {
		// It names no release, so that it is the same for all of the chart.
		d.Code, d.Detail = diag.RenderValues, fmt.Sprintf("the schema of the chart %s: %s", c.Name(), d.Detail)
		j.diags = append(j.diags, d)
		j.r.source(d.Range.File, s.sources[d.Range.File])
	}
	if s.compiled == nil {
		return false
	}
	found := s.compiled.Validate(values)
	for _, d := range found {
		below, err := value.ParsePath(d.Path)
		at := path
		if err == nil {
			at = append(at[:len(at):len(at)], below...)
		}
		subject := ""
		if len(at) > 0 {
			subject = at.String() + ": "
		}
		told := j.report(diag.RenderValues, j.req.Release.Range, "the values do not fit the schema of the chart %s: %s%s",
			c.Name(), subject, d.Detail)
		notes := j.setHere(at)
		if len(notes) > 0 {
			told.Range, notes = notes[0].Range, notes[1:]
		}
		told.Notes = append(notes, d.Notes...)
	}
	return !found.HasErrors()
}

// schemaOf returns the compiled schema of a chart or subchart, which is compiled once for each chart.
func (j *job) schemaOf(c *helmchart.Chart) *chartSchema {
	root := c.ChartFullPath()
	key := j.req.Chart.Digest + " " + j.display(root+"/"+schemaFile)
	j.r.mu.Lock()
	s, ok := j.r.schemas[key]
	if !ok {
		s = &chartSchema{}
		j.r.schemas[key] = s
	}
	j.r.mu.Unlock()
	s.once.Do(func() {
		s.compiled, s.sources, s.diags = schema.CompileChart(schema.ChartOptions{
			Text: c.Schema,
			File: func(path string) ([]byte, bool) {
				for _, f := range c.Files {
					if f.Name == path {
						return f.Data, true
					}
				}
				return nil, false
			},
			Display: func(path string) string { return j.display(root + "/" + path) },
		})
	})
	return s
}
