package runlevel

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// releaseValues reads the values of a release as Helm does what helmfile hands it (pkg/state, namespaceAndValuesFlags): files
// and maps in their order, secrets, the files of the command line; over all of them --set, --set-string and --set-file.
func (r *run) releaseValues(ctx context.Context, state *State, it *item) diag.Diagnostics {
	v := valuesReader{run: r, ctx: ctx, state: state, rel: &it.release, draft: it.raw}
	v.read()
	return v.diags
}

type valuesReader struct {
	*run
	ctx   context.Context
	state *State
	rel   *Release
	draft *draft
	diags diag.Diagnostics
}

func (v *valuesReader) report(code diag.Code, at diag.Range, format string, args ...any) {
	v.diags = append(v.diags, problem(code, at, format, args...))
}

func (v *valuesReader) read() {
	n := v.draft.node
	prefix := v.word(n.Get("valuesPathPrefix"))
	for _, e := range v.draft.values {
		if e.tree != nil {
			v.inline(e.tree)
			continue
		}
		if template.HasReference(e.path) {
			resolved, err := template.Resolve(e.path, v.state.Dir, v.in.FS)
			if err != nil {
				v.failed(e.at, err)
				continue
			}
			e.path = resolved
		}
		v.file(prefix+e.path, e.at, v.handler(n))
	}
	for _, e := range v.draft.secrets {
		v.secret(prefix+e.path, e.at, n)
	}
	for _, a := range v.rel.arguments {
		if a.Name == "--values" || a.Name == "-f" {
			v.commandLine(a.Value)
		}
	}
	for _, name := range v.in.ReleaseValuesFiles {
		v.commandLine(name)
	}
	v.jsonPatches(n)
	out := map[string]any{}
	for _, e := range v.rel.Entries {
		out = helm(out, e.Values)
	}
	v.rel.Values = v.set(out)
	v.rel.defined = v.definition()
	if v.in.Stack {
		v.rel.Entries = nil
	}
}

// definition is where what was read is written.
func (v *valuesReader) definition() *definition {
	d := &definition{sources: v.sources}
	for _, key := range []string{"values", "valuesTemplate"} {
		if f, ok := v.draft.node.Field(key); ok && d.key.IsZero() {
			d.key = f.KeyRange
		}
	}
	for _, e := range v.rel.Entries {
		if e.Tree != nil {
			d.entries = append(d.entries, written{at: e.Tree.Origin.Range})
			continue
		}
		entry := written{file: e.File, text: e.Text}
		if e.secret {
			entry.text = nil
		}
		d.entries = append(d.entries, entry)
	}
	add := func(a assignment) {
		if p, err := value.ParsePath(a.name); err == nil && len(p) > 0 {
			d.sets = append(d.sets, single{p, a.at})
		}
	}
	for _, a := range v.draft.sets {
		add(a)
	}
	for _, key := range []string{"set", "setString"} {
		for _, entry := range items(v.draft.node.Get(key)) {
			add(v.assignment(entry))
		}
	}
	return d
}

// handler is what is done about a missing file: by the release, else by the state file.
func (v *valuesReader) handler(n *value.Node) *value.Node {
	if h := n.Get("missingFileHandler"); !isNull(h) {
		return h
	}
	return v.state.Document.Get("missingFileHandler")
}

// inline takes values of the state file: yaml.v3 reads and writes them, and Helm reads what that gives.
func (v *valuesReader) inline(tree *value.Node) {
	e := ValuesEntry{Tree: tree}
	plain := tree.Plain()
	if references(plain) {
		resolved, err := template.ResolveAll(plain, v.state.Dir, v.in.FS)
		if err != nil {
			v.failed(start(tree), err)
			return
		}
		plain = resolved
	}
	if at, found := endless(tree); found {
		v.report(diag.RunlevelInvalid, at, "%s: a number that is infinite or none can't be given to a chart: Helm reads values as JSON, which has no such number. Write a string.",
			v.draft.what)
		return
	}
	e.Values, _ = yaml.ToChart(plain).(map[string]any)
	v.rel.Entries = append(v.rel.Entries, e)
}

// endless finds a number that is infinite, or none.
func endless(tree *value.Node) (at diag.Range, found bool) {
	tree.Walk(func(_ value.Path, n *value.Node) bool {
		if f, ok := n.Scalar.(float64); ok && !found && (math.IsInf(f, 0) || math.IsNaN(f)) {
			at, found = n.Origin.Range, true
		}
		return !found
	})
	return at, found
}

func references(v any) bool {
	switch v := v.(type) {
	case string:
		return template.HasReference(v)
	case map[string]any:
		for _, item := range v {
			if references(item) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if references(item) {
				return true
			}
		}
	}
	return false
}

