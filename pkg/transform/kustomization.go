package transform

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// maxGrowth bounds the operations of a kustomization that may double an object: copy of JSON patches, and replacements within
// a part of a string.
const maxGrowth = 12

// maxNodes bounds the keys and values of all that a kustomization reads, aliases expanded.
const maxNodes = 2_000_000

// The keys of a kustomization, by what we make of them. Kustomize takes them in any case, so that one which is not written
// as here is refused: it would pass by what is checked.
var (
	// references are lists of files; those of components and bases are directories, and of resources both.
	references = []string{"resources", "components", "crds", "configurations", "bases"}
	// configured are lists of files and of texts that configure kustomize's plugins.
	configured = []string{"generators", "transformers", "validators"}
	plain      = []string{
		"apiVersion", "kind", "metadata", "namePrefix", "nameSuffix", "namespace", "commonLabels", "labels", "commonAnnotations",
		"patchesStrategicMerge", "patchesJson6902", "patches", "images", "imageTags", "replacements", "replicas", "vars", "sortOptions",
		"configMapGenerator", "secretGenerator", "generatorOptions", "buildMetadata",
	}
	// refused are the keys that we do without, and what to do instead.
	refused = map[string]string{
		"helmCharts":                  "make the chart a release of its own",
		"helmGlobals":                 "make the charts releases of their own",
		"helmChartInflationGenerator": "make the chart a release of its own",
		"openapi":                     "write patches of lists as JSON patches, which need no schema",
	}
)

// parts are the keys of the maps in lists that may name files.
var parts = map[string][]string{
	"patches":            {"path", "patch", "target", "options"},
	"patchesJson6902":    {"path", "patch", "target", "options"},
	"replacements":       {"path", "source", "targets"},
	"configMapGenerator": {"name", "namespace", "behavior", "literals", "files", "envs", "env", "options"},
	"secretGenerator":    {"name", "namespace", "behavior", "literals", "files", "envs", "env", "options", "type"},
}

// vet checks what kustomize is about to read. A kustomization is rewritten: what it refers to is there and in the tree, so that
// nothing makes kustomize fetch, and keys that are deprecated are their successors, as kustomize edit fix makes them
// (kustomize prints a warning otherwise).
func (b *build) vet(name string, text []byte) ([]byte, error) {
	shown := b.shown(name)
	roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: shown})
	for _, d := range ds {
		if d.Code == diag.YAMLTooLarge || d.Code == diag.YAMLBadAlias || d.Severity == diag.Error && isKustomization(name) {
			b.source(name, text)
			return nil, finding{d}
		}
	}
	for _, root := range roots {
		root.Walk(func(value.Path, *value.Node) bool {
			b.nodes++
			return b.nodes <= maxNodes
		})
		b.growth += growth(root)
	}
	switch {
	case b.nodes > maxNodes:
		return nil, b.refuse(name, diag.Range{}, "the kustomization and all that it refers to have more than %d keys and values. Refer to fewer", maxNodes)
	case b.growth > maxGrowth:
		return nil, b.refuse(name, diag.Range{}, "the kustomization has more than %d operations that can double an object (copy, and replacements with a "+
			"delimiter). Write out what they make", maxGrowth)
	}
	if !isKustomization(name) {
		return text, nil
	}
	b.source(name, text)
	if len(roots) != 1 || roots[0].Kind != value.Map {
		return nil, b.refuse(name, diag.Range{}, "a kustomization is one document, a map. Correct it")
	}
	return b.kustomization(name, roots[0])
}

