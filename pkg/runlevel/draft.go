package runlevel

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/template"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// draft is a release whose templates are being carried out.
type draft struct {
	// node is the release with what it inherits.
	node *value.Node
	what string

	name, chart, namespace, version, kubeContext string
	// booleans are the texts of the keys ...Template.
	booleans map[string]string
	labels   map[string]string
	args     []string
	values   []rawEntry
	secrets  []rawEntry
	sets     []assignment
	needs    []need
}

// rawEntry is an entry of values or secrets: a path, or a map.
type rawEntry struct {
	path string
	tree *value.Node
	at   diag.Range
}

// assignment is an entry of set.
type assignment struct {
	name, value, file string
	values            []any
	at                diag.Range
}

// slot is one text of a draft that may be a template.
type slot struct {
	text string
	at   diag.Range
	// put takes the text that the template gave; it returns what is wrong with it.
	put func(d *draft, text string) *diag.Diagnostic
}

// inheriting merges release templates under a release, in the order they are named (helmfile's releaseWithInheritedTemplate).
func (r *reader) inheriting(n, templates *value.Node, defaults []string, what string, path []string) (*value.Node, diag.Diagnostics) {
	if r.inherits++; r.inherits > maxInherits {
		if r.inherits > maxInherits+1 {
			return n, nil // reported
		}
		return n, diag.Diagnostics{problem(diag.TemplateBudget, start(n), "%s: the releases of the file inherit more than %d templates, those of templates counted each time. "+
			"Inherit fewer.", what, maxInherits)}
	}
	type from struct {
		template string
		at       diag.Range
		except   *value.Node
	}
	var froms []from
	var ds diag.Diagnostics
	add := func(entry *value.Node) {
		if entry.Kind == value.Map {
			t := entry.Get("template")
			at := start(entry)
			if t != nil {
				at = t.Origin.Range
			}
			froms = append(froms, from{strings.TrimSpace(r.word(t)), at, entry.Get("except")})
		}
	}
	own := n.Get("inherit")
	switch {
	case isNull(own):
	case own.Kind == value.List:
		for _, entry := range own.Items {
			add(entry)
		}
	default:
		add(own)
	}
	var ahead []from
	for _, name := range defaults {
		if !slices.ContainsFunc(froms, func(f from) bool { return f.template == name }) {
			ahead = append(ahead, from{name, start(n), nil})
		}
	}
	froms = append(ahead, froms...)
	if len(froms) == 0 {
		return n, nil
	}
	merged := value.NewMap(n.Origin)
	for _, f := range froms {
		if f.template == "" {
			continue
		}
		if slices.Contains(path, f.template) {
			return n, append(ds, problem(diag.RunlevelInvalid, f.at, "%s: templates inherit each other in a circle: %s. Drop one of these.",
				what, strings.Join(append(path, f.template), " → ")))
		}
		target := templates.Get(f.template)
		if target == nil || target.Kind != value.Map {
			var names []string
			if templates != nil {
				for _, field := range templates.Fields {
					names = append(names, field.Key)
				}
			}
			hint := "Define it under templates."
			if near := diag.Nearest(f.template, names); near != "" {
				hint = fmt.Sprintf("Did you mean %q?", near)
			}
			ds = append(ds, problem(diag.RunlevelInvalid, f.at, "%s inherits the template %q, and there is none of that name. %s", what, f.template, hint))
			continue
		}
		source, more := r.inheriting(target, templates, nil, what, append(slices.Clone(path), f.template))
		ds = append(ds, more...)
		if f.except != nil {
			for _, item := range f.except.Items {
				key := r.word(item)
				if !slices.Contains(exceptable, key) {
					hint := "It may be one of " + strings.Join(exceptable, ", ") + "."
					if near := diag.Nearest(key, exceptable); near != "" {
						hint = fmt.Sprintf("Did you mean %q?", near)
					}
					ds = append(ds, problem(diag.RunlevelInvalid, item.Origin.Range, "%s: %q can't be left out of what is inherited. %s", what, key, hint))
					continue
				}
				source = without(source, key)
			}
		}
		merged = overlay(merged, without(source, "inherit"), appended)
	}
	merged = overlay(merged, without(n, "inherit"), appended)
	out := *merged
	out.Origin = n.Origin
	return &out, ds
}

// maxInherits bounds how often templates are inherited in one file: templates that inherit others twice each grow without end.
const maxInherits = 20_000

// exceptable are the keys that `except` may name.
var exceptable = []string{"labels", "values", "valuesTemplate", "setTemplate", "set", "setString", "secrets"}

