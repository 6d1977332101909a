package render

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	texttemplate "text/template"

	"github.com/BurntSushi/toml"
	"github.com/gobwas/glob"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// functions are Helm's template functions (Helm 3.22, pkg/engine: funcMap and initFunMap) within the bounds. Those that
// write give nothing, and those that read give the error's text, where they fail: Helm swallows errors here. Nothing is
// asked of a cluster or the network.
func (e *engine) functions() texttemplate.FuncMap {
	f := template.Functions()
	delete(f, "env")
	delete(f, "expandenv")
	f["getHostByName"] = func(string) string { return "" }
	f["lookup"] = func(string, string, string, string) (map[string]any, error) { return map[string]any{}, nil }
	f["required"] = func(message string, v any) (any, error) {
		if v == nil || v == "" {
			return v, warning(message)
		}
		return v, nil
	}
	f["fail"] = func(message string) (string, error) { return "", warning(message) }
	f["toYaml"] = toYAML
	f["toYamlPretty"] = func(v any) string { return written(yaml.MarshalPretty(v)) }
	f["toJson"] = func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(text)
	}
	f["toToml"] = func(v any) string {
		var text bytes.Buffer
		if err := toml.NewEncoder(&text).Encode(v); err != nil {
			return err.Error()
		}
		return text.String()
	}
	f["fromYaml"] = func(text string) map[string]any {
		m := map[string]any{}
		err := yaml.DecodeInto([]byte(text), &m)
		return mapOr(m, err)
	}
	f["fromJson"] = func(text string) map[string]any {
		m := map[string]any{}
		err := json.Unmarshal([]byte(text), &m)
		return mapOr(m, err)
	}
	f["fromToml"] = func(text string) map[string]any {
		m := map[string]any{}
		err := toml.Unmarshal([]byte(text), &m)
		return mapOr(m, err)
	}
	f["fromYamlArray"] = func(text string) []any {
		l := []any{}
		if err := yaml.DecodeInto([]byte(text), &l); err != nil {
			return []any{err.Error()}
		}
		return l
	}
	f["fromJsonArray"] = func(text string) []any {
		l := []any{}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return []any{err.Error()}
		}
		return l
	}
	e.noting(f)
	e.bounds.Guard(f)
	return f
}

func toYAML(v any) string { return written(yaml.Marshal(v)) }

func written(text []byte, err error) string {
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

func mapOr(m map[string]any, err error) map[string]any {
	if err != nil {
		m["Error"] = err.Error()
	}
	return m
}

// files are what a template sees as .Files (Helm 3.22, pkg/engine/files.go).
type files map[string][]byte

func newFiles(from []*helmchart.File) files {
	f := files{}
	for _, file := range from {
		f[file.Name] = file.Data
	}
	return f
}

// GetBytes returns a file's bytes; none where it is not there.
func (f files) GetBytes(name string) []byte {
	if data, ok := f[name]; ok {
		return data
	}
	return []byte{}
}

// Get returns a file's text.
func (f files) Get(name string) string { return string(f.GetBytes(name)) }

// Glob returns the files that match a pattern, and all where the pattern can't be read. It fails where matching would take
// minutes: the library tries the stars of a pattern at every place of a name.
func (f files) Glob(pattern string) (files, error) {
	longest := 0
	for name := range f {
		longest = max(longest, len(name))
	}
	tries, stars := 1.0, strings.Count(strings.ReplaceAll(pattern, "**", "*"), "*")
	for i := range min(stars, longest) {
		tries *= float64(longest-i) / float64(i+1)
	}
	if tries*float64(len(f)) > maxTries {
		return nil, template.Over("a pattern for .Files.Glob has too many stars. Use fewer of them.")
	}
	g, err := glob.Compile(pattern, '/')
	if err != nil {
		g = glob.MustCompile("**")
	}
	out := files{}
	for name, data := range f {
		if g.Match(name) {
			out[name] = data
		}
	}
	return out, nil
}

// maxTries bounds how often Glob may try a star.
const maxTries = 1e9

// AsConfig returns the files as YAML of a ConfigMap's data. Of two files with one name the last by path stands in it: Helm
// takes a random one.
func (f files) AsConfig() string {
	if f == nil {
		return ""
	}
	m := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		m[path.Base(name)] = string(f[name])
	}
	return toYAML(m)
}

// AsSecrets returns the files as YAML of a Secret's data.
func (f files) AsSecrets() string {
	if f == nil {
		return ""
	}
	m := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		m[path.Base(name)] = base64.StdEncoding.EncodeToString(f[name])
	}
	return toYAML(m)
}

// Lines returns the lines of a file, without an empty one at its end.
func (f files) Lines(name string) []string {
	if len(f[name]) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(f[name]), "\n"), "\n")
}
