package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Rendered is one rendered release.
type Rendered struct {
	// Cluster is the cluster it is for, or "" in a run over one.
	Cluster string
	// File is the state file that it comes from, as it is shown.
	File string
	// Folder is the absolute directory of its files, in place of the one that HelmfileLayout makes.
	Folder  string
	Release manifest.Release
}

// ManifestOptions say what of the releases is printed, where and how. The zero value prints manifests and hooks as YAML.
type ManifestOptions struct {
	// Format is "yaml" or "json".
	Format string
	// IncludeCRDs prints the objects of crds/ folders too.
	IncludeCRDs bool
	// SkipTests leaves out test hooks, NoHooks leaves out all of them.
	SkipTests, NoHooks bool
	// ShowOnly leaves out all but the documents of these templates: paths within a chart, or patterns of them as path.Match
	// has them (helm template --show-only, Helm 3.22, cmd/helm/template.go). One that matches nothing is an error.
	ShowOnly []string
	// Dir is the directory that files are written to, as YAML, instead of the product's side; Layout says to which.
	Dir    string
	Layout Layout
	// Temp is the directory for what does not fit into memory before it is known that all can be printed.
	Temp string
}

// object is one printed document.
type object struct {
	Cluster   string         `json:"cluster,omitempty"`
	Release   string         `json:"release"`
	Namespace string         `json:"namespace"`
	Chart     string         `json:"chart"`
	Source    string         `json:"source"`
	Hook      bool           `json:"hook,omitempty"`
	Object    map[string]any `json:"object"`
	id        manifest.ID
	text      string
}

// Manifests takes rendered releases one after the other and prints them, when all are there: a run that fails has no
// product.
type Manifests struct {
	r       *Reporter
	o       ManifestOptions
	spool   *spool
	objects int
	// shown says which of ShowOnly matched.
	shown []bool
	// files are the parts of the spool that make the files of Dir.
	files *layout
}

// Manifests returns what prints rendered releases in the order they are added, each document with a comment that names its
// release, chart and template. The caller closes it.
func (r *Reporter) Manifests(o ManifestOptions) *Manifests {
	m := &Manifests{r: r, o: o, spool: newSpool(o.Temp), shown: make([]bool, len(o.ShowOnly))}
	if o.Dir != "" {
		m.files = newLayout(o.Layout)
	}
	return m
}

// Close gives back what is held. What was not printed is dropped.
func (m *Manifests) Close() error { return m.spool.Close() }

// Add adds a release. It keeps nothing of it but the text to print.
func (m *Manifests) Add(rendered Rendered) error {
	// Of this release alone: a run over a fleet would gather those of thousands.
	held := &redactor{open: m.r.out.open}
	if !held.open {
		held.hide(rendered.Release.SecretTexts())
	}
	for _, obj := range m.selected(rendered) {
		if err := m.r.mask(&obj, held); err != nil {
			return err
		}
		obj.text = held.text(obj.text)
		if err := m.add(rendered, obj); err != nil {
			return err
		}
		m.objects++
	}
	return nil
}

func (m *Manifests) add(rendered Rendered, obj object) error {
	if m.o.Format == "json" {
		return m.addJSON(obj)
	}
	from := m.spool.size
	var b strings.Builder
	b.WriteString("---\n")
	if obj.Cluster != "" {
		b.WriteString("# Cluster: " + obj.Cluster + "\n")
	}
	b.WriteString("# Release: " + manifest.Key(obj.Namespace, obj.Release) + " " + obj.Chart + "\n")
	b.WriteString("# Source: " + obj.Source + "\n")
	b.WriteString(strings.Trim(obj.text, "\n") + "\n")
	if _, err := io.WriteString(m.spool, m.r.out.text(b.String())); err != nil {
		return err
	}
	if m.files != nil {
		obj.id.Namespace, obj.id.Name = m.r.out.text(obj.id.Namespace), m.r.out.text(obj.id.Name)
		m.files.add(rendered, obj.id, obj.Source, from, m.spool.size-from)
	}
	return nil
}

// The frame of the JSON document, whose objects are written one by one as JSON writes the whole.
const (
	jsonHead = "{\n  \"formatVersion\": %d,\n  \"objects\": ["
	jsonTail = "\n  ]\n}\n"
	jsonNone = "]\n}\n"
)

