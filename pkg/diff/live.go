package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Seen is the resource version of a live object, and UID its UID.
func Seen(live map[string]any) string { return metadataField(live, "resourceVersion") }

// UID is the UID of a live object.
func UID(live map[string]any) string { return metadataField(live, "uid") }

func metadataField(live map[string]any, field string) string {
	metadata, _ := live["metadata"].(map[string]any)
	text, _ := metadata[field].(string)
	return text
}

// LiveDigest is a digest of the part of a live object that a change is about: the fields that wanted has, whose object it is,
// and whether it is being deleted. What others keep in it beside that (status, replicas set by an autoscaler, an injected
// certificate) may change without the change becoming another one.
func LiveDigest(live, wanted map[string]any) string {
	part := projected(clean(live), clean(wanted))
	if m, ok := part.(map[string]any); ok && wanted["stringData"] != nil {
		m["data"] = live["data"]
	}
	body, err := json.Marshal(struct {
		Owner    manifest.Owner
		Deleting bool
		Part     any
	}{manifest.OwnerOf(live), deleting(live), part})
	if err != nil {
		panic("diff: an object that was read as JSON can be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Cleaned is a live object without its status and what else the server keeps for itself.
func Cleaned(live map[string]any) map[string]any { return clean(live) }

// projected is the part of a live value that a wanted one speaks of. Lists of another length are taken whole.
func projected(live, wanted any) any {
	switch wanted := wanted.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			return live
		}
		out := map[string]any{}
		for key, w := range wanted {
			if v, ok := have[key]; ok {
				out[key] = projected(v, w)
			}
		}
		return out
	case []any:
		have, ok := live.([]any)
		if !ok || len(have) != len(wanted) {
			return live
		}
		out := make([]any, len(have))
		for i := range have {
			out[i] = projected(have[i], wanted[i])
		}
		return out
	}
	return live
}

// ChangedBy is the field manager, other than otomi, that wrote to a live object last; empty where none did. Writes of its
// status don't count.
func ChangedBy(live map[string]any) string {
	by, _ := lastWriter(live)
	return by
}

// lastWriter is ChangedBy with the time of that write, as RFC 3339.
func lastWriter(live map[string]any) (by, at string) {
	metadata, _ := live["metadata"].(map[string]any)
	entries, _ := metadata["managedFields"].([]any)
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		manager, _ := entry["manager"].(string)
		when, _ := entry["time"].(string)
		if entry["subresource"] != nil || manager == ourManager || strings.Compare(when, at) < 0 {
			continue
		}
		by, at = manager, when
	}
	return by, at
}

// ourManager is the field manager of our own writes (cluster.FieldManager).
const ourManager = "otomi"

// cameByItself reports whether an object may come into being during a run without anybody meaning harm: a namespace that is
// made for another release, and what every namespace gets.
func cameByItself(id manifest.ID) bool {
	return id.Group == "" && (id.Kind == "Namespace" ||
		id.Kind == "ServiceAccount" && id.Name == "default" || id.Kind == "ConfigMap" && id.Name == "kube-root-ca.crt")
}
