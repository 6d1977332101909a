package render

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	helmchart "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// fits checks the values of a chart and its subcharts against their values.schema.json, as Helm does
// (chartutil.ValidateAgainstSchema). A schema that refers to another document is not used: Helm would fetch it.
func (j *job) fits(c *helmchart.Chart, values map[string]any) bool {
	ok := true
	if c.Schema != nil {
		ok = j.fitsSchema(c, values)
	}
	for _, s := range c.Dependencies() {
		// A null and an absent one are nothing to check; another kind of value is told by the templates that want a map.
		if sub, isMap := values[s.Name()].(map[string]any); isMap {
			ok = j.fits(s, sub) && ok
		}
	}
	return ok
}

func (j *job) fitsSchema(c *helmchart.Chart, values map[string]any) bool {
	at := diag.Range{File: j.display(c.ChartFullPath() + "/values.schema.json")}
	if ref := elsewhere(c.Schema); ref != "" {
		d := j.report(diag.RenderValues, at, "the schema of the chart %s refers to %q, and otomi fetches nothing to validate: "+
			"the values were not checked against it. Bundle the schema into one file.", c.Name(), ref)
		d.Severity = diag.Warning
		return true
	}
	err := chartutil.ValidateAgainstSingleSchema(values, c.Schema)
	if err == nil {
		return true
	}
	d := j.report(diag.RenderValues, j.req.Release.Range, "the values do not fit the schema of the chart %s: %s. Correct the release's values.",
		c.Name(), withoutValues(err.Error()))
	d.Notes = append(d.Notes, diag.Note{Message: "the chart's schema", Range: at})
	return false
}

// elsewhere returns the first reference of a schema that leads out of it, or "". A schema that is no JSON has none.
func elsewhere(schema []byte) string {
	var root any
	if err := json.Unmarshal(schema, &root); err != nil {
		return ""
	}
	return outward(root)
}

// metaschema are the drafts that the validator carries with it.
var metaschema = regexp.MustCompile(`^https?://json-schema\.org/(draft-0[467]|draft/(2019-09|2020-12))/schema#?$`)

func outward(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			text, isText := item.(string)
			switch {
			case isText && (key == "$ref" || key == "$dynamicRef" || key == "$recursiveRef"):
				if !strings.HasPrefix(text, "#") {
					return text
				}
			case isText && key == "$schema":
				if !metaschema.MatchString(text) {
					return text
				}
			}
			if ref := outward(item); ref != "" {
				return ref
			}
		}
	case []any:
		for _, item := range v {
			if ref := outward(item); ref != "" {
				return ref
			}
		}
	}
	return ""
}

// The messages of the validator (jsonschema v6, kind) that print the value itself.
var printsValue = regexp.MustCompile(`'(?:[^'\\]|\\.)*' (does not match pattern|is not valid)`)

// withoutValues makes one line of the validator's findings, and takes the values out of it since they may be secret.
func withoutValues(message string) string {
	var findings []string
	for line := range strings.Lines(message) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- "))
		if line != "" {
			findings = append(findings, printsValue.ReplaceAllString(line, "the value $1"))
		}
	}
	return strings.Join(findings, "; ")
}
