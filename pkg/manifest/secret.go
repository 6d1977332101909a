package manifest

import (
	"maps"
	"slices"
	"strings"
)

// plainFields are the fields of a Secret that hold nothing secret. A server drops a field that it does not know, and who
// wrote it meant one that it does: what stands in any other is taken for secret.
var plainFields = []string{"apiVersion", "kind", "metadata", "type", "immutable"}

// SecretFields returns those fields of a Secret that may hold what is secret, in the order of their names.
func SecretFields(secret map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(secret)) {
		if v := secret[name]; v != nil && v != "" && !slices.Contains(plainFields, name) {
			out = append(out, name)
		}
	}
	return out
}

// ReplaceSecrets returns a document with replace called for every Secret in it: itself, or the items of a list of any kind
// and depth. It reports whether there was one; the input stays as it is, and is what is returned where there was none.
func ReplaceSecrets(data map[string]any, replace func(secret map[string]any) map[string]any) (map[string]any, bool) {
	kind, _ := data["kind"].(string)
	return replaceSecrets(data, kind, replace)
}

// replaceSecrets is ReplaceSecrets for a document that is of a kind, whether it says so or not.
func replaceSecrets(data map[string]any, kind string, replace func(map[string]any) map[string]any) (map[string]any, bool) {
	if strings.EqualFold(kind, "Secret") {
		return replace(data), true
	}
	items, ok := data["items"].([]any)
	if !ok {
		return data, false
	}
	var out []any
	for i, item := range items {
		item, ok := item.(map[string]any)
		if !ok {
			continue
		}
		itemKind, says := item["kind"].(string)
		if !says {
			itemKind = ItemKind(kind)
		}
		replaced, hit := replaceSecrets(item, itemKind, replace)
		if !hit {
			continue
		}
		if out == nil {
			out = slices.Clone(items)
		}
		out[i] = replaced
	}
	if out == nil {
		return data, false
	}
	data = maps.Clone(data)
	data["items"] = out
	return data, true
}

// ItemKind is the kind of those items of a typed list (ConfigMapList) that do not say theirs, as apimachinery reads them
// (unstructured's decodeToList), or "" for a list of any kinds.
func ItemKind(list string) string {
	kind, typed := strings.CutSuffix(list, "List")
	if !typed {
		return ""
	}
	return kind
}
