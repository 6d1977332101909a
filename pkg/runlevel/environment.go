package runlevel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/hcl"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// defaultEnvironment is the environment that every state file has.
const defaultEnvironment = "default"

// layers are the state values of one environment, by strength (helmfile's environment.Environment). They are never changed.
type layers struct {
	name, kubeContext string
	// defaults are weaker than values, and assigned stronger: these come from single values of the command line.
	defaults, values, assigned map[string]any
}

// merge lays other over l; either may be nil.
func (l *layers) merge(other *layers) *layers {
	switch {
	case l == nil:
		return other
	case other == nil:
		return l
	}
	out := *l
	if other.name != "" {
		out.name = other.name
	}
	if other.kubeContext != "" {
		out.kubeContext = other.kubeContext
	}
	out.values = layered(l.values, other.values)
	out.defaults = layered(l.defaults, other.defaults)
	out.assigned = assigned(l.assigned, other.assigned)
	return &out
}

// merged are all layers in one: .Values.
func (l *layers) merged() map[string]any {
	if l == nil {
		return map[string]any{}
	}
	out := assigned(layered(l.defaults, l.values), l.assigned)
	if out == nil {
		return map[string]any{}
	}
	return out
}

// own are the values without defaults: .Environment.Values.
func (l *layers) own() map[string]any {
	if l == nil {
		return map[string]any{}
	}
	out := assigned(l.values, l.assigned)
	if out == nil {
		return map[string]any{}
	}
	return out
}

// digest identifies layers by what they hold.
func (l *layers) digest(r *run) string {
	if l == nil {
		return ""
	}
	return strings.Join([]string{l.name, l.kubeContext, r.digest(l.defaults), r.digest(l.values), r.digest(l.assigned)}, "\x01")
}

// digest identifies values. They are never changed, so that one map is looked at once.
func (r *run) digest(m map[string]any) string {
	if len(m) == 0 {
		return ""
	}
	pointer := reflect.ValueOf(m).Pointer()
	r.mu.Lock()
	known, ok := r.digests[pointer]
	r.mu.Unlock()
	if ok {
		return known.digest
	}
	sum := sha256.Sum256(typed(nil, m))
	out := hex.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.digests[pointer] = digested{m, out}
	return out
}

// typed appends a text that only equal values have: templates tell 2 from 2.0, and a date from its text.
func typed(text []byte, v any) []byte {
	switch v := v.(type) {
	case map[string]any:
		text = append(text, '{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			text = typed(append(strconv.AppendQuote(text, k), ':'), v[k])
		}
		return append(text, '}')
	case []any:
		text = append(text, '[')
		for _, item := range v {
			text = append(typed(text, item), ',')
		}
		return append(text, ']')
	case string:
		return strconv.AppendQuote(text, v)
	case nil, bool, int64:
		return fmt.Append(text, v)
	default:
		return fmt.Appendf(text, "%T %v", v, v)
	}
}

// digested keeps the map beside its digest, so that no other comes to stand at its place.
type digested struct {
	values map[string]any
	digest string
}

// data is what templates of state files and of values of environments see.
func (r *run) data(env *layers) map[string]any {
	seen := Environment{Name: r.in.Environment}
	if env != nil {
		seen.KubeContext, seen.Defaults, seen.Assigned = env.kubeContext, env.defaults, env.assigned
		if env.name != "" {
			seen.Name = env.name
		}
	}
	if seen.KubeContext == "" && r.in.Stack {
		seen.KubeContext = r.in.KubeContext
	}
	values := env.merged()
	seen.Values = values
	if env != nil && len(env.defaults) > 0 {
		seen.Values = env.own()
	}
	return map[string]any{
		"Values": values, "StateValues": values, "Namespace": r.in.Namespace, "Environment": seen.Data(),
	}
}

// environment evaluates the environment of the run as one part defines it, on top of what earlier parts left (helmfile's
// loadEnvValues and LoadEnvValues).
func (r *run) environment(ctx context.Context, spec *value.Node, before *layers, l loading) (*layers, diag.Diagnostics) {
	out := &layers{name: r.in.Environment}
	var ds diag.Diagnostics
	if n := spec.Get("environments").Get(r.in.Environment); n != nil && n.Kind == value.Map {
		out.kubeContext = r.word(n.Get("kubeContext"))
		values, more := r.entries(ctx, n.Get("values"), entriesOptions{
			dir: l.dir, handler: n.Get("missingFileHandler"), strategy: n.Get("mergeStrategy"), env: before,
		})
		ds = append(ds, more...)
		handler := n.Get("missingFileHandler")
		if isNull(handler) {
			handler = spec.Get("missingFileHandler")
		}
		secrets, more := r.secrets(ctx, n.Get("secrets"), handler, l.dir)
		ds = append(ds, more...)
		out.values = over(values, secrets)
	}
	if before != nil {
		out.defaults = before.defaults
		out.values = layered(before.values, out.values)
		out.assigned = before.assigned
		if before.name != "" {
			out.name = before.name
		}
		if before.kubeContext != "" {
			out.kubeContext = before.kubeContext
		}
	}
	defaults, more := r.entries(ctx, spec.Get("values"), entriesOptions{dir: l.dir, env: before})
	ds = append(ds, more...)
	out.defaults = over(out.defaults, defaults)
	if r.in.Values != nil && l.override != nil {
		out.values = layered(out.values, l.override.values)
	}
	return out, ds
}