// resolved is resolve for files of the release; that one is not there and left out is told with the others of its place.
func (v *valuesReader) resolved(name, what string, handler *value.Node, at diag.Range) ([]string, diag.Diagnostics) {
	files, ds := v.resolve(name, v.state.Dir, what, handler, at)
	if len(files) > 0 || len(ds) == 0 || ds.HasErrors() {
		return files, ds
	}
	v.leftOut(missing{at: at, what: what, name: shownPath(name), dir: v.display(v.state.Dir), file: v.state.File, release: v.rel.Name})
	return nil, nil
}

func (v *valuesReader) file(name string, at diag.Range, handler *value.Node) {
	name, ds := v.located(v.ctx, name, at)
	v.diags = append(v.diags, ds...)
	if ds.HasErrors() {
		return
	}
	files, ds := v.resolved(name, "values file", handler, at)
	v.diags = append(v.diags, ds...)
	if len(files) == 0 {
		return
	}
	if len(files) > 1 {
		v.report(diag.RunlevelInvalid, at, "%s: the pattern %s means %d files, and a pattern of a release means one. Name them one by one.", v.draft.what, name, len(files))
		return
	}
	text, err := v.readFile(files[0])
	if err != nil {
		v.diags = append(v.diags, v.unreadable("values file", name, at, err))
		return
	}
	shown := v.display(files[0])
	v.source(shown, text)
	if !templated(files[0]) {
		v.add(shown, text, at, true)
		return
	}
	out, ds := v.own(v.ctx, string(text), shown, v.data(), path.Dir(files[0]), v.state.Dir)
	v.diags = append(v.diags, chained(ds, "it is named here", at)...)
	if ds.HasErrors() {
		return
	}
	shown += " (rendered)"
	v.source(shown, []byte(out))
	v.add(shown, []byte(out), at, false)
}

// data is what the templates of the release's files see: a copy of the state values, which they may change.
func (v *valuesReader) data() map[string]any {
	rel := v.rel
	env := v.state.Environment
	if env.KubeContext == "" && v.in.Stack {
		env.KubeContext = v.in.KubeContext
	}
	override := func(key, flag string) string {
		if flag != "" {
			return flag
		}
		return v.word(v.state.Document.Get(key))
	}
	data, _ := template.Data(map[string]any{
		"Values": v.state.Values, "StateValues": v.state.Values,
		"Environment": env.Data(),
		"Namespace":   override("namespace", v.in.Namespace), "KubeContext": override("kubeContext", v.in.KubeContext),
		"Chart":   override("chart", v.in.Chart),
		"Release": releaseData(rel.Name, rel.WrittenNamespace, rel.Chart, rel.Version, v.draft.kubeContext, rel.Labels),
	}).(map[string]any)
	return data
}

// add reads the text of a values file as Helm does. One that holds references goes through yaml.v3 first, as helmfile does it.
func (v *valuesReader) add(shown string, text []byte, at diag.Range, shared bool) {
	if strings.Contains(string(text), "ref+") && template.HasReference(string(text)) {
		roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: shown, Dates: true})
		v.diags = append(v.diags, chained(ds, "it is named here", at)...)
		if ds.HasErrors() || len(roots) == 0 {
			return
		}
		resolved, err := template.ResolveAll(roots[0].Plain(), v.state.Dir, v.in.FS)
		if err != nil {
			v.failed(at, err)
			return
		}
		if text, err = yaml.MarshalState(resolved); err != nil {
			panic("runlevel: a tree that can't be written: " + err.Error())
		}
	}
	type result struct {
		values map[string]any
		diags  diag.Diagnostics
	}
	read := func() any {
		m, ds := yaml.ReadHelm(text, yaml.ReadOptions{File: shown})
		return result{m, ds}
	}
	var res result
	if shared {
		res = v.memo.do("release values\x00"+shown, read).(result)
	} else {
		res = read().(result)
	}
	v.diags = append(v.diags, chained(res.diags, "it is named here", at)...)
	if !res.diags.HasErrors() {
		v.rel.Entries = append(v.rel.Entries, ValuesEntry{File: shown, Text: text, Values: res.values})
	}
}

