package runlevel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// level is one file as it was read. groups, once resolved, holds the group of each item.
type level struct {
	name, file string
	items      []item
	groups     []int
}

// scope says what releases are told apart by, and where a need is looked for.
type scope struct {
	// stack says that all levels are of one cluster; else each level is a world of its own, whose releases may be of several.
	stack bool
	// include adds what selected releases need, and use demands that it is selected.
	include, use bool
	// enforce refuses what needs a release that is not installed.
	enforce bool
}

// key is what tells a release from others.
func (o scope) key(it item) string {
	if o.stack {
		return it.release.Key()
	}
	return it.release.id
}

// duplicates reports releases of a run that have the same namespace and name, in one file or in several. Two of which at
// most one is enabled are alternatives.
func (o scope) duplicates(levels []level) diag.Diagnostics {
	var ds diag.Diagnostics
	first := map[string]diag.Range{}
	for _, l := range levels {
		for _, it := range l.items {
			if !it.active {
				continue
			}
			key := o.key(it)
			at, ok := first[key]
			if !ok {
				first[key] = it.release.Range
				continue
			}
			ds = append(ds, diag.Diagnostic{
				Severity: diag.Error,
				Code:     diag.RunlevelDuplicate,
				Detail: fmt.Sprintf("the release %s is defined twice, and a cluster has only one of that namespace and name. "+
					"Rename one, or give each a condition so that one of them is enabled.", key),
				Range: it.release.Range,
				Notes: []diag.Note{{Message: "defined here first", Range: at}},
			})
		}
	}
	return ds
}

// target is where a needed release is defined.
type target struct {
	level, item int
}

// resolve turns needs into keys and puts the items of each level into groups. Needs of a release of an earlier level hold
// anyway; those of a later one can't. Where the files are not whole, a release that is not found may be in what could not
// be read, and is not reported.
func (o scope) resolve(levels []level, whole bool) diag.Diagnostics {
	index := map[string]target{}
	var keys []string
	for i, l := range levels {
		for j, it := range l.items {
			key := o.key(it)
			if t, ok := index[key]; ok && (levels[t.level].items[t.item].active || !it.active) {
				continue
			}
			index[key] = target{i, j}
			keys = append(keys, key)
		}
	}
	var ds diag.Diagnostics
	edges := make([][][]int, len(levels))
	for i := range levels {
		edges[i] = make([][]int, len(levels[i].items))
		for j := range levels[i].items {
			it := &levels[i].items[j]
			for _, n := range it.needs {
				key, err := o.needed(n.text, *it)
				if err != nil {
					ds = append(ds, refusal(diag.RunlevelInvalid, n, "release %s: %v", it.release.Name, err))
					continue
				}
				if !slices.Contains(it.release.WrittenNeeds, key) {
					it.release.WrittenNeeds = append(it.release.WrittenNeeds, key)
				}
				t, ok := index[key]
				switch {
				case !ok && whole && (o.stack || it.active):
					ds = append(ds, o.unknown(n, key, it.release, keys))
				case !ok:
				case t.level > i:
					d := refusal(diag.RunlevelNeedLater, n, "release %s needs %s, which the later runlevel %s installs. "+
						"Move one of them, so that what is needed comes first.", it.release.Name, key, levels[t.level].name)
					d.Notes = []diag.Note{{Message: "defined here", Range: levels[t.level].items[t.item].release.Range}}
					ds = append(ds, d)
				case t.level == i:
					edges[i][j] = append(edges[i][j], t.item)
				}
			}
		}
	}
	if o.include {
		for i := range levels {
			levels[i].include(edges[i])
		}
	}
	for i := range levels {
		ds = append(ds, o.absent(levels, i, index)...)
		groups, cycles := group(edges[i])
		levels[i].groups = groups
		for _, c := range cycles {
			if o.stack || slices.ContainsFunc(c, func(j int) bool { return levels[i].items[j].active }) {
				ds = append(ds, cycle(levels[i], c))
			}
		}
	}
	return ds
}

// include makes what active items need active too, as far as it goes.
func (l level) include(edges [][]int) {
	var visit func(int)
	visit = func(j int) {
		for _, need := range edges[j] {
			if !l.items[need].active {
				l.items[need].active = true
				visit(need)
			}
		}
	}
	for j := range l.items {
		if l.items[j].active {
			visit(j)
		}
	}
}

// absent gives the items of a level their needs, and reports those that are not installed or left out.
func (o scope) absent(levels []level, i int, index map[string]target) diag.Diagnostics {
	var ds diag.Diagnostics
	for j := range levels[i].items {
		it := &levels[i].items[j]
		for _, n := range it.needs {
			key, err := o.needed(n.text, *it)
			t, ok := index[key]
			if err != nil || !ok || t.level > i {
				continue
			}
			other := levels[t.level].items[t.item]
			if it.active && other.enabled && it.release.Installed && !other.release.Installed {
				d := refusal(diag.RunlevelNeedAbsent, n, "release %s needs %s, which is not installed (installed: false). "+
					"Install it, or drop the need.", it.release.Name, key)
				if !o.enforce {
					d.Severity = diag.Warning
				}
				d.Notes = []diag.Note{{Message: "defined here", Range: other.release.Range}}
				ds = append(ds, d)
			}
			if it.active && !other.active && o.use {
				ds = append(ds, refusal(diag.RunlevelInvalid, n, "release %s needs %s, which the selectors leave out. Select it too, or say "+
					"--include-needs or --skip-needs.", it.release.Name, key))
			}
			if needed := other.release.Key(); t.level == i && other.active && !slices.Contains(it.release.Needs, needed) {
				it.release.Needs = append(it.release.Needs, needed)
			}
		}
	}
	return ds
}

