package runlevel

import (
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// built is the file as helmfile's build writes it: what its structs write of what they read (pkg/state, ToYaml). Its releases
// are as they are read.
func (r *reader) built() *value.Node {
	out := value.NewMap(r.spec.Origin)
	for _, f := range r.spec.Fields {
		switch {
		case f.Key == "environments" && f.Value.Kind == value.Map:
			f.Value = eachField(f.Value, func(n *value.Node) *value.Node {
				if n.Kind != value.Map {
					return value.NewMap(n.Origin) // a null body
				}
				return filled(n)
			})
		case f.Key == "templates" && f.Value.Kind == value.Map:
			f.Value = eachField(f.Value, func(n *value.Node) *value.Node { return releaseDocument(r.run, n) })
		case f.Key == "helmDefaults" && f.Value.Kind == value.Map:
			f.Value = defaultsDocument(f.Value)
			if f.Value == nil {
				continue
			}
		case f.Key == "repositories":
			f.Value = eachItem(f.Value, filled)
		case f.Key == "hooks":
			f.Value = eachItem(f.Value, func(n *value.Node) *value.Node { return hookDocument(r.run, n) })
		case f.Key == "helmfiles":
			f.Value = r.subDocuments(f.Value)
		}
		out.Fields = append(out.Fields, f)
	}
	if out.Get("templates") == nil {
		out.Fields = append(out.Fields, value.Field{Key: "templates", Value: value.NewMap(out.Origin)})
	}
	return out
}

// writtenDefaults are the keys of helmDefaults that helmfile writes also where they are not set, with what it writes.
var writtenDefaults = []writtenDefault{
	{"verify", false}, {"enableDNS", false}, {"devel", false}, {"wait", false}, {"waitRetries", int64(0)}, {"waitForJobs", false},
	{"timeout", int64(0)}, {"recreatePods", false}, {"force", false}, {"atomic", false}, {"rollbackOnFailure", false},
	{"forceConflicts", false}, {"skipDeps", false}, {"skipRefresh", false}, {"reuseValues", false},
}

type writtenDefault struct {
	key  string
	zero any
}

// unsetDefaults are the keys of helmDefaults that are left out where they are false: of the others helmfile tells that from
// nothing.
var unsetDefaults = []string{
	"cleanupOnFail", "skipCRDs", "insecureSkipTLSVerify", "plainHttp", "deleteWait",
}

// defaultsDocument is helmDefaults as helmfile writes it; nil where nothing is set.
func defaultsDocument(n *value.Node) *value.Node {
	out := value.NewMap(n.Origin)
	for _, f := range n.Fields {
		b, isBool := f.Value.Scalar.(bool)
		_, isNumber := f.Value.Scalar.(int64)
		if zero(f.Value) && (!isNumber || f.Key == "deleteTimeout") && (!isBool || b || slices.Contains(unsetDefaults, f.Key)) {
			continue
		}
		out.Fields = append(out.Fields, f)
	}
	nothing := func(f value.Field) bool {
		return zero(f.Value) && slices.ContainsFunc(writtenDefaults, func(d writtenDefault) bool { return d.key == f.Key })
	}
	if !slices.ContainsFunc(out.Fields, func(f value.Field) bool { return !nothing(f) }) {
		return nil
	}
	for _, d := range writtenDefaults {
		if out.Get(d.key) == nil {
			out = with(out, d.key, value.NewScalar(n.Origin, d.zero))
		}
	}
	return out
}

// subDocuments are the entries of helmfiles as maps, one for each file that a pattern means.
func (r *reader) subDocuments(n *value.Node) *value.Node {
	out := &value.Node{Kind: value.List, Origin: n.Origin}
	for _, entry := range n.Items {
		name := entry.Text()
		if entry.Kind == value.Map {
			name = r.word(entry.Get("path"))
		} else {
			entry = value.NewMap(entry.Origin)
		}
		names := []string{name}
		if !remote(name) {
			if found, err := r.glob(template.Join(r.state.Dir, name)); err == nil && len(found) > 0 {
				names = found
			}
		}
		for _, name := range names {
			out.Items = append(out.Items, filled(with(entry, "path", value.NewScalar(entry.Origin, relative(r.state.Dir, name)))))
		}
	}
	return out
}

// relative is a path as seen from a directory that it is in.
func relative(dir, name string) string {
	if prefix := dir + "/"; dir != "." && len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):]
	}
	return name
}