func (v *valuesReader) secret(name string, at diag.Range, n *value.Node) {
	name, ds := v.located(v.ctx, name, at)
	v.diags = append(v.diags, ds...)
	if ds.HasErrors() {
		return
	}
	files, ds := v.resolved(name, "secrets file", n.Get("missingFileHandler"), at)
	v.diags = append(v.diags, ds...)
	if len(files) == 0 {
		return
	}
	if len(files) > 1 {
		v.report(diag.RunlevelInvalid, at, "%s: the pattern %s means %d files, and a pattern of a release means one. Name them one by one.", v.draft.what, name, len(files))
		return
	}
	text, ds := v.decrypted(files[0], at)
	v.diags = append(v.diags, ds...)
	if ds.HasErrors() {
		return
	}
	shown := v.display(files[0])
	m, ds := yaml.ReadHelm(text, yaml.ReadOptions{File: shown, Secret: true})
	v.diags = append(v.diags, chained(ds, "it is named here", at)...)
	if !ds.HasErrors() {
		v.rel.Entries = append(v.rel.Entries, ValuesEntry{File: shown, Text: text, Values: m, secret: true})
	}
}

// commandLine reads a file of --values, which Helm reads itself: it is no template.
func (v *valuesReader) commandLine(name string) {
	at := diag.Range{}
	file := v.commandLinePath(name, v.state.Dir)
	text, err := v.readFile(file)
	if err != nil {
		v.diags = append(v.diags, v.unreadable("file of --values", name, at, err))
		return
	}
	shown := v.display(file)
	v.source(shown, text)
	v.add(shown, text, at, true)
}

// commandLinePath is where a file of the command line is: with one state file, which helmfile goes to, as seen from there,
// else from the working directory.
func (r *run) commandLinePath(name, dir string) string {
	if len(r.in.Files) != 1 || path.IsAbs(name) || r.in.FS == nil {
		return name
	}
	seen := template.Join(dir, name)
	if _, err := r.in.FS.Stat(seen); err != nil {
		if _, err := r.in.FS.Stat(name); err == nil {
			return name
		}
	}
	return seen
}

// set lays single values over others, in Helm's order (pkg/cli/values, MergeValues): all of --set, then of --set-string, then
// of --set-file.
func (v *valuesReader) set(values map[string]any) map[string]any {
	var plain, strs, files []pending
	n := v.draft.node
	assign := func(to *[]pending, a assignment) {
		switch {
		case a.value != "":
			text, err := template.Resolve(a.value, v.state.Dir, v.in.FS)
			if err != nil {
				v.failed(a.at, err)
				return
			}
			*to = append(*to, pending{escape(a.name) + "=" + escape(text), a.at})
		case a.file != "" && to == &plain:
			files = append(files, pending{escape(a.name) + "=" + a.file, a.at})
		case len(a.values) > 0:
			texts := make([]string, len(a.values))
			for i, item := range a.values {
				text, err := v.listed(item)
				if err != nil {
					v.failed(a.at, err)
					return
				}
				texts[i] = escape(text)
			}
			*to = append(*to, pending{escape(a.name) + "={" + strings.Join(texts, ",") + "}", a.at})
		}
	}
	for _, a := range v.draft.sets {
		assign(&plain, a)
	}
	for _, entry := range items(n.Get("set")) {
		assign(&plain, v.assignment(entry))
	}
	for _, entry := range items(n.Get("setString")) {
		assign(&strs, v.assignment(entry))
	}
	for _, entry := range items(n.Get("env")) {
		name := v.word(entry.Get("value"))
		text, set, err := v.in.Allow.Lookup("env", name)
		if err != nil {
			v.failed(start(entry), err)
			continue
		}
		if !set {
			v.report(diag.RunlevelInvalid, start(entry), "%s: env takes the variable %s of the environment, and it is not set. Set it.", v.draft.what, name)
			continue
		}
		plain = append(plain, pending{escape(v.word(entry.Get("name"))) + "=" + escape(text), start(entry)})
	}
	for _, a := range v.rel.arguments {
		switch a.Name {
		case "--set":
			plain = append(plain, pending{a.Value, a.Range})
		case "--set-string":
			strs = append(strs, pending{a.Value, a.Range})
		}
	}
	for _, text := range v.in.ReleaseSet {
		plain = append(plain, pending{text, diag.Range{}})
	}
	if len(plain)+len(strs)+len(files) == 0 {
		return values
	}
	values, _ = copied(values).(map[string]any)
	for _, p := range plain {
		v.parsed(p, strvals.ParseInto(p.text, values))
	}
	for _, p := range strs {
		v.parsed(p, strvals.ParseIntoString(p.text, values))
	}
	for _, p := range files {
		v.parsed(p, strvals.ParseIntoFile(p.text, values, func(name []rune) (any, error) {
			text, err := v.readFile(template.Join(v.state.Dir, string(name)))
			return string(text), err
		}))
	}
	return values
}

// pending is a text in the grammar of --set, and where it is written.
type pending struct {
	text string
	at   diag.Range
}