// draft carries out the templates of a release until nothing changes any more, at most six times, as helmfile does
// (pkg/state, ExecuteTemplates).
func (r *reader) draft(n *value.Node, what string, common map[string]string, kubeContext string) (*draft, diag.Diagnostics) {
	const passes = 6
	data := r.templateData()
	base, slots := r.slots(n, what, common, kubeContext)
	first := *base
	if !slices.ContainsFunc(slots, func(s slot) bool { return strings.Contains(s.text, "{{") }) {
		return &first, first.fill(slots, texted(slots))
	}
	now := texted(slots)
	d := &first
	ds := d.fill(slots, now)
	if ds.HasErrors() {
		// A map of valuesTemplate may be no YAML before it is carried out.
		ds = nil
	}
	for range passes {
		data["Release"] = d.data()
		next, more := r.carryOut(slots, data, what)
		if more.HasErrors() {
			return d, more
		}
		again := *base
		d = &again
		if ds = d.fill(slots, next); ds.HasErrors() {
			return d, ds
		}
		if slices.Equal(next, now) {
			return d, nil
		}
		now = next
	}
	return d, diag.Diagnostics{problem(diag.RunlevelInvalid, start(n), "%s: its templates still change after %d passes, so that they refer to each other in a circle. "+
		"Write one of them out.", what, passes)}
}

func texted(slots []slot) []string {
	out := make([]string, len(slots))
	for i, s := range slots {
		out[i] = s.text
	}
	return out
}

// fill puts texts into a draft.
func (d *draft) fill(slots []slot, texts []string) diag.Diagnostics {
	d.labels, d.booleans = map[string]string{}, map[string]string{}
	d.args, d.values, d.secrets, d.sets, d.needs = nil, nil, nil, nil, nil
	var ds diag.Diagnostics
	for i, s := range slots {
		if p := s.put(d, texts[i]); p != nil {
			ds = append(ds, *p)
		}
	}
	return ds
}

// data is .Release.
func (d *draft) data() map[string]any {
	return releaseData(d.name, d.namespace, d.chart, d.version, d.kubeContext, d.labels)
}

func releaseData(name, namespace, chart, version, kubeContext string, labels map[string]string) map[string]any {
	return map[string]any{
		"Name": name, "Namespace": namespace, "Chart": chart, "ChartVersion": version, "KubeContext": kubeContext,
		"Labels": maps.Clone(labels),
	}
}

// between stands between the texts that are carried out as one: no YAML holds it.
const between = "\x00\x1e"

// carryOut carries out the texts of a release.
func (r *reader) carryOut(slots []slot, data map[string]any, what string) ([]string, diag.Diagnostics) {
	out := texted(slots)
	var which []int
	var all []string
	for i, s := range slots {
		if strings.Contains(s.text, "{{") {
			which = append(which, i)
			all = append(all, s.text)
		}
	}
	text, ds := r.own(r.ctx, strings.Join(all, between), "(release)", data, r.state.Dir, r.state.Dir)
	if parts := strings.Split(text, between); !ds.HasErrors() && len(parts) == len(which) {
		for i, part := range parts {
			out[which[i]] = part
		}
		return out, nil
	}
	// One by one, to find the one that is wrong.
	var found diag.Diagnostics
	for _, i := range which {
		part, ds := r.own(r.ctx, slots[i].text, "(release)", data, r.state.Dir, r.state.Dir)
		for _, d := range ds {
			d.Detail = what + ": " + d.Detail
			d.Range = slots[i].at
			found = append(found, d)
		}
		out[i] = part
	}
	return out, found
}

// own carries out a template on data that is this run's own and is not copied. refs is the directory that references are seen
// from: that of the state file.
func (r *run) own(ctx context.Context, text, file string, data map[string]any, dir, refs string) (string, diag.Diagnostics) {
	helpers, ds := r.helpers(dir)
	if ds.HasErrors() {
		return "", ds
	}
	return template.Execute(ctx, []byte(text), data, template.Options{
		File: file, Dir: dir, RefDir: refs, Files: r.in.FS, Programs: r.in.Programs, Helpers: helpers, Allow: r.in.Allow, Own: true,
	})
}