// document is a release as build writes it: what it inherits in it, its templates carried out, its needs whole, and all its labels.
func (r *reader) document(it item) *value.Node {
	out := it.raw.node
	put := func(key string, v any) { out = with(out, key, value.NewScalar(value.Origin{}, v)) }
	for _, f := range []struct{ key, text string }{
		{"name", it.release.Name}, {"chart", it.release.Chart}, {"namespace", it.release.WrittenNamespace}, {"version", it.release.Version},
		{"kubeContext", it.raw.kubeContext},
	} {
		if f.text != "" || out.Get(f.key) != nil {
			put(f.key, f.text)
		}
	}
	for _, key := range sorted(it.raw.booleans) {
		out = without(out, key)
		switch key {
		case "installedTemplate":
			put("installed", it.release.Installed)
		case "waitTemplate":
			put("wait", it.release.Wait)
		case "verifyTemplate":
			put("verify", it.release.Verify)
		case "conditionTemplate":
			put("condition", map[bool]string{true: "true", false: "false"}[it.enabled])
		}
	}
	if at := r.chartPath(it); at != "" {
		put("chartPath", at)
	}
	labels := value.NewMap(value.Origin{})
	for _, k := range sorted(it.release.Labels) {
		labels.Fields = append(labels.Fields, value.Field{Key: k, Value: value.NewScalar(value.Origin{}, it.release.Labels[k])})
	}
	out = with(out, "labels", labels)
	listed := func(key string, items []*value.Node) {
		if len(items) > 0 {
			out = with(out, key, &value.Node{Kind: value.List, Items: items})
		}
	}
	var values, computed, needs, sets []*value.Node
	for i, e := range it.raw.values {
		n := e.tree
		if n == nil {
			n = value.NewScalar(value.Origin{}, e.path)
		}
		values = append(values, n)
		if t := out.Get("valuesTemplate"); t != nil && i < len(t.Items) {
			computed = append(computed, n)
		}
	}
	o := scope{}
	for _, n := range it.needs {
		if id, err := o.needed(n.text, it); err == nil {
			needs = append(needs, value.NewScalar(value.Origin{}, id))
		}
	}
	for _, a := range it.raw.sets {
		n := value.NewMap(value.Origin{})
		for _, f := range []struct{ key, text string }{{"name", a.name}, {"value", a.value}, {"file", a.file}} {
			if f.text != "" {
				n.Fields = append(n.Fields, value.Field{Key: f.key, Value: value.NewScalar(value.Origin{}, f.text)})
			}
		}
		if len(a.values) > 0 {
			n.Fields = append(n.Fields, value.Field{Key: "values", Value: plainNode(a.values)})
		}
		sets = append(sets, n)
	}
	listed("values", values)
	listed("valuesTemplate", computed)
	listed("needs", needs)
	listed("setTemplate", sets)
	if own := out.Get("set"); own != nil || len(sets) > 0 {
		if own != nil {
			sets = slices.Concat(sets, own.Items)
		}
		listed("set", sets)
	}
	var versions []*value.Node
	for _, v := range it.release.APIVersions {
		versions = append(versions, value.NewScalar(value.Origin{}, v))
	}
	listed("apiVersions", versions)
	if it.release.KubeVersion != "" {
		put("kubeVersion", it.release.KubeVersion)
	}
	return releaseDocument(r.run, without(out, "inherit"))
}

// chartPath is where helmfile finds the chart of a release once it is prepared (pkg/state, normalizeChart): as seen from the
// state file, to which it goes, or where there are several of them the whole path. It is empty where that is the chart as it is
// written, or another one is made of it.
func (r *reader) chartPath(it item) string {
	rel := it.release
	if !rel.Installed || !it.enabled || rel.Repository != nil || strings.Contains(rel.Chart, "://") || strings.HasPrefix(rel.Chart, "/") {
		return ""
	}
	for _, key := range []string{"dependencies", "jsonPatches", "strategicMergePatches", "transformers", "forceNamespace"} {
		if !zero(it.raw.node.Get(key)) {
			return ""
		}
	}
	at := path.Clean(rel.Chart)
	if len(r.in.Files) > 1 {
		at = path.Join(r.in.Root, r.state.Dir, rel.Chart)
	}
	if at == rel.Chart {
		return ""
	}
	return at
}