// kustomization checks and rewrites a kustomization.
func (b *build) kustomization(name string, root *value.Node) ([]byte, error) {
	dir := path.Dir(name)
	out := root.PlainMap()
	for _, field := range root.Fields {
		at := field.KeyRange
		if instead, ok := refused[field.Key]; ok {
			return nil, b.refuse(name, at, "otomi does not carry out %s of a kustomization. Leave it out, and %s", field.Key, instead)
		}
		switch {
		case slices.Contains(references, field.Key):
			paths := make([]any, 0, len(field.Value.Items))
			for _, item := range field.Value.Items {
				ref, err := b.reference(name, item)
				if err != nil {
					return nil, err
				}
				paths = append(paths, ref)
			}
			out[field.Key] = paths
		case slices.Contains(configured, field.Key):
			texts := make([]any, 0, len(field.Value.Items))
			for _, item := range field.Value.Items {
				text, err := b.plugin(name, item)
				if err != nil {
					return nil, err
				}
				texts = append(texts, text)
			}
			out[field.Key] = texts
		case slices.Contains(plain, field.Key):
			if err := b.entries(name, field); err != nil {
				return nil, err
			}
		default:
			known := slices.Concat(references, configured, plain)
			hint := "Correct it"
			if near := diag.Nearest(field.Key, known); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			return nil, b.refuse(name, at, "a kustomization has no key %q. %s", field.Key, hint)
		}
	}
	modernize(out, func(name string) bool {
		info, err := fs.Stat(b.files, path.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	})
	text, err := yaml.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing the kustomization %s: %w", b.shown(name), err)
	}
	return text, nil
}

// reference returns what a kustomization refers to in a form that kustomize can take for nothing but a path.
func (b *build) reference(name string, item *value.Node) (string, error) {
	at := item.Origin.Range
	ref := item.Text()
	if item.Kind != value.String || ref == "" {
		return "", b.refuse(name, at, "a kustomization refers to paths, and this is %s. Write a path", item.Kind.WithArticle())
	}
	target := path.Join(path.Dir(name), ref)
	_, err := fs.Stat(b.files, target)
	detail, forbidden := template.Forbidden(err)
	switch {
	case strings.HasPrefix(ref, "/"):
		return "", b.refuse(name, at, "%q is an absolute path. Write one that is seen from the kustomization", ref)
	case err == nil && fs.ValidPath(target):
		return "./" + ref, nil
	case forbidden:
		return "", b.refuse(name, at, "%s", strings.TrimSuffix(detail, "."))
	case remote(ref):
		return "", b.refuse(name, at, "%q is somewhere else, and otomi fetches nothing for a kustomization. Put a copy into the repository, and refer to that", ref)
	case !fs.ValidPath(target):
		return "", b.refuse(name, at, "%q leads out of the files that may be read. Put it beside the kustomization", ref)
	}
	return "", b.refuse(name, at, "there is no %s. Correct the path", b.shown(target))
}

// remote reports whether a reference looks like one that kustomize would fetch.
func remote(ref string) bool {
	lower := strings.ToLower(ref)
	return strings.Contains(lower, "://") || strings.HasPrefix(lower, "git::") || strings.HasPrefix(lower, "git@") ||
		strings.HasPrefix(lower, "github.com/") || strings.HasPrefix(lower, "github.com:") || strings.Contains(lower, "?ref=")
}

// download reports whether kustomize would download a file (api/internal/loader, IsRemoteFile).
func download(name string) bool {
	u, err := url.Parse(name)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// plugin checks one entry of generators, transformers and validators: a text, or the path of a file. A directory could make
// what configures a plugin out of parts that look harmless.
func (b *build) plugin(name string, item *value.Node) (string, error) {
	at := item.Origin.Range
	text := item.Text()
	if item.Kind != value.String {
		return "", b.refuse(name, at, "this is %s. Write a path, or a text", item.Kind.WithArticle())
	}
	if trimmed := strings.TrimSpace(text); strings.Contains(trimmed, "\n") || strings.HasPrefix(trimmed, "{") {
		return text, b.pluginText(name, at, []byte(text))
	}
	ref, err := b.reference(name, item)
	if err != nil {
		return "", err
	}
	file := path.Join(path.Dir(name), text)
	read, err := b.read(file)
	if err != nil {
		return "", b.refuse(name, at, "%s is no file, and what configures a plugin is one. Name the file", b.shown(file))
	}
	return ref, b.pluginText(file, diag.Range{}, read)
}

func (b *build) pluginText(name string, at diag.Range, text []byte) error {
	roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: b.shown(name)})
	if ds.HasErrors() {
		if at.IsZero() {
			b.source(name, text)
			return finding{ds[slices.IndexFunc(ds, func(d diag.Diagnostic) bool { return d.Severity == diag.Error })]}
		}
		return b.refuse(name, at, "what configures a plugin is no YAML. Correct it")
	}
	for _, root := range roots {
		b.growth += growth(root)
		if file := fetched(root); file != "" {
			return b.refuse(name, at, "%q is somewhere else, and otomi fetches nothing. Put a copy into the repository, and refer to that", file)
		}
	}
	if b.growth > maxGrowth {
		return b.refuse(name, at, "the kustomization has more than %d operations that can double an object. Write out what they make", maxGrowth)
	}
	return nil
}