// entriesOptions say how a list of values is read.
type entriesOptions struct {
	// dir is the directory that paths are seen from.
	dir               string
	handler, strategy *value.Node
	// env is what templates see.
	env *layers
}

// entries merges the entries of a list of state values: maps, and files by path or pattern (helmfile's
// LoadEnvironmentValues).
func (r *run) entries(ctx context.Context, n *value.Node, o entriesOptions) (map[string]any, diag.Diagnostics) {
	var ds diag.Diagnostics
	fallback := false
	if !isNull(o.strategy) {
		switch s := r.word(o.strategy); s {
		case "", "override":
		case "fallback":
			fallback = true
		default:
			ds = append(ds, problem(diag.RunlevelInvalid, o.strategy.Origin.Range, "the mergeStrategy is %q. Write override or fallback.", s))
		}
	}
	var out map[string]any
	add := func(m map[string]any) {
		if fallback {
			out = layered(m, out) // the first wins
			return
		}
		out = over(out, m)
	}
	if n == nil {
		return nil, ds
	}
	var inHCL []string
	for i, entry := range n.Items {
		switch entry.Kind {
		case value.Null:
		case value.Map:
			add(exact(entry))
		case value.String:
			name, more := r.located(ctx, entry.Text(), entry.Origin.Range)
			ds = append(ds, more...)
			if more.HasErrors() {
				continue
			}
			files, more := r.resolve(name, o.dir, "values file", o.handler, entry.Origin.Range)
			ds = append(ds, more...)
			for _, file := range files {
				if isHCL(file) {
					inHCL = append(inHCL, file)
					continue
				}
				env := o.env
				if fallback && len(out) > 0 {
					seen := layers{name: r.in.Environment}
					if env != nil {
						seen = *env
					}
					seen.defaults = over(out, seen.merged())
					env = &seen
				}
				m, more := r.valuesFile(ctx, file, o.dir, env)
				ds = append(ds, chained(more, "it is named here", entry.Origin.Range)...)
				add(m)
			}
		default:
			ds = append(ds, problem(diag.RunlevelWrongType, entry.Origin.Range, "values[%d] is %s. Make it a path or a map.", i, entry.Kind.WithArticle()))
		}
	}
	if len(inHCL) > 0 {
		m, more := r.hclFiles(inHCL)
		ds = append(ds, chained(more, "it is named here", start(n))...)
		add(m)
	}
	return out, ds
}

// valuesFile reads a file of state values. One with the same inputs is read once a run.
func (r *run) valuesFile(ctx context.Context, name, refs string, env *layers) (map[string]any, diag.Diagnostics) {
	key := "values\x00" + name
	if templated(name) {
		key += "\x00" + refs + "\x00" + env.digest(r)
	}
	type result struct {
		values map[string]any
		diags  diag.Diagnostics
	}
	res := r.memo.do(key, func() any {
		root, ds := r.stateValues(ctx, name, refs, env)
		return result{exact(root), ds}
	}).(result)
	return res.values, res.diags
}

func isHCL(name string) bool { return strings.HasSuffix(name, ".hcl") }

// hclFiles reads files of state values in HCL: those of one list together, over the others of the list (helmfile's
// LoadEnvironmentValues). The same files are read once a run.
func (r *run) hclFiles(names []string) (map[string]any, diag.Diagnostics) {
	type result struct {
		values map[string]any
		diags  diag.Diagnostics
	}
	res := r.memo.do("hcl\x00"+strings.Join(names, "\x00"), func() any {
		var files []hcl.File
		var ds diag.Diagnostics
		for _, name := range names {
			text, err := r.readFile(name)
			if err != nil {
				ds = append(ds, r.unreadable("values file", name, diag.Range{File: r.display(name)}, err))
				continue
			}
			r.source(r.display(name), text)
			files = append(files, hcl.File{Name: r.display(name), Text: text})
		}
		if ds.HasErrors() {
			return result{nil, ds}
		}
		values, more := hcl.Values(files)
		return result{values, append(ds, more...)}
	}).(result)
	return res.values, res.diags
}

func (r *run) stateValues(ctx context.Context, name, refs string, env *layers) (*value.Node, diag.Diagnostics) {
	text, err := r.readFile(name)
	if err != nil {
		return nil, diag.Diagnostics{r.unreadable("values file", name, diag.Range{File: r.display(name)}, err)}
	}
	shown := r.display(name)
	r.source(shown, text)
	if templated(name) {
		data := r.data(env)
		data["Namespace"] = "" // as in helmfile (pkg/state, envvals_loader.go): -n is for releases
		out, ds := r.execute(ctx, string(text), shown, 0, data, path.Dir(name), refs)
		if ds.HasErrors() {
			return nil, ds
		}
		text = []byte(out)
		shown += " (rendered)"
		r.source(shown, text)
	}
	return readValues(text, shown)
}

