package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/yaml"
)

// objects makes objects of one document of the file that Helm calls source. A document without data is none; a list is
// its items, as it is for Helm's client (cli-runtime's Flatten).
func (j *job) objects(source, text string, data map[string]any) []manifest.Object {
	if data == nil {
		return nil
	}
	if items, ok := data["items"].([]any); ok {
		return j.items(source, text, data, items)
	}
	o, err := manifest.New(data, text, source)
	if err != nil {
		j.notObject(source, text, err.Error())
		return nil
	}
	return []manifest.Object{o}
}

// items reads the items of a list, and reports those that are no objects.
func (j *job) items(source, text string, list map[string]any, items []any) []manifest.Object {
	out, problems := itemsOf(source, list, items)
	for _, problem := range problems {
		j.notObject(source, text, problem)
	}
	return out
}

// itemsOf makes objects of the items of a list, and says what is wrong with the others. Those of a typed list (ConfigMapList)
// may leave out what its kind says.
func itemsOf(source string, list map[string]any, items []any) (out []manifest.Object, problems []string) {
	kind, _ := list["kind"].(string)
	itemKind := manifest.ItemKind(kind)
	for i, item := range items {
		data, ok := item.(map[string]any)
		if !ok {
			problems = append(problems, fmt.Sprintf("items[%d] of the list is no map", i))
			continue
		}
		if itemKind != "" && data["kind"] == nil && data["apiVersion"] == nil {
			data = maps.Clone(data)
			data["kind"], data["apiVersion"] = itemKind, list["apiVersion"]
		}
		written, err := yaml.Marshal(data)
		if err != nil {
			problems = append(problems, fmt.Sprintf("items[%d] of the list: %v", i, err))
			continue
		}
		o, err := manifest.New(data, string(written), source)
		if err != nil {
			problems = append(problems, fmt.Sprintf("items[%d] of the list: %v", i, err))
			continue
		}
		out = append(out, o)
	}
	return out, problems
}

// Flat returns the objects that a cluster has of a hook, whose document Helm's record keeps whole: the items of a list, or
// itself.
func Flat(h manifest.Hook) []manifest.Object {
	items, ok := h.Data["items"].([]any)
	if !ok {
		return []manifest.Object{h.Object}
	}
	out, _ := itemsOf(h.Source, h.Data, items)
	return out
}

// crds reads the files of the crds/ folders, which are no templates.
func (j *job) crds() []manifest.Object {
	var out []manifest.Object
	crds := j.chart.CRDObjects()
	if tooMany(func(yield func(string) bool) {
		for _, crd := range crds {
			if !yield(string(crd.File.Data)) {
				return
			}
		}
	}) {
		j.overBudget(overNodes)
		return nil
	}
	for _, crd := range crds {
		text := string(crd.File.Data)
		j.raw(crd.Filename, text)
		for _, document := range split(text) {
			if data, ok := j.read(crd.Filename, document); ok {
				out = append(out, j.objects(crd.Filename, document, data)...)
			}
		}
	}
	return out
}

// raw makes a file's own text known as what it renders.
func (j *job) raw(name, text string) {
	if j.files == nil {
		j.files = map[string]string{}
	}
	j.files[name] = text
}

// read reads a document as Helm does. It returns nil data for one without content.
func (j *job) read(source, text string) (data map[string]any, ok bool) {
	v, err := yaml.Decode([]byte(text))
	if err != nil {
		j.notYAML(source, text, err)
		return nil, false
	}
	if v == nil {
		return nil, true
	}
	data, ok = v.(map[string]any)
	if !ok {
		j.notObject(source, text, "it is no map")
	}
	return data, ok
}

// head says what is wrong with those fields of a document that Helm reads for itself (releaseutil.SimpleHead): it takes any
// scalar for a string.
func head(data map[string]any) string {
	for _, key := range []string{"apiVersion", "kind"} {
		if !isScalar(field(data, key)) {
			return key + " is no string"
		}
	}
	metadata, ok := field(data, "metadata").(map[string]any)
	if !ok && field(data, "metadata") != nil {
		return "metadata is no map"
	}
	if !isScalar(field(metadata, "name")) {
		return "metadata.name is no string"
	}
	annotations, ok := field(metadata, "annotations").(map[string]any)
	if !ok && field(metadata, "annotations") != nil {
		return "metadata.annotations is no map"
	}
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		if !isScalar(annotations[k]) {
			return fmt.Sprintf("the annotation %s is no string", k)
		}
	}
	return ""
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// secretKind finds a document that describes a Secret, also where it can't be read or the Secret is in a list.
var secretKind = regexp.MustCompile(`(?i)["']?\bkind["']?\s*:\s*["']?Secret(List)?\b`)

