// Package transform changes rendered manifests as a release asks: patches, transformers, a forced namespace, a post-renderer.
//
// It does what helmfile has chartify do for a release with such keys (helmfile 1.7, chartify 0.28), with kustomize's library
// in place of its program, and it builds kustomizations that stand where a chart is asked for. It renders no template,
// fetches nothing and runs no program of its own accord: files, and the program of a post-renderer, are handed to it.
package transform

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/yaml"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Request is one rendered release to change.
type Request struct {
	// Request is what it was rendered for.
	render.Request
	// Rendered is what was rendered; nobody changes it.
	Rendered manifest.Release
	// Namespace is put on objects that name none where the release forces no other: that of a release whose chart is a
	// directory of manifests.
	Namespace string
	// Files are the files that patches and transformers may name, as seen from Dir; nil where there are none.
	Files template.Files
	Dir   string
}

// Needed reports whether Apply changes anything.
func (r Request) Needed() bool {
	rel := r.Release
	return r.namespace() != "" || len(rel.JSONPatches)+len(rel.StrategicMergePatches)+len(rel.Transformers) > 0
}

func (r Request) namespace() string {
	if r.Release.ForceNamespace != "" {
		return r.Release.ForceNamespace
	}
	return r.Namespace
}

// Apply changes a rendered release: first a forced namespace, which like chartify's is given to every object that names none
// and takes none away (SetNamespace); then jsonPatches, strategicMergePatches and transformers, in this order (Patch). Hooks and
// CRDs are changed like all else. Where there are patches or transformers, the objects are those of one file then,
// CHART/templates/patched_resources.yaml, in kustomize's legacy order within Helm's, and definitions of custom resources are in
// crds/, unless templates/crds/ rendered some.
//
// A patch that does not apply is a diagnostic at the release. The renderer reads the result; what is wrong with it is known to
// its Sources.
func Apply(ctx context.Context, r *render.Renderer, req Request) (manifest.Release, diag.Diagnostics, error) {
	if !req.Needed() {
		return req.Rendered, nil, nil
	}
	if err := ctx.Err(); err != nil {
		return manifest.Release{}, nil, fmt.Errorf("changing the manifests of release %s: %w", req.Release.Key(), err)
	}
	j := &job{Request: req, texts: render.TextsOf(req.Rendered)}
	j.force()
	j.patch()
	if j.diags.HasErrors() {
		return manifest.Release{}, j.diags, nil
	}
	out, ds := r.Reread(ctx, req.Request, req.Rendered, j.texts)
	return out, append(j.diags, ds...), nil
}

// job is the changing of one release.
type job struct {
	Request
	texts render.Texts
	diags diag.Diagnostics
}

func (j *job) report(format string, args ...any) {
	j.diags = append(j.diags, diag.Diagnostic{
		Severity: diag.Error, Code: diag.TransformFailed, Range: j.Release.Range,
		Detail: fmt.Sprintf("release %s: ", j.Release.Key()) + fmt.Sprintf(format, args...),
	})
}

// force gives the namespace to documents that name none.
func (j *job) force() {
	namespace := j.namespace()
	if namespace == "" {
		return
	}
	for _, files := range []map[string]string{j.texts.Templates, j.texts.CRDs} {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			var out strings.Builder
			for _, text := range documents(files[name]) {
				changed, err := inNamespace(text, namespace)
				if err != nil {
					j.report("%s can't be given the namespace %s: %s. Correct the template.", name, namespace, reason(err))
					continue
				}
				out.WriteString("---\n" + strings.TrimRight(changed, "\n") + "\n")
			}
			files[name] = out.String()
		}
	}
}

// documents are those of a text of render.TextsOf.
func documents(text string) []string {
	parts := strings.Split("\n"+text, "\n---\n")
	return parts[1:]
}

// inNamespace returns a document with metadata.namespace, where it has metadata without one.
func inNamespace(text, namespace string) (string, error) {
	node, err := kyaml.Parse(text)
	if err != nil {
		return "", err
	}
	if node.YNode() == nil || node.YNode().Kind != kyaml.MappingNode {
		return text, nil
	}
	metadata := node.Field("metadata")
	if metadata.IsNilOrEmpty() || metadata.Value.YNode().Kind != kyaml.MappingNode || metadata.Value.Field("namespace") != nil {
		return text, nil
	}
	if err := metadata.Value.PipeE(kyaml.SetField("namespace", kyaml.NewStringRNode(namespace))); err != nil {
		return "", err
	}
	return node.String()
}