// Embedded is Document with what the files of values of its releases hold in place of their names (helmfile's build
// --embed-values). Values must have been read.
func (s *State) Embedded() *value.Node {
	releases := s.Releases
	if s.Narrowed {
		releases = slices.DeleteFunc(slices.Clone(releases), func(r Release) bool { return !r.Selected || !r.Enabled })
	}
	list := s.Document.Get("releases")
	if list == nil || len(list.Items) != len(releases) {
		return s.Document
	}
	out := *list
	out.Items = slices.Clone(list.Items)
	for i, r := range releases {
		var values, secrets []*value.Node
		for _, e := range r.Entries {
			n := e.Tree
			if n == nil {
				n, _ = yaml.ReadState(e.Text, yaml.ReadOptions{File: e.File, Dates: true})
			}
			if n == nil {
				n = value.NewMap(value.Origin{})
			}
			if e.secret {
				secrets = append(secrets, n)
				continue
			}
			values = append(values, n)
		}
		for key, items := range map[string][]*value.Node{"values": values, "secrets": secrets} {
			if out.Items[i].Get(key) != nil {
				out.Items[i] = with(out.Items[i], key, &value.Node{Kind: value.List, Items: items})
			}
		}
	}
	return with(s.Document, "releases", &out)
}

// releaseDocument is a release, or a template of one, without what is empty: false stays where helmfile tells it from nothing.
func releaseDocument(r *run, n *value.Node) *value.Node {
	if n.Kind != value.Map {
		return value.NewMap(n.Origin)
	}
	out := value.NewMap(n.Origin)
	for _, f := range n.Fields {
		b, isBool := f.Value.Scalar.(bool)
		switch {
		case isBool && !b && (f.Key == "plainHttp" || f.Key == "insecureSkipTLSVerify"):
			continue
		case !isBool && zero(f.Value) && f.Value.Kind != value.Integer:
			continue
		case f.Key == "hooks":
			f.Value = eachItem(f.Value, func(n *value.Node) *value.Node { return hookDocument(r, n) })
		case f.Key == "set" || f.Key == "setString" || f.Key == "setTemplate":
			f.Value = eachItem(f.Value, filled)
		case f.Key == "inherit" && f.Value.Kind == value.Map:
			f.Value = &value.Node{Kind: value.List, Origin: f.Value.Origin, Items: []*value.Node{f.Value}}
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}

// hookDocument is a hook with all its keys.
func hookDocument(r *run, n *value.Node) *value.Node {
	show := false
	if b := n.Get("showlogs"); b != nil {
		show, _ = truth(b)
	}
	list := func(key string) *value.Node {
		if l := n.Get(key); l != nil && l.Kind == value.List {
			return l
		}
		return &value.Node{Kind: value.List}
	}
	out := value.NewMap(n.Origin,
		value.Field{Key: "name", Value: value.NewScalar(n.Origin, r.word(n.Get("name")))},
		value.Field{Key: "events", Value: list("events")},
		value.Field{Key: "command", Value: value.NewScalar(n.Origin, r.word(n.Get("command")))},
	)
	if k := n.Get("kubectlApply"); !zero(k) {
		out.Fields = append(out.Fields, value.Field{Key: "kubectlApply", Value: k})
	}
	out.Fields = append(out.Fields,
		value.Field{Key: "args", Value: list("args")}, value.Field{Key: "showlogs", Value: value.NewScalar(n.Origin, show)})
	return out
}

// filled is a map without what is empty.
func filled(n *value.Node) *value.Node {
	if n.Kind != value.Map {
		return n
	}
	out := value.NewMap(n.Origin)
	for _, f := range n.Fields {
		if !zero(f.Value) {
			out.Fields = append(out.Fields, f)
		}
	}
	return out
}

func eachField(n *value.Node, change func(*value.Node) *value.Node) *value.Node {
	out := *n
	out.Fields = slices.Clone(n.Fields)
	for i := range out.Fields {
		out.Fields[i].Value = change(out.Fields[i].Value)
	}
	return &out
}

func eachItem(n *value.Node, change func(*value.Node) *value.Node) *value.Node {
	if n.Kind != value.List {
		return n
	}
	out := *n
	out.Items = make([]*value.Node, len(n.Items))
	for i, item := range n.Items {
		out.Items[i] = change(item)
	}
	return &out
}

// plainNode is a tree of plain values without a place.
func plainNode(v any) *value.Node {
	switch v := v.(type) {
	case []any:
		out := &value.Node{Kind: value.List}
		for _, item := range v {
			out.Items = append(out.Items, plainNode(item))
		}
		return out
	case map[string]any:
		out := value.NewMap(value.Origin{})
		for _, k := range sorted(v) {
			out.Fields = append(out.Fields, value.Field{Key: k, Value: plainNode(v[k])})
		}
		return out
	default:
		return value.NewScalar(value.Origin{}, v)
	}
}
