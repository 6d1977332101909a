package report

import (
	"fmt"
	"maps"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/yaml"
)

// Rendered are the releases of one cluster in the order they are applied.
type Rendered struct {
	Cluster  string
	Releases []manifest.Release
}

// ManifestOptions say what of the releases is printed, and how. The zero value prints manifests and hooks as YAML.
type ManifestOptions struct {
	// Format is "yaml" or "json".
	Format string
	// IncludeCRDs prints the objects of crds/ folders too.
	IncludeCRDs bool
	// SkipTests leaves out test hooks, NoHooks leaves out all of them.
	SkipTests, NoHooks bool
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
	text      string
}

// Manifests prints rendered releases in the order they are applied, each document with a comment that names its release,
// chart and template.
func (r *Reporter) Manifests(rendered []Rendered, o ManifestOptions) error {
	var objects []object
	for _, cluster := range rendered {
		id := ""
		if len(rendered) > 1 {
			id = cluster.Cluster
		}
		for _, release := range cluster.Releases {
			objects = append(objects, printed(id, release, o)...)
		}
	}
	for i := range objects {
		if err := r.mask(&objects[i]); err != nil {
			return err
		}
	}
	if o.Format == "json" {
		if objects == nil {
			objects = []object{}
		}
		return r.JSON(struct {
			FormatVersion int      `json:"formatVersion"`
			Objects       []object `json:"objects"`
		}{FormatVersion, objects})
	}
	for _, obj := range objects {
		var b strings.Builder
		b.WriteString("---\n")
		if obj.Cluster != "" {
			b.WriteString("# Cluster: " + obj.Cluster + "\n")
		}
		b.WriteString("# Release: " + manifest.Key(obj.Namespace, obj.Release) + " " + obj.Chart + "\n")
		b.WriteString("# Source: " + obj.Source + "\n")
		b.WriteString(strings.Trim(obj.text, "\n") + "\n")
		if err := r.Product(b.String()); err != nil {
			return err
		}
	}
	return nil
}

// mask replaces the secrets of a document, unless they are to be shown: what the values hold, and the data of every
// Secret. The text of a document without any stays as the chart wrote it.
func (r *Reporter) mask(obj *object) error {
	if r.out.open {
		return nil
	}
	data, hit := obj.Object, false
	if kind, _ := data["kind"].(string); kind == "Secret" {
		data, hit = maskSecret(data)
	}
	redacted, more := r.out.tree(data)
	if !hit && !more {
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

// maskSecret returns a Secret with its values replaced, and whether it has any.
func maskSecret(data map[string]any) (map[string]any, bool) {
	out, hit := maps.Clone(data), false
	for _, field := range []string{"data", "stringData"} {
		entries, _ := data[field].(map[string]any)
		if len(entries) == 0 {
			continue
		}
		masked := make(map[string]any, len(entries))
		for key := range entries {
			masked[key] = hidden
		}
		out[field], hit = masked, true
	}
	return out, hit
}

// printed returns the documents of a release in helm template's order: CRDs, manifests, hooks.
func printed(cluster string, release manifest.Release, o ManifestOptions) []object {
	digest := release.Chart.Digest
	document := func(obj manifest.Object, hook bool) object {
		return object{
			Cluster: cluster, Release: release.Name, Namespace: release.Namespace,
			Chart:  release.Chart.Name + "-" + release.Chart.Version + "@sha256:" + digest[:min(12, len(digest))],
			Source: obj.Source, Hook: hook, Object: obj.Data, text: obj.Text,
		}
	}
	var out []object
	if o.IncludeCRDs {
		for _, obj := range release.CRDs {
			out = append(out, document(obj, false))
		}
	}
	for _, obj := range release.Objects {
		out = append(out, document(obj, false))
	}
	for _, hook := range release.Hooks {
		if o.NoHooks || o.SkipTests && hook.Runs(manifest.Test) {
			continue
		}
		out = append(out, document(hook.Object, true))
	}
	return out
}