// The directory in which kustomize works on a release, and the names that chartify gives its files.
const (
	workDir      = "/release"
	patchedFile  = "templates/patched_resources.yaml"
	patchedCRDs  = "crds/patched_crds.yaml"
	templateCRDs = "templates/crds/patched_crds.yaml"
)

// change is one patch or transformer.
type change struct {
	// what names it in messages: jsonPatches[0].
	what string
	// file is its file, and text what it holds.
	file, text string
	// target selects the objects of a JSON patch.
	target map[string]any
	// copies counts operations that may double an object.
	copies int
	// beside are files that the change names, by their names.
	beside map[string]string
}

// maxGrown bounds what copy operations may make of the objects of a release, in bytes.
const maxGrown = 256 << 20

// patch carries out the patches and transformers.
func (j *job) patch() {
	var changes []change
	for i, p := range j.Release.JSONPatches {
		if c, ok := j.jsonPatch(fmt.Sprintf("jsonPatches[%d]", i), i, p); ok {
			changes = append(changes, c)
		}
	}
	for i, p := range j.Release.StrategicMergePatches {
		changes = append(changes, j.configuration(fmt.Sprintf("strategicMergePatches[%d]", i), fmt.Sprintf("strategicmergepatches/patch.%d.yaml", i), p))
	}
	copied := 0
	for i, p := range j.Release.Transformers {
		if c, ok := j.transformer(fmt.Sprintf("transformers[%d]", i), i, p); ok {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 || j.diags.HasErrors() {
		return
	}
	var all strings.Builder
	crdsInTemplates := false
	for _, files := range []map[string]string{j.texts.Templates, j.texts.CRDs} {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			all.WriteString(files[name])
			_, inChart, _ := strings.Cut(name, "/")
			crdsInTemplates = crdsInTemplates || strings.HasPrefix(inChart, "templates/crds/")
		}
	}
	for _, c := range changes {
		if copied += c.copies; copied > 30 || all.Len()<<copied > maxGrown {
			j.report("%s: the copy operations up to here could make more than %d MiB of the release's objects. Write out what they copy.", c.what, maxGrown>>20)
			return
		}
	}
	objects, err := kustomized(all.String(), changes)
	if err != nil {
		j.blame(all.String(), changes, err)
		return
	}
	for _, c := range changes {
		if c.target != nil {
			j.unmatched(c, objects)
		}
	}
	j.split(objects, crdsInTemplates)
}

// blame reports the first change that fails.
func (j *job) blame(all string, changes []change, err error) {
	if _, err := kustomized(all, nil); err != nil {
		j.report("its objects can't be patched: %s. Correct the chart, or drop the patches.", reason(err))
		return
	}
	for i := range changes {
		if _, err := kustomized(all, changes[:i+1]); err != nil {
			j.report("%s can't be carried out: %s. Correct it.", changes[i].what, strings.ReplaceAll(reason(err), workDir+"/", ""))
			return
		}
	}
	j.report("the patches can't be carried out: %s. Correct them.", reason(err))
}

// unmatched warns of a JSON patch that changes nothing.
func (j *job) unmatched(c change, objects []object) {
	selector, err := yaml.Marshal(c.target)
	if err != nil {
		return
	}
	for _, o := range objects {
		if o.matched[string(selector)] {
			return
		}
	}
	j.report("%s changes nothing: no object of the release matches its target. Correct the target, or drop the patch.", c.what)
	j.diags[len(j.diags)-1].Severity = diag.Warning
}

// split makes the files of chartify's chart of the objects.
func (j *job) split(objects []object, crdsInTemplates bool) {
	chart := j.Chart.Name
	texts := render.Texts{Templates: map[string]string{}, CRDs: map[string]string{}}
	for _, o := range objects {
		text := "---\n" + o.text
		switch {
		case o.kind != "CustomResourceDefinition":
			texts.Templates[path.Join(chart, patchedFile)] += text
		case crdsInTemplates:
			texts.Templates[path.Join(chart, templateCRDs)] += text
		default:
			texts.CRDs[path.Join(chart, patchedCRDs)] += text
		}
	}
	j.texts = texts
}

// object is an object that kustomize made.
type object struct {
	kind, text string
	// matched holds the selectors of JSON patches that match it.
	matched map[string]bool
}

// kustomized has kustomize carry out the changes, as the kustomization that chartify writes asks for.
func kustomized(all string, changes []change) ([]object, error) {
	files := filesys.MakeFsInMemory()
	kustomization := map[string]any{"resources": []any{"./resources.yaml"}}
	texts := map[string]string{"resources.yaml": all}
	var patches, transformers []any
	for _, c := range changes {
		texts[c.file] = c.text
		maps.Copy(texts, c.beside)
		switch {
		case strings.HasPrefix(c.file, "transformers/"):
			transformers = append(transformers, "./"+c.file)
		case c.target != nil:
			patches = append(patches, map[string]any{"path": "./" + c.file, "target": c.target})
		default:
			patches = append(patches, map[string]any{"path": "./" + c.file})
		}
	}
	if patches != nil {
		kustomization["patches"] = patches
	}
	if transformers != nil {
		kustomization["transformers"] = transformers
	}
	text, err := yaml.Marshal(kustomization)
	if err != nil {
		return nil, err
	}
	texts["kustomization.yaml"] = string(text)
	for name, text := range texts {
		if err := files.WriteFile(path.Join(workDir, name), []byte(text)); err != nil {
			return nil, err
		}
	}
	made, err := kustomize(files, workDir)
	if err != nil {
		return nil, err
	}
	byID := map[string]*object{}
	out := make([]object, made.Size())
	for i, res := range made.Resources() {
		text, err := res.AsYAML()
		if err != nil {
			return nil, err
		}
		out[i] = object{kind: res.GetKind(), text: string(text), matched: map[string]bool{}}
		byID[res.CurId().String()] = &out[i]
	}
	for _, c := range changes {
		if c.target == nil {
			continue
		}
		written, err := yaml.Marshal(c.target)
		if err != nil {
			return nil, err
		}
		var selector types.Selector
		if err := yaml.DecodeInto(written, &selector); err != nil {
			return nil, err
		}
		found, err := made.Select(selector)
		if err != nil {
			return nil, err
		}
		for _, res := range found {
			if o := byID[res.CurId().String()]; o != nil {
				o.matched[string(written)] = true
			}
		}
	}
	return out, nil
}

// selectors are the keys of the target of a JSON patch (kustomize's api/types, Selector).
var selectors = []string{"group", "version", "kind", "name", "namespace", "labelSelector", "annotationSelector"}

// jsonPatch reads an entry of jsonPatches.
func (j *job) jsonPatch(what string, i int, p map[string]any) (change, bool) {
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if key != "target" && key != "patch" && key != "path" {
			j.report("%s has no key %q: it has target, and patch or path. Correct it.", what, key)
			return change{}, false
		}
	}
	target, ok := p["target"].(map[string]any)
	if !ok || len(target) == 0 {
		j.report("%s has no target. Say which objects it is for: target: {kind: Deployment, name: web}", what)
		return change{}, false
	}
	for _, key := range slices.Sorted(maps.Keys(target)) {
		if _, ok := target[key].(string); !ok || !slices.Contains(selectors, key) {
			j.report("%s: target.%s is nothing that selects objects: %s do, and are strings. Correct it.", what, key, strings.Join(selectors, ", "))
			return change{}, false
		}
	}
	operations, isList := p["patch"].([]any)
	file, _ := p["path"].(string)
	switch {
	case file != "" && p["patch"] != nil:
		j.report("%s has both patch and path. Leave out one of them.", what)
		return change{}, false
	case file != "":
		text, ok := j.Chart.File(path.Clean(file))
		if !ok {
			j.report("%s: path %s is no file of the chart, which is what helmfile sees it from. Write the operations under patch, or the whole entry into "+
				"a file of its own and name that: jsonPatches: [FILE]", what, file)
			return change{}, false
		}
		decoded, err := yaml.Decode(text)
		operations, isList = decoded.([]any)
		if err != nil || !isList {
			j.report("%s: %s of the chart is no list of operations. Correct it.", what, file)
			return change{}, false
		}
	case !isList || len(operations) == 0:
		j.report("%s has no patch. Write the operations: patch: [{op: replace, path: /spec/replicas, value: 3}]", what)
		return change{}, false
	}
	text, err := yaml.Marshal(operations)
	if err != nil {
		j.report("%s can't be written as YAML: %v. Correct it.", what, err)
		return change{}, false
	}
	return change{what: what, file: fmt.Sprintf("jsonpatches/patch.%d.yaml", i), text: string(text), target: target, copies: copies(operations)}, true
}