// naming are the keys, in small letters, by which the configurations of kustomize's own plugins name files.
var naming = []string{"path", "paths", "file", "files", "env", "envs", "valuesfile", "charthome"}

// fetched returns what a plugin's configuration would make kustomize download, or "".
func fetched(root *value.Node) string {
	found := ""
	root.Walk(func(_ value.Path, n *value.Node) bool {
		for _, field := range n.Fields {
			if !slices.Contains(naming, strings.ToLower(field.Key)) {
				continue
			}
			for _, item := range append([]*value.Node{field.Value}, field.Value.Items...) {
				if name := source(item.Text()); download(name) {
					found = name
				}
			}
		}
		return found == ""
	})
	return found
}

// source is the file of an entry of files: NAME=FILE or FILE.
func source(entry string) string {
	if _, file, ok := strings.Cut(entry, "="); ok && !download(entry) {
		return file
	}
	return entry
}

// entries checks the maps of a list that may name files.
func (b *build) entries(name string, field value.Field) error {
	if field.Key == "patchesStrategicMerge" {
		for _, item := range field.Value.Items {
			if download(item.Text()) {
				return b.refuse(name, item.Origin.Range, "%q is somewhere else, and otomi fetches nothing. Put a copy into the repository, and refer to that", item.Text())
			}
		}
		return nil
	}
	known := parts[field.Key]
	if known == nil {
		return nil
	}
	for _, item := range field.Value.Items {
		for _, f := range item.Fields {
			if !slices.Contains(known, f.Key) {
				return b.refuse(name, f.KeyRange, "%s have no key %q. They have %s", field.Key, f.Key, strings.Join(known, ", "))
			}
			if f.Key == "patch" {
				roots, _ := yaml.ReadStates([]byte(f.Value.Text()), yaml.ReadOptions{}) // what is wrong with it, kustomize says
				for _, root := range roots {
					b.growth += growth(root)
				}
			}
		}
		if file := fetched(item); file != "" {
			return b.refuse(name, item.Origin.Range, "%q is somewhere else, and otomi fetches nothing. Put a copy into the repository, and refer to that", file)
		}
	}
	if b.growth > maxGrowth {
		return b.refuse(name, field.KeyRange, "the kustomization has more than %d operations that can double an object. Write out what they make", maxGrowth)
	}
	return nil
}

// growth counts the operations that can double an object.
func growth(root *value.Node) int {
	n := 0
	root.Walk(func(_ value.Path, node *value.Node) bool {
		for _, f := range node.Fields {
			if key := strings.ToLower(f.Key); key == "op" && f.Value.Text() == "copy" || key == "delimiter" {
				n++
			}
		}
		return true
	})
	return n
}

// modernize writes deprecated keys as their successors, as kustomize edit fix does. Vars have none.
func modernize(k map[string]any, isFile func(string) bool) {
	list := func(key string) []any {
		l, _ := k[key].([]any)
		return l
	}
	move := func(from, to string) {
		if l := list(from); l != nil {
			k[to] = append(list(to), l...)
			delete(k, from)
		}
	}
	move("bases", "resources")
	move("imageTags", "images")
	if merges := list("patchesStrategicMerge"); merges != nil {
		// Kustomize carries them out before the others.
		patches := make([]any, 0, len(merges))
		for _, m := range merges {
			text, _ := m.(string)
			if isFile(text) {
				patches = append(patches, map[string]any{"path": text})
			} else {
				patches = append(patches, map[string]any{"patch": text})
			}
		}
		k["patches"] = append(patches, list("patches")...)
		delete(k, "patchesStrategicMerge")
	}
	move("patchesJson6902", "patches")
	if labels, ok := k["commonLabels"].(map[string]any); ok {
		k["labels"] = append(list("labels"), map[string]any{"pairs": labels, "includeSelectors": true})
		delete(k, "commonLabels")
	}
}
