package openapi_test

import (
	"testing"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/yaml"
)

// FuzzCheck looks for a definition and an object that the checker can't stand: whatever is there, it only reports.
func FuzzCheck(f *testing.F) {
	definitions, all := examples(f)
	for _, e := range all {
		f.Add(definitions[0].Text, e.object.Text)
	}
	l := library(f)
	f.Fuzz(func(t *testing.T, definition, text string) {
		var crds []manifest.Object
		if o, ok := read(definition); ok {
			crds = append(crds, o)
		}
		c, _, err := l.Checker("1.36", crds)
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := read(text); ok {
			if _, err := c.Check(t.Context(), "apps/web", o, here); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func read(text string) (manifest.Object, bool) {
	v, err := yaml.Decode([]byte(text))
	data, ok := v.(map[string]any)
	if err != nil || !ok {
		return manifest.Object{}, false
	}
	o, err := manifest.New(data, text, "chart/templates/file.yaml")
	return o, err == nil
}