// copies counts the operations of a patch that may double an object.
func copies(v any) int {
	n := 0
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			n += copies(item)
		}
	case map[string]any:
		for key, item := range v {
			if strings.EqualFold(key, "op") && item == "copy" || strings.EqualFold(key, "delimiter") {
				n++
			}
			n += copies(item)
		}
	case string:
		if strings.Contains(v, "copy") || strings.Contains(v, "delimiter") {
			// An inline patch of a transformer.
			if inner, err := yaml.Decode([]byte(v)); err == nil {
				if _, text := inner.(string); !text {
					n += copies(inner)
				}
			}
		}
	}
	return n
}

// configuration is a change that is one document.
func (j *job) configuration(what, file string, p map[string]any) change {
	text, err := yaml.Marshal(p)
	if err != nil {
		j.report("%s can't be written as YAML: %v. Correct it.", what, err)
	}
	return change{what: what, file: file, text: string(text), copies: copies(p)}
}

// transformer reads an entry of transformers. The file that its path names is put beside it: kustomize sees no other.
func (j *job) transformer(what string, i int, p map[string]any) (change, bool) {
	if p["apiVersion"] != "builtin" {
		j.report("%s is of apiVersion %v, and only kustomize's own transformers are carried out. Write apiVersion: builtin, and one of its kinds "+
			"(PatchTransformer, LabelTransformer, ImageTagTransformer, …)", what, p["apiVersion"])
		return change{}, false
	}
	if file := downloaded(p); file != "" {
		j.report("%s: %q is somewhere else, and otomi fetches nothing for a transformer. Put a copy beside the state file, and name that.", what, file)
		return change{}, false
	}
	file := fmt.Sprintf("transformers/transformer.%d.yaml", i)
	name, _ := p["path"].(string)
	if name == "" {
		return j.configuration(what, file, p), true
	}
	if j.Files == nil {
		j.report("%s: the file %s can't be read here. Write its text into the transformer.", what, name)
		return change{}, false
	}
	text, err := j.Files.ReadFile(template.Join(j.Dir, name))
	if err != nil {
		if detail, forbidden := template.Forbidden(err); forbidden {
			j.report("%s: %s", what, detail)
		} else {
			j.report("%s: the file %s can't be read: %v. Correct the path, which is seen from the state file.", what, name, err)
		}
		return change{}, false
	}
	beside := fmt.Sprintf("transformer-patch-files/patchfile.%d.yaml", i)
	p = maps.Clone(p)
	p["path"] = "./" + beside
	out := j.configuration(what, file, p)
	out.beside = map[string]string{beside: string(text)}
	out.copies += copies(string(text))
	return out, true
}

// downloaded returns what a transformer would make kustomize download, or "".
func downloaded(p map[string]any) string {
	found := ""
	walk(p, func(key string, v any) {
		if text, ok := v.(string); ok && slices.Contains(naming, strings.ToLower(key)) && download(source(text)) {
			found = text
		}
	})
	return found
}

// walk visits the scalars of a tree with the key that they, or the lists they are in, stand under.
func walk(v any, visit func(key string, v any)) {
	var step func(key string, v any)
	step = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, item := range v {
				step(k, item)
			}
		case []any:
			for _, item := range v {
				step(key, item)
			}
		default:
			visit(key, v)
		}
	}
	step("", v)
}
