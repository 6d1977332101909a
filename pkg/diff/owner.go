package diff

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// anotherTool names the tool or the object that a live object which belongs to no release belongs to nonetheless: by what Argo CD
// (docs, resource tracking) and Flux (kustomize-controller and helm-controller, labels) put on what they apply, by its controller,
// or by whom its managed-by label names (Kubernetes, recommended labels). It is empty where it belongs to nobody.
func anotherTool(live map[string]any) string {
	metadata, _ := live["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	text := func(m map[string]any, key string) string {
		s, _ := m[key].(string)
		return s
	}
	if id := text(annotations, "argocd.argoproj.io/tracking-id"); id != "" {
		application, _, _ := strings.Cut(id, ":")
		return "the Argo CD application " + application
	}
	for _, flux := range []struct{ prefix, what string }{
		{"kustomize.toolkit.fluxcd.io/", "the Flux kustomization "}, {"helm.toolkit.fluxcd.io/", "the Flux release "},
	} {
		if name := text(labels, flux.prefix+"name"); name != "" {
			return flux.what + text(labels, flux.prefix+"namespace") + "/" + name
		}
	}
	owners, _ := metadata["ownerReferences"].([]any)
	for _, o := range owners {
		owner, _ := o.(map[string]any)
		if owner["controller"] == true {
			return strings.TrimSpace(text(owner, "kind") + " " + text(owner, "name"))
		}
	}
	if manager := text(labels, manifest.ManagedByLabel); manager != "" && manager != manifest.ManagedByHelm {
		return manager
	}
	return ""
}

// immutable are the fields for which an object has to be made anew: those that the cluster complains of. Where it complains of the
// whole spec and says what in it may change, as it does of a StatefulSet, they are the fields right in it that differ and may not.
func immutable(r *manifest.Refusal, before, after map[string]any) []string {
	var out []string
	for _, name := range r.Fields {
		was, wasMap := before[name].(map[string]any)
		is, isMap := after[name].(map[string]any)
		if !wasMap || !isMap {
			out = append(out, name)
			continue
		}
		fields := maps.Clone(was)
		maps.Copy(fields, is)
		n := len(out)
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			if !reflect.DeepEqual(was[field], is[field]) && !strings.Contains(r.Message, "'"+field+"'") {
				out = append(out, name+"."+field)
			}
		}
		if len(out) == n {
			out = append(out, name)
		}
	}
	return out
}
