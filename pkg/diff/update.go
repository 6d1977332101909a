package diff

import (
	"maps"
	"reflect"
	"slices"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/value"
)

// ChartUpdate is what another version of a chart changes, in the chart itself and in what is rendered of it.
type ChartUpdate struct {
	Chart string        `json:"chart"`
	Old   UpdateVersion `json:"old"`
	New   UpdateVersion `json:"new"`
	// Releases is how many releases of how many Clusters were rendered with both.
	Releases int `json:"releases"`
	Clusters int `json:"clusters"`
	// Values are the default values that differ: those that a release sets, and where they were asked for the others, of
	// which there are OtherValues.
	Values      []DefaultChange `json:"values"`
	OtherValues int             `json:"otherValues"`
	// Objects are the rendered objects that differ, hooks among them; Definitions are the custom resource definitions,
	// rendered or of crds/ folders.
	Objects     []UpdateChange `json:"objects"`
	Definitions []UpdateChange `json:"definitions"`
	Images      []ImageChange  `json:"images"`
	// Relabelled is how many objects differ only in the labels that name the version of the chart. They are not in Objects:
	// those of all objects change with every version, and none is replaced or restarted for it.
	Relabelled int `json:"relabelled"`

	// relabelled are those objects, each once for all clusters.
	relabelled map[string]bool
}

// UpdateVersion is one side of an update.
type UpdateVersion struct {
	Version    string `json:"version"`
	AppVersion string `json:"appVersion,omitempty"`
	// Digest is the sha256 of the chart's files, as hex.
	Digest string `json:"digest"`
}

// Where is a release of a cluster.
type Where struct {
	Cluster string `json:"cluster,omitempty"`
	// Release is NAMESPACE/NAME.
	Release string `json:"release"`
}

// DefaultChange is a default value that differs. Before or After is nil where the chart has none.
type DefaultChange struct {
	Path   string `json:"path"`
	Action Action `json:"action"`
	Before any    `json:"before"`
	After  any    `json:"after"`
	// SetBy are the releases that set it, or what is around or in it.
	SetBy []Where `json:"setBy,omitempty"`
}

// UpdateChange is an object that differs, and the clusters in which it differs in this very way. Before and After are those of
// the first of these: what is the same on both sides may be otherwise in another cluster.
type UpdateChange struct {
	Change
	Release  string   `json:"release"`
	Clusters []string `json:"clusters,omitempty"`
}

// ImageChange is an image that comes or goes.
type ImageChange struct {
	Image string `json:"image"`
	// Action is Create or Delete.
	Action   Action   `json:"action"`
	Clusters []string `json:"clusters,omitempty"`
}

// Empty reports whether nothing differs.
func (u ChartUpdate) Empty() bool {
	return len(u.Values)+u.OtherValues+len(u.Objects)+len(u.Definitions)+len(u.Images)+u.Relabelled == 0
}

// Defaults compares two trees of default values leaf by leaf, in the order of their paths. A list is a leaf.
func Defaults(before, after map[string]any) []DefaultChange {
	var out []DefaultChange
	compareDefaults(nil, before, after, &out)
	return out
}

func compareDefaults(at value.Path, before, after map[string]any, out *[]DefaultChange) {
	keys := maps.Clone(before)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, after)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		old, was := before[key]
		now, is := after[key]
		if was && is && reflect.DeepEqual(old, now) {
			continue
		}
		path := at.Key(key)
		oldMap, oldOK := old.(map[string]any)
		nowMap, nowOK := now.(map[string]any)
		// A map that comes or goes is shown by its leaves, unless it has none.
		if (oldOK || !was) && (nowOK || !is) && len(oldMap)+len(nowMap) > 0 {
			compareDefaults(path, oldMap, nowMap, out)
			continue
		}
		c := DefaultChange{Path: path.String(), Action: Update, Before: old, After: now}
		switch {
		case !was:
			c.Action = Create
		case !is:
			c.Action = Delete
		}
		*out = append(*out, c)
	}
}

// Sets reports whether values set the value at a path, a part of it, or something that it would be a part of.
func Sets(values map[string]any, path string) bool {
	steps, err := value.ParsePath(path)
	if err != nil {
		return false
	}
	var at any = values
	for _, step := range steps {
		m, ok := at.(map[string]any)
		if !ok {
			return true
		}
		if at, ok = m[step.Key]; !ok {
			return false
		}
	}
	m, ok := at.(map[string]any)
	return !ok || len(m) > 0
}