func (v *valuesReader) parsed(p pending, err error) {
	if err == nil {
		return
	}
	if detail, ok := template.Forbidden(err); ok {
		v.report(diag.TemplateForbidden, p.at, "%s", detail)
		return
	}
	key, _, _ := strings.Cut(p.text, "=")
	v.report(diag.RunlevelInvalid, p.at, "%s: Helm can't set %q: %v. Correct it.", v.draft.what, key, reason(err))
}

func (v *valuesReader) assignment(n *value.Node) assignment {
	a := assignment{name: v.word(n.Get("name")), value: v.word(n.Get("value")), file: v.word(n.Get("file")), at: start(n)}
	if l := n.Get("values"); l != nil {
		for _, item := range l.Items {
			a.values = append(a.values, item.Plain())
		}
	}
	return a
}

// listed is one of several values of an assignment: a string as it is, anything else as JSON (helmfile's renderValsSecretsAny).
func (v *valuesReader) listed(item any) (string, error) {
	if s, ok := item.(string); ok {
		return template.Resolve(s, v.state.Dir, v.in.FS)
	}
	return inJSON(item), nil
}

// escape keeps characters of a value from being grammar of --set, as far as helmfile does it.
func escape(s string) string { return strings.NewReplacer("{", `\{`, "}", `\}`, ",", `\,`).Replace(s) }

func (v *valuesReader) failed(at diag.Range, err error) {
	if detail, ok := template.Forbidden(err); ok {
		v.report(diag.TemplateForbidden, at, "%s", detail)
		return
	}
	v.report(diag.RunlevelInvalid, at, "%s: %v. Correct it.", v.draft.what, err)
}

// jsonPatches reads what changes the manifests of the release: patches in the state file, or in files.
func (v *valuesReader) jsonPatches(n *value.Node) {
	for _, p := range []struct {
		key string
		to  *[]map[string]any
	}{
		{"jsonPatches", &v.rel.JSONPatches}, {"strategicMergePatches", &v.rel.StrategicMergePatches}, {"transformers", &v.rel.Transformers},
	} {
		l := n.Get(p.key)
		if l == nil {
			continue
		}
		for i, entry := range l.Items {
			switch entry.Kind {
			case value.Map:
				*p.to = append(*p.to, entry.PlainMap())
			case value.String:
				*p.to = append(*p.to, v.patchFile(entry)...)
			default:
				v.report(diag.RunlevelWrongType, entry.Origin.Range, "%s: %s[%d] is %s. Make it a path or a map.", v.draft.what, p.key, i, entry.Kind.WithArticle())
			}
		}
	}
}

func (v *valuesReader) patchFile(entry *value.Node) []map[string]any {
	at := entry.Origin.Range
	name, ds := v.located(v.ctx, entry.Text(), at)
	v.diags = append(v.diags, ds...)
	if ds.HasErrors() {
		return nil
	}
	files, ds := v.resolve(name, v.state.Dir, "file", nil, at)
	v.diags = append(v.diags, ds...)
	var out []map[string]any
	for _, name := range files {
		text, err := v.readFile(name)
		if err != nil {
			v.diags = append(v.diags, v.unreadable("file", name, at, err))
			continue
		}
		shown := v.display(name)
		v.source(shown, text)
		if templated(name) {
			done, ds := v.own(v.ctx, string(text), shown, v.data(), path.Dir(name), v.state.Dir)
			v.diags = append(v.diags, chained(ds, "it is named here", at)...)
			if ds.HasErrors() {
				continue
			}
			text, shown = []byte(done), shown+" (rendered)"
			v.source(shown, text)
		}
		roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: shown})
		v.diags = append(v.diags, chained(ds, "it is named here", at)...)
		for _, root := range roots {
			if root.Kind == value.Map {
				out = append(out, root.PlainMap())
			}
		}
	}
	return out
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = copied(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = copied(item)
		}
		return out
	default:
		return v
	}
}

// Written are the values of a release as `write-values` writes them: its files and maps, merged, without --set (helmfile 1.7,
// pkg/state, WriteReleasesValues). A file with equal keys is an error there.
func (r Release) Written() (map[string]any, diag.Diagnostics) {
	var out map[string]any
	var ds diag.Diagnostics
	for _, e := range r.Entries {
		if e.Tree != nil {
			out = over(out, e.Tree.PlainMap())
			continue
		}
		roots, more := yaml.ReadStates(e.Text, yaml.ReadOptions{File: e.File, Dates: true})
		ds = append(ds, more...)
		if len(roots) > 0 {
			out = over(out, roots[0].PlainMap())
		}
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, ds
}

func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // a number that JSON has not
	}
	return string(text)
}