func (m *Manifests) addJSON(obj object) error {
	body, err := m.r.document(m.r.out, obj)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if m.objects == 0 {
		fmt.Fprintf(&b, jsonHead, FormatVersion)
	} else {
		b.WriteByte(',')
	}
	b.WriteString("\n    ")
	if err := json.Indent(&b, body, "    ", "  "); err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	_, err = m.spool.Write(b.Bytes())
	return err
}

// Print prints what was added, or writes its files. The error is a template of ShowOnly that no release has, or a writer's.
func (m *Manifests) Print() error {
	var errs []error
	for i, name := range m.o.ShowOnly {
		if !m.shown[i] {
			errs = append(errs, fmt.Errorf("could not find template %s in the chart of any selected release; a template is named by "+
				"its path in the chart: templates/deployment.yaml, charts/NAME/templates/deployment.yaml", name))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if m.files != nil {
		return m.files.write(m.o.Dir, m.spool, m.r.out.open)
	}
	if m.o.Format == "json" {
		tail := jsonTail
		if m.objects == 0 {
			tail = fmt.Sprintf(jsonHead, FormatVersion) + jsonNone
		}
		if _, err := io.WriteString(m.spool, tail); err != nil {
			return err
		}
	}
	_, err := io.Copy(m.r.out.to, m.spool.section(0, m.spool.size))
	return err
}

// mask replaces the secrets of a document, unless they are to be shown: what the values hold, and the data of every
// Secret, also where it stands elsewhere in the release. The text of a document without any stays as the chart wrote it.
func (r *Reporter) mask(obj *object, held *redactor) error {
	if r.out.open {
		return nil
	}
	hit := false
	data, _ := manifest.ReplaceSecrets(obj.Object, func(secret map[string]any) map[string]any {
		masked, has := maskSecret(secret)
		hit = hit || has
		return masked
	})
	redacted, more := r.out.tree(data)
	redacted, again := held.tree(redacted)
	if !hit && !more && !again {
		return nil
	}
	obj.Object, _ = redacted.(map[string]any)
	text, err := yaml.Marshal(redacted)
	if err != nil {
		return fmt.Errorf("writing %s: %w", obj.Source, err)
	}
	obj.text = string(text)
	return nil
}

// maskSecret returns a Secret with its values replaced, and whether it has any. What has no keys goes as a whole.
func maskSecret(data map[string]any) (map[string]any, bool) {
	out, hit := maps.Clone(data), false
	for _, field := range manifest.SecretFields(data) {
		hit = true
		entries, ok := data[field].(map[string]any)
		if !ok {
			out[field] = hidden
			continue
		}
		masked := make(map[string]any, len(entries))
		for key := range entries {
			masked[key] = hidden
		}
		out[field] = masked
	}
	return out, hit
}

// selected returns the documents of a release that are printed, in helm template's order: CRDs, manifests, hooks.
func (m *Manifests) selected(rendered Rendered) []object {
	release := rendered.Release
	digest := release.Chart.Digest
	var out []object
	document := func(obj manifest.Object, hook bool) {
		if !m.shows(obj.Source) {
			return
		}
		out = append(out, object{
			Cluster: rendered.Cluster, Release: release.Name, Namespace: release.Namespace,
			Chart:  release.Chart.Name + "-" + release.Chart.Version + "@sha256:" + digest[:min(12, len(digest))],
			Source: obj.Source, Hook: hook, Object: obj.Data, id: obj.ID, text: obj.Text,
		})
	}
	if m.o.IncludeCRDs {
		for _, obj := range release.CRDs {
			document(obj, false)
		}
	}
	for _, obj := range release.Objects {
		document(obj, false)
	}
	for _, hook := range release.Hooks {
		if m.o.NoHooks || m.o.SkipTests && hook.Runs(manifest.Test) {
			continue
		}
		document(hook.Object, true)
	}
	return out
}

// shows reports whether the documents of a template are printed.
func (m *Manifests) shows(source string) bool {
	if len(m.o.ShowOnly) == 0 {
		return true
	}
	_, name, _ := strings.Cut(source, "/")
	found := false
	for i, pattern := range m.o.ShowOnly {
		if ok, err := path.Match(strings.ReplaceAll(pattern, `\`, "/"), name); err == nil && ok {
			m.shown[i], found = true, true
		}
	}
	return found
}