// Images returns the images of the containers that objects have anywhere, in order and each once.
func Images(objects []manifest.Object) []string {
	found := map[string]bool{}
	for _, o := range objects {
		if !IsDefinition(o.ID) {
			collectImages(o.Data, found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func collectImages(data any, found map[string]bool) {
	switch data := data.(type) {
	case []any:
		for _, item := range data {
			collectImages(item, found)
		}
	case map[string]any:
		for key, v := range data {
			collectImages(v, found)
			switch key {
			case "containers", "initContainers", "ephemeralContainers":
				items, _ := v.([]any)
				for _, item := range items {
					container, _ := item.(map[string]any)
					if image, _ := container["image"].(string); image != "" {
						found[image] = true
					}
				}
			}
		}
	}
}

// IsDefinition reports whether an object is a CustomResourceDefinition.
func IsDefinition(id manifest.ID) bool {
	return id.Kind == "CustomResourceDefinition" && id.Group == "apiextensions.k8s.io"
}

// AddRendering compares two renderings of a release of a cluster and adds what differs: as it is, or where it differs in
// the same way in other clusters, to these.
func (u *ChartUpdate) AddRendering(cluster string, before, after manifest.Release) {
	u.Releases++
	olds, news := everything(before), everything(after)
	for _, c := range Renderings(olds, news) {
		to := &u.Objects
		switch {
		case onlyRelabelled(c):
			if u.relabelled == nil {
				u.relabelled = map[string]bool{}
			}
			u.relabelled[after.Key()+" "+c.ID.String()] = true
			u.Relabelled = len(u.relabelled)
			continue
		case IsDefinition(c.ID):
			to = &u.Definitions
		}
		addChange(to, cluster, UpdateChange{Change: c, Release: after.Key()})
	}
	was, is := Images(olds), Images(news)
	for _, image := range is {
		if !slices.Contains(was, image) {
			u.addImage(cluster, ImageChange{Image: image, Action: Create})
		}
	}
	for _, image := range was {
		if !slices.Contains(is, image) {
			u.addImage(cluster, ImageChange{Image: image, Action: Delete})
		}
	}
}

// everything are the objects of a release, CRDs and hooks among them.
func everything(r manifest.Release) []manifest.Object {
	out := slices.Concat(r.CRDs, r.Objects)
	for _, h := range r.Hooks {
		out = append(out, render.Flat(h)...)
	}
	return out
}

func addChange(to *[]UpdateChange, cluster string, c UpdateChange) {
	for i, known := range *to {
		if known.Release == c.Release && known.ID == c.ID && equalChanges(known.Change, c.Change) {
			(*to)[i].Clusters = addName(known.Clusters, cluster)
			return
		}
	}
	c.Clusters = addName(nil, cluster)
	*to = append(*to, c)
}

func (u *ChartUpdate) addImage(cluster string, c ImageChange) {
	for i, known := range u.Images {
		if known.Image == c.Image && known.Action == c.Action {
			u.Images[i].Clusters = addName(known.Clusters, cluster)
			return
		}
	}
	c.Clusters = addName(nil, cluster)
	u.Images = append(u.Images, c)
}

func addName(names []string, name string) []string {
	if name == "" || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// equalChanges reports whether two changes change the same fields in the same way.
func equalChanges(a, b Change) bool {
	if a.Action != b.Action {
		return false
	}
	if a.Action != Update {
		return reflect.DeepEqual(a.Before, b.Before) && reflect.DeepEqual(a.After, b.After)
	}
	var first, second []fieldChange
	changedFields(nil, a.Before, a.After, &first)
	changedFields(nil, b.Before, b.After, &second)
	return reflect.DeepEqual(first, second)
}

// versionLabels are the labels that name the version of a chart: the ones of the charts that helm create makes, and of
// older ones.
var versionLabels = []string{"helm.sh/chart", "app.kubernetes.io/version", "chart"}

// onlyRelabelled reports whether an object differs in its version labels alone. The labels of a pod template are not meant:
// where they change, pods are replaced.
func onlyRelabelled(c Change) bool {
	if c.Action != Update {
		return false
	}
	var fields []fieldChange
	changedFields(nil, c.Before, c.After, &fields)
	for _, f := range fields {
		if !slices.ContainsFunc(versionLabels, func(label string) bool {
			return f.path == (value.Path{}).Key("metadata").Key("labels").Key(label).String()
		}) {
			return false
		}
	}
	return len(fields) > 0
}

// fieldChange is a field of an object, or an item of a list as long on both sides, that differs.
type fieldChange struct {
	path          string
	before, after any
}

func changedFields(at value.Path, before, after any, out *[]fieldChange) {
	if reflect.DeepEqual(before, after) {
		return
	}
	oldMap, oldOK := before.(map[string]any)
	nowMap, nowOK := after.(map[string]any)
	if oldOK && nowOK {
		keys := maps.Clone(oldMap)
		maps.Copy(keys, nowMap)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			changedFields(at.Key(key), oldMap[key], nowMap[key], out)
		}
		return
	}
	oldList, oldOK := before.([]any)
	nowList, nowOK := after.([]any)
	if oldOK && nowOK && len(oldList) == len(nowList) {
		for i := range oldList {
			changedFields(at.Index(i), oldList[i], nowList[i], out)
		}
		return
	}
	*out = append(*out, fieldChange{at.String(), before, after})
}