// needed reads a need as helmfile does: [[CONTEXT/]NAMESPACE/]NAME, with the needing release's own for what is left out.
func (o scope) needed(text string, by item) (key string, err error) {
	parts := strings.Split(text, "/")
	last := len(parts) - 1
	if !o.stack {
		namespace, kubeContext := by.release.WrittenNamespace, ""
		if by.raw != nil {
			kubeContext = by.raw.kubeContext
		}
		if last > 0 {
			namespace = parts[last-1]
		}
		if last > 1 {
			// A name has no slash, and a context may have.
			kubeContext = strings.Join(parts[:last-1], "/")
		}
		if parts[last] == "" {
			return "", fmt.Errorf("the need %q names no release. Write NAME or NAMESPACE/NAME.", text)
		}
		return identity(kubeContext, namespace, parts[last]), nil
	}
	if slices.Contains(parts, "") || len(parts) > 3 {
		return "", fmt.Errorf("the need %q is not of the form NAME or NAMESPACE/NAME. Write it so.", text)
	}
	switch len(parts) {
	case 1:
		return manifest.Key(by.release.Namespace, parts[0]), nil
	case 2:
		return text, nil
	}
	if parts[0] != by.release.KubeContext {
		return "", fmt.Errorf("the need %q names another Kubernetes context, and a run has one cluster. Write NAMESPACE/NAME.", text)
	}
	return manifest.Key(parts[1], parts[2]), nil
}

func refusal(code diag.Code, n need, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: code, Detail: fmt.Sprintf(format, args...), Range: n.at}
}

func (o scope) unknown(n need, key string, by Release, keys []string) diag.Diagnostic {
	hint := "Define it, or drop the need."
	if near := diag.Nearest(key, keys); near != "" {
		hint = fmt.Sprintf("Did you mean %q?", near)
	}
	// The commonest mistake: the release exists in another namespace.
	for _, k := range keys {
		if strings.HasSuffix(k, "/"+n.text) {
			hint = fmt.Sprintf("Did you mean %q?", k)
			break
		}
	}
	if !o.stack {
		return refusal(diag.RunlevelNeedUnknown, n, "release %s needs %s, and the file defines no such release. %s", by.Name, key, hint)
	}
	return refusal(diag.RunlevelNeedUnknown, n, "release %s needs %s, and no runlevel defines it. %s", by.Name, key, hint)
}

func cycle(l level, c []int) diag.Diagnostic {
	names := make([]string, len(c))
	var notes []diag.Note
	for i, j := range c {
		names[i] = l.items[j].release.Key()
		if i > 0 && i < len(c)-1 {
			notes = append(notes, diag.Note{Message: names[i] + " is defined here", Range: l.items[j].release.Range})
		}
	}
	return diag.Diagnostic{
		Severity: diag.Error,
		Code:     diag.RunlevelNeedCycle,
		Detail:   fmt.Sprintf("releases need each other in a circle: %s. Drop one of these needs.", strings.Join(names, " → ")),
		Range:    l.items[c[0]].release.Range,
		Notes:    notes,
	}
}

// group returns the length of the longest path of edges from each item: the group in which helmfile applies it. A cycle
// is given as the items along it, the first again at its end; its items keep the group found so far.
func group(edges [][]int) (groups []int, cycles [][]int) {
	const (
		fresh = iota
		open
		done
	)
	state := make([]int, len(edges))
	groups = make([]int, len(edges))
	var path []int
	var visit func(int)
	visit = func(i int) {
		state[i] = open
		path = append(path, i)
		for _, j := range edges[i] {
			switch state[j] {
			case open:
				c := slices.Clone(path[slices.Index(path, j):])
				cycles = append(cycles, append(c, j))
				continue
			case fresh:
				visit(j)
			}
			groups[i] = max(groups[i], groups[j]+1)
		}
		path = path[:len(path)-1]
		state[i] = done
	}
	for i := range edges {
		if state[i] == fresh {
			visit(i)
		}
	}
	return groups, cycles
}

// ordered returns the level as it is applied. A group whose releases are all disabled is left out, but the order it gave
// to others stays.
func (l level) ordered() Level {
	out := Level{Name: l.name, File: l.file}
	if l.groups == nil {
		l.groups = make([]int, len(l.items)) // the order was not asked for
	}
	var used []int
	for j, it := range l.items {
		if it.active {
			used = append(used, l.groups[j])
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	for j, it := range l.items {
		if !it.active {
			if !it.enabled && it.release.Selected {
				out.Disabled = append(out.Disabled, it.release)
			}
			continue
		}
		it.release.Group = slices.Index(used, l.groups[j])
		out.Releases = append(out.Releases, it.release)
	}
	slices.SortStableFunc(out.Releases, func(a, b Release) int { return a.Group - b.Group })
	return out
}