// slots returns the draft of a release and its texts, in helmfile's order (pkg/state, ExecuteTemplateExpressions).
func (r *run) slots(n *value.Node, what string, common map[string]string, kubeContext string) (*draft, []slot) {
	d := &draft{node: n, what: what, kubeContext: kubeContext}
	var slots []slot
	add := func(n *value.Node, put func(d *draft, text string)) {
		slots = append(slots, slot{text: r.word(n), at: n.Origin.Range, put: func(d *draft, text string) *diag.Diagnostic {
			put(d, text)
			return nil
		}})
	}
	one := func(key string, put func(d *draft, text string)) {
		if v := n.Get(key); !isNull(v) {
			add(v, put)
		}
	}
	one("name", func(d *draft, s string) { d.name = strings.TrimSpace(s) })
	one("directory", func(d *draft, s string) { d.chart = strings.TrimSpace(s) })
	one("chart", func(d *draft, s string) { d.chart = strings.TrimSpace(s) })
	one("namespace", func(d *draft, s string) { d.namespace = strings.TrimSpace(s) })
	one("version", func(d *draft, s string) { d.version = strings.TrimSpace(s) })
	for _, key := range []string{"waitTemplate", "installedTemplate", "conditionTemplate", "verifyTemplate"} {
		one(key, func(d *draft, s string) { d.booleans[key] = s })
	}
	if l := n.Get("labels"); l != nil {
		for _, f := range l.Fields {
			if _, hidden := common[f.Key]; !hidden && !isNull(f.Value) {
				add(f.Value, func(d *draft, s string) { d.labels[f.Key] = s })
			}
		}
	}
	for _, k := range sorted(common) {
		slots = append(slots, slot{text: common[k], at: start(n), put: func(d *draft, text string) *diag.Diagnostic {
			d.labels[k] = text
			return nil
		}})
	}
	each := func(key string, visit func(n *value.Node)) {
		if l := n.Get(key); l != nil {
			for _, item := range l.Items {
				visit(item)
			}
		}
	}
	each("postRendererArgs", func(n *value.Node) { add(n, func(d *draft, s string) { d.args = append(d.args, s) }) })
	each("valuesTemplate", func(n *value.Node) {
		if n.Kind != value.Map {
			r.entrySlot(n, add)
			return
		}
		text, err := yaml.WriteState(n)
		if err != nil {
			panic("runlevel: a tree that can't be written: " + err.Error())
		}
		slots = append(slots, slot{text: string(text), at: start(n), put: func(d *draft, text string) *diag.Diagnostic {
			tree, p := rewritten(n, text, what)
			d.values = append(d.values, rawEntry{tree: tree, at: start(n)})
			return p
		}})
	})
	each("values", func(n *value.Node) {
		if n.Kind == value.Map {
			slots = append(slots, slot{at: start(n), put: func(d *draft, _ string) *diag.Diagnostic {
				d.values = append(d.values, rawEntry{tree: n, at: start(n)})
				return nil
			}})
			return
		}
		r.entrySlot(n, add)
	})
	each("secrets", func(n *value.Node) {
		add(n, func(d *draft, s string) { d.secrets = append(d.secrets, rawEntry{path: s, at: n.Origin.Range}) })
	})
	each("setTemplate", func(n *value.Node) {
		if n.Kind != value.Map {
			return
		}
		slots = append(slots, slot{at: start(n), put: func(d *draft, _ string) *diag.Diagnostic {
			d.sets = append(d.sets, assignment{at: start(n)})
			return nil
		}})
		last := func(d *draft) *assignment { return &d.sets[len(d.sets)-1] }
		for _, f := range n.Fields {
			if isNull(f.Value) {
				continue
			}
			switch f.Key {
			case "name":
				add(f.Value, func(d *draft, s string) { last(d).name = s })
			case "value":
				add(f.Value, func(d *draft, s string) { last(d).value = s })
			case "file":
				add(f.Value, func(d *draft, s string) { last(d).file = s })
			case "values":
				for _, item := range f.Value.Items {
					if item.Kind == value.String {
						add(item, func(d *draft, s string) { last(d).values = append(last(d).values, s) })
						continue
					}
					slots = append(slots, slot{at: item.Origin.Range, put: func(d *draft, _ string) *diag.Diagnostic {
						last(d).values = append(last(d).values, item.Plain())
						return nil
					}})
				}
			}
		}
	})
	each("needs", func(n *value.Node) {
		add(n, func(d *draft, s string) { d.needs = append(d.needs, need{s, n.Origin.Range}) })
	})
	return d, slots
}

func (r *run) entrySlot(n *value.Node, add func(*value.Node, func(*draft, string))) {
	if n.Kind == value.String {
		add(n, func(d *draft, s string) { d.values = append(d.values, rawEntry{path: s, at: n.Origin.Range}) })
	}
}

// rewritten reads an entry of valuesTemplate that was carried out. All of it stands where the entry does.
func rewritten(n *value.Node, text, what string) (*value.Node, *diag.Diagnostic) {
	root, ds := yaml.ReadState([]byte(text), yaml.ReadOptions{File: n.Origin.Range.File, StringKeys: true, Dates: true})
	for _, d := range ds {
		if d.Severity == diag.Error {
			p := problem(diag.YAMLSyntax, start(n), "%s: what valuesTemplate gives is no YAML: line %d: %s. Correct the template.", what, d.Range.Start.Line, d.Code.Summary())
			return value.NewMap(n.Origin), &p
		}
	}
	if root == nil || root.Kind != value.Map {
		p := problem(diag.RunlevelWrongType, start(n), "%s: valuesTemplate gives no map. Correct the template.", what)
		return value.NewMap(n.Origin), &p
	}
	root.Walk(func(_ value.Path, node *value.Node) bool {
		node.Origin.Range = start(n)
		return true
	})
	return root, nil
}