func (j *job) notObject(source, text, problem string) {
	at := j.rendered(source, text)
	var keys []string
	if m := fields.FindStringSubmatch(problem); m != nil {
		keys = m[1:]
	}
	at.Start.Line += line(text, keys...)
	d := j.report(diag.RenderNotObject, at, "what %s renders is no Kubernetes object: %s. Correct the template.", source, problem)
	d.Notes = j.from(source, at)
	d.Secret = secretKind.MatchString(text)
}

func (j *job) notYAML(source, text string, err error) {
	at := j.rendered(source, text)
	message := ""
	// The strict reading knows places; it refuses all that Helm's reading refuses, and sometimes more.
	_, ds := yaml.ReadState([]byte(text), yaml.ReadOptions{File: at.File})
	for _, d := range ds {
		if d.Severity == diag.Error && d.Range.Start.Line > 0 {
			at.Start = diag.Pos{Line: at.Start.Line + d.Range.Start.Line - 1, Column: d.Range.Start.Column}
			message = d.Detail
			break
		}
	}
	if message == "" {
		message = err.Error() + ". Correct the template."
	}
	secret := secretKind.MatchString(text)
	if secret {
		message = "a Secret's text can't be read, and is not shown here. Correct the template."
	}
	d := j.report(diag.RenderNotYAML, at, "what %s renders is not YAML: %s", source, message)
	d.Notes = j.from(source, at)
	d.Secret = secret
}

// from names the template of a place in a rendered text.
func (j *job) from(source string, at diag.Range) []diag.Note {
	if at.File == j.display(source) {
		return nil
	}
	template := diag.Range{File: j.display(source)}
	if j.traced != nil {
		template = j.traced(source, at.Start.Line)
		if text, ok := j.req.Chart.File(j.file(source)); ok {
			j.r.source(template.File, text)
		}
	}
	return []diag.Note{{Message: "rendered from this template", Range: template}}
}

// rendered is the place of a document in the text that its template rendered, which is made known under a name of its
// own, unless it is the text of the file: a template without an action, or a file of crds/.
func (j *job) rendered(source, text string) diag.Range { return j.renderedAgain(source, text, 0) }

// renderedAgain is the place of a document that stood before, so many times, in the text that its template rendered.
func (j *job) renderedAgain(source, text string, times int) diag.Range {
	whole := j.files[source]
	name := j.display(source)
	shown := whole
	if text, ok := j.req.Chart.File(j.file(source)); !ok || string(text) != whole {
		name += " (rendered for " + j.req.Release.Key() + ")"
		shown = withoutSecrets(whole)
	}
	j.r.source(name, []byte(shown))
	return diag.Range{File: name, Start: diag.Pos{Line: 1 + strings.Count(whole[:offset(whole, text, times)], "\n"), Column: 1}}
}

// withoutSecrets hides the lines of the Secrets in a rendered text: they may stand beside a document that is shown.
func withoutSecrets(text string) string {
	lines := strings.Split(text, "\n")
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && !strings.HasPrefix(lines[to], "---") {
			to++
		}
		if secretKind.MatchString(strings.Join(lines[from:to], "\n")) {
			for i := from; i < to; i++ {
				lines[i] = diag.Concealed
			}
		}
		from = to
	}
	return strings.Join(lines, "\n")
}

// offset returns where a document stands in a text; a document may be a part of another one, and stand there several times.
func offset(whole, text string, times int) int {
	for i := 0; text != ""; i++ {
		next := strings.Index(whole[i:], text)
		if next < 0 {
			break
		}
		i += next
		before, after := strings.TrimSpace(whole[:i]), strings.TrimSpace(whole[i+len(text):])
		begins := before == "" || strings.HasPrefix(before[strings.LastIndex(before, "\n")+1:], "---")
		if begins && (after == "" || strings.HasPrefix(after, "---")) {
			if times == 0 {
				return i
			}
			times--
		}
	}
	return max(strings.Index(whole, text), 0)
}

// line returns the line of a document, from 0, that begins with the first of some keys which it has; else its first line
// that is no comment.
func line(text string, keys ...string) int {
	content := -1
	for n, l := range strings.Split(text, "\n") {
		name, _, _ := strings.Cut(l, ":")
		if slices.Contains(keys, strings.Trim(strings.TrimSpace(name), `"'`)) {
			return n
		}
		if trimmed := strings.TrimSpace(l); content < 0 && trimmed != "" && trimmed[0] != '#' {
			content = n
		}
	}
	return max(content, 0)
}

// fields are the words of a problem that name a key of an object.
var fields = regexp.MustCompile(`\b(kind|apiVersion|metadata|items)\b|annotation (\S+)`)

// file is the path within the chart of what Helm calls source: CHART/templates/x.yaml.
func (j *job) file(source string) string {
	_, file, _ := strings.Cut(source, "/")
	return file
}

// display is the name by which the file that Helm calls source is shown.
func (j *job) display(source string) string { return j.req.Chart.Shown(j.file(source)) }
