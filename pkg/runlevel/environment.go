package runlevel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
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
	text, err := json.Marshal(m)
	if err != nil {
		text = fmt.Appendf(nil, "%#v", m) // a number that JSON has not, like .inf
	}
	sum := sha256.Sum256(text)
	out := hex.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.digests[pointer] = digested{m, out}
	return out
}

// digested keeps the map beside its digest, so that no other comes to stand at its place.
type digested struct {
	values map[string]any
	digest string
}

// data is what templates of state files and of values of environments see.
func (r *run) data(env *layers) map[string]any {
	name, kubeContext := r.in.Environment, ""
	if env != nil {
		kubeContext = env.kubeContext
		if env.name != "" {
			name = env.name
		}
	}
	if kubeContext == "" && r.in.Stack {
		kubeContext = r.in.KubeContext
	}
	values := env.merged()
	own := values
	if env != nil && len(env.defaults) > 0 {
		own = env.own()
	}
	return map[string]any{
		"Values": values, "StateValues": values, "Namespace": r.in.Namespace,
		"Environment": map[string]any{"Name": name, "KubeContext": kubeContext, "Values": own},
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
		secrets, more := r.secrets(n.Get("secrets"), handler, l.dir)
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
	for i, entry := range n.Items {
		switch entry.Kind {
		case value.Null:
		case value.Map:
			add(entry.PlainMap())
		case value.String:
			name, more := r.located(entry.Text(), o.dir, entry.Origin.Range)
			ds = append(ds, more...)
			if more.HasErrors() {
				continue
			}
			files, more := r.resolve(name, o.dir, "values file", o.handler, entry.Origin.Range)
			ds = append(ds, more...)
			for _, file := range files {
				env := o.env
				if fallback && len(out) > 0 {
					seen := layers{name: r.in.Environment}
					if env != nil {
						seen = *env
					}
					seen.defaults = over(out, seen.merged())
					env = &seen
				}
				m, more := r.valuesFile(ctx, file, env)
				ds = append(ds, chained(more, "it is named here", entry.Origin.Range)...)
				add(m)
			}
		default:
			ds = append(ds, problem(diag.RunlevelWrongType, entry.Origin.Range, "values[%d] is %s. Make it a path or a map.", i, entry.Kind.WithArticle()))
		}
	}
	return out, ds
}

// valuesFile reads a file of state values. One with the same inputs is read once a run.
func (r *run) valuesFile(ctx context.Context, name string, env *layers) (map[string]any, diag.Diagnostics) {
	if strings.HasSuffix(name, ".hcl") {
		return nil, diag.Diagnostics{problem(diag.RunlevelUnsupported, diag.Range{File: r.display(name)},
			"values in HCL are not read. Write the file as YAML, or as a template %s.yaml.gotmpl where it computes.", strings.TrimSuffix(name, ".hcl"))}
	}
	key := "values\x00" + name
	if templated(name) {
		key += "\x00" + env.digest(r)
	}
	type result struct {
		values map[string]any
		diags  diag.Diagnostics
	}
	res := r.memo.do(key, func() any {
		root, ds := r.stateValues(ctx, name, env)
		return result{root.PlainMap(), ds}
	}).(result)
	return res.values, res.diags
}

func (r *run) stateValues(ctx context.Context, name string, env *layers) (*value.Node, diag.Diagnostics) {
	text, err := r.readFile(name)
	if err != nil {
		return nil, diag.Diagnostics{r.unreadable("values file", name, diag.Range{File: r.display(name)}, err)}
	}
	shown := r.display(name)
	r.source(shown, text)
	if templated(name) {
		out, ds := r.execute(ctx, string(text), shown, 0, r.data(env), path.Dir(name))
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

// secrets merges decrypted secrets files.
func (r *run) secrets(n *value.Node, handler *value.Node, dir string) (map[string]any, diag.Diagnostics) {
	if n == nil {
		return nil, nil
	}
	var out map[string]any
	var ds diag.Diagnostics
	for _, entry := range n.Items {
		files, more := r.resolve(r.word(entry), dir, "secrets file", handler, entry.Origin.Range)
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
			out = over(out, root.PlainMap())
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
	d := problem(diag.RunlevelInvalid, at, "there is no %s %s (seen from %s). Correct the path, or set missingFileHandler: Warn.", what, name, r.display(dir))
	switch mode {
	case "Error":
		return nil, diag.Diagnostics{d}
	case "Warn":
		d.Severity = diag.Warning
		d.Detail = fmt.Sprintf("there is no %s %s (seen from %s), and it is left out. Correct the path.", what, name, r.display(dir))
		return nil, diag.Diagnostics{d}
	case "Info", "Debug":
		return nil, nil
	}
	return nil, diag.Diagnostics{problem(diag.RunlevelInvalid, handler.Origin.Range, "the missingFileHandler is %q. Write Error, Warn, Info or Debug.", mode)}
}

// located returns the path of what may be a go-getter URL.
func (r *run) located(name, dir string, at diag.Range) (string, diag.Diagnostics) {
	if !remote(name) {
		return name, nil
	}
	if r.in.Fetch == nil {
		return "", diag.Diagnostics{problem(diag.TemplateForbidden, at,
			"%s is on the network, which a state file may only reach where you allow it. Allow it: --allow net", name)}
	}
	local, err := r.in.Fetch.Fetch(name)
	if err != nil {
		return "", diag.Diagnostics{problem(diag.RunlevelInvalid, at, "%s can't be fetched: %v. Correct the address.", name, err)}
	}
	return local, nil
}

// remote reports whether a path is a go-getter URL as helmfile takes one (pkg/remote, Parse).
func remote(name string) bool {
	return strings.Contains(name, "://") || strings.HasPrefix(name, "git::")
}
