package diff

import (
	"maps"
	"reflect"

	"github.com/redkubes/otomi/pkg/manifest"
)

// What stands in place of the values of a Secret.
const (
	Secret        = "(secret)"
	SecretChanged = "(secret, changed)"
)

// serverFields are the fields of metadata that the server keeps for itself.
var serverFields = []string{
	"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "deletionTimestamp",
	"deletionGracePeriodSeconds",
}

// lastApplied is the annotation in which kubectl keeps a whole copy of the object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// generated are the annotations in which controllers keep notes of their own (kubernetes, well-known labels, annotations and
// taints): they count where objects are compared, and are not shown.
var generated = []string{
	"deployment.kubernetes.io/revision", "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas",
	"deployment.kubernetes.io/revision-history", "deprecated.daemonset.template.generation",
	"autoscaling.alpha.kubernetes.io/conditions", "autoscaling.alpha.kubernetes.io/current-metrics",
	"control-plane.alpha.kubernetes.io/leader", "endpoints.kubernetes.io/last-change-trigger-time",
	"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "pv.kubernetes.io/provisioned-by",
	"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
}

// clean copies an object without what the server keeps for itself. The values in it are shared.
func clean(data map[string]any) map[string]any {
	if data == nil {
		return nil
	}
	out := maps.Clone(data)
	delete(out, "status")
	old, _ := out["metadata"].(map[string]any)
	metadata := maps.Clone(old)
	for _, field := range serverFields {
		delete(metadata, field)
	}
	without(metadata, "annotations", lastApplied)
	out["metadata"] = metadata
	return out
}

// shown is a cleaned object without its ownership metadata.
func shown(data map[string]any) map[string]any {
	if data == nil {
		return nil
	}
	out := maps.Clone(data)
	old, _ := out["metadata"].(map[string]any)
	metadata := maps.Clone(old)
	if labels, _ := metadata["labels"].(map[string]any); labels[manifest.ManagedByLabel] == manifest.ManagedByHelm {
		without(metadata, "labels", manifest.ManagedByLabel)
	}
	without(metadata, "annotations", manifest.ReleaseNameAnnotation, manifest.ReleaseNamespaceAnnotation)
	without(metadata, "annotations", generated...)
	out["metadata"] = metadata
	return out
}

// without drops keys of a map in metadata, and the map where nothing is left. metadata is the caller's copy.
func without(metadata map[string]any, field string, keys ...string) {
	old, ok := metadata[field].(map[string]any)
	if !ok {
		return
	}
	m := maps.Clone(old)
	for _, key := range keys {
		delete(m, key)
	}
	if len(m) == 0 {
		delete(metadata, field)
		return
	}
	metadata[field] = m
}

// pair brings both sides of a change into the form in which they are shown: cleaned, and of a Secret without its values.
func pair(id manifest.ID, before, after map[string]any) (b, a map[string]any) {
	b, a = shown(clean(before)), shown(clean(after))
	if id.Kind == "Secret" && id.Group == "" {
		return masked(b, nil), masked(a, b)
	}
	whole := func(secret map[string]any) map[string]any { return masked(secret, nil) }
	b, _ = manifest.ReplaceSecrets(b, whole)
	a, _ = manifest.ReplaceSecrets(a, whole)
	return b, a
}

// masked copies a Secret with its values replaced. Against another one it says which of them differ.
func masked(secret, against map[string]any) map[string]any {
	if secret == nil {
		return nil
	}
	out := maps.Clone(secret)
	for _, field := range manifest.SecretFields(secret) {
		values, ok := out[field].(map[string]any)
		if !ok {
			out[field] = Secret
			continue
		}
		old, _ := against[field].(map[string]any)
		hidden := make(map[string]any, len(values))
		for key, value := range values {
			former, was := old[key]
			hidden[key] = Secret
			if against != nil && was && !reflect.DeepEqual(former, value) {
				hidden[key] = SecretChanged
			}
		}
		out[field] = hidden
	}
	return out
}