// readValues reads state values as helmfile does: yaml.v3's reading of the first document.
func readValues(text []byte, shown string) (*value.Node, diag.Diagnostics) {
	roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: shown, StringKeys: true, Dates: true})
	if ds.HasErrors() || len(roots) == 0 || isNull(roots[0]) {
		return nil, ds
	}
	if roots[0].Kind != value.Map {
		return nil, append(ds, problem(diag.ValuesRootNotMap, roots[0].Origin.Range,
			"the file holds %s, and values are a map. Write it as \"key: value\" lines.", roots[0].Kind.WithArticle()))
	}
	return roots[0], ds
}

// exact are the values of a map as templates see them.
func exact(root *value.Node) map[string]any {
	m, ok := root.PlainExact().(map[string]any)
	if !ok {
		return map[string]any{}
	}
	return m
}

// secrets merges decrypted secrets files.
func (r *run) secrets(ctx context.Context, n *value.Node, handler *value.Node, dir string) (map[string]any, diag.Diagnostics) {
	if n == nil {
		return nil, nil
	}
	var out map[string]any
	var ds diag.Diagnostics
	for _, entry := range n.Items {
		name, more := r.located(ctx, r.word(entry), entry.Origin.Range)
		ds = append(ds, more...)
		if more.HasErrors() {
			continue
		}
		files, more := r.resolve(name, dir, "secrets file", handler, entry.Origin.Range)
		ds = append(ds, more...)
		for _, file := range files {
			text, more := r.decrypted(file, entry.Origin.Range)
			ds = append(ds, more...)
			if more.HasErrors() {
				continue
			}
			root, more := readValues(text, r.display(file))
			for i := range more {
				more[i].Secret = true
			}
			ds = append(ds, more...)
			out = over(out, exact(root))
		}
	}
	return out, ds
}

// decrypted returns the text of a secrets file.
func (r *run) decrypted(name string, at diag.Range) ([]byte, diag.Diagnostics) {
	text, err := r.readFile(name)
	if err != nil {
		return nil, diag.Diagnostics{r.unreadable("secrets file", name, at, err)}
	}
	if r.in.Decrypt == nil {
		return nil, diag.Diagnostics{problem(diag.SecretEncrypted, at,
			"%s is a secrets file, and nothing decrypts here. Allow it: --allow decrypt", r.display(name))}
	}
	text, err = r.in.Decrypt.Decrypt(name, text)
	if err != nil {
		return nil, diag.Diagnostics{problem(diag.SecretEncrypted, at, "%s can't be decrypted: %v. Check the key.", r.display(name), err)}
	}
	return text, nil
}

// resolve returns the files that a path or pattern means, sorted; one that means none is for the handler to tell.
func (r *run) resolve(name, dir, what string, handler *value.Node, at diag.Range) ([]string, diag.Diagnostics) {
	names, err := r.glob(template.Join(dir, name))
	if err != nil {
		return nil, diag.Diagnostics{r.unreadable(what, name, at, err)}
	}
	if len(names) > 0 {
		return names, nil
	}
	mode := "Error"
	if !isNull(handler) {
		mode = r.word(handler)
	}
	d := problem(diag.RunlevelInvalid, at, "there is no %s %s (seen from %s). Correct the path, or set missingFileHandler: Warn.", what, shownPath(name), r.display(dir))
	switch mode {
	case "Error":
		return nil, diag.Diagnostics{d}
	case "Warn":
		d.Severity = diag.Warning
		d.Detail = fmt.Sprintf("there is no %s %s (seen from %s), and it is left out. Correct the path.", what, shownPath(name), r.display(dir))
		return nil, diag.Diagnostics{d}
	case "Info", "Debug":
		return nil, nil
	}
	return nil, diag.Diagnostics{problem(diag.RunlevelInvalid, handler.Origin.Range, "the missingFileHandler is %q. Write Error, Warn, Info or Debug.", mode)}
}

// located returns the path of what may be a go-getter URL.
func (r *run) located(ctx context.Context, name string, at diag.Range) (string, diag.Diagnostics) {
	if !remote(name) {
		return name, nil
	}
	if r.in.Fetch == nil {
		return "", diag.Diagnostics{problem(diag.TemplateForbidden, at, "it is on the network, and nothing is fetched here. Name a file.")}
	}
	local, found, err := r.in.Fetch.Fetch(ctx, name)
	if err != nil {
		return "", diag.Diagnostics{problem(diag.RunlevelRemote, at, "%v. Try again, or name a file.", err)}
	}
	ds := slices.Clone(found)
	for i := range ds {
		ds[i].Range = at
		if ds[i].Code != diag.TemplateForbidden { // which ends in a flag
			ds[i].Detail += "."
		}
	}
	return local, ds
}

// remote reports whether a path is a URL, or a go-getter URL, as helmfile takes one (pkg/remote, Parse).
func remote(name string) bool {
	return strings.Contains(name, "://") || strings.HasPrefix(name, "git::")
}
