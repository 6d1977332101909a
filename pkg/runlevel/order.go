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

// duplicates reports enabled releases that have the same namespace and name, in one file or in several. Two of which at
// most one is enabled are alternatives.
func duplicates(levels []level) diag.Diagnostics {
	var ds diag.Diagnostics
	first := map[string]diag.Range{}
	for _, l := range levels {
		for _, it := range l.items {
			if !it.enabled {
				continue
			}
			key := it.release.Key()
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
func resolve(levels []level, whole bool) diag.Diagnostics {
	index := map[string]target{}
	var keys []string
	for i, l := range levels {
		for j, it := range l.items {
			key := it.release.Key()
			if t, ok := index[key]; ok && (levels[t.level].items[t.item].enabled || !it.enabled) {
				continue
			}
			index[key] = target{i, j}
			keys = append(keys, key)
		}
	}
	var ds diag.Diagnostics
	for i := range levels {
		edges := make([][]int, len(levels[i].items))
		for j := range levels[i].items {
			it := &levels[i].items[j]
			for _, n := range it.needs {
				key, err := needed(n.text, it.release)
				if err != nil {
					ds = append(ds, refusal(diag.RunlevelInvalid, n, "release %s: %v", it.release.Name, err))
					continue
				}
				t, ok := index[key]
				switch {
				case !ok && whole:
					ds = append(ds, unknown(n, key, it.release, keys))
				case !ok:
				case t.level > i:
					d := refusal(diag.RunlevelNeedLater, n, "release %s needs %s, which the later runlevel %s installs. "+
						"Move one of them, so that what is needed comes first.", it.release.Name, key, levels[t.level].name)
					d.Notes = []diag.Note{{Message: "defined here", Range: levels[t.level].items[t.item].release.Range}}
					ds = append(ds, d)
				default:
					other := levels[t.level].items[t.item]
					if it.enabled && other.enabled && it.release.Installed && !other.release.Installed {
						d := refusal(diag.RunlevelNeedAbsent, n, "release %s needs %s, which is not installed (installed: false). "+
							"Install it, or drop the need.", it.release.Name, key)
						d.Severity = diag.Warning
						d.Notes = []diag.Note{{Message: "defined here", Range: other.release.Range}}
						ds = append(ds, d)
					}
					if t.level == i {
						edges[j] = append(edges[j], t.item)
						if other.enabled && !slices.Contains(it.release.Needs, key) {
							it.release.Needs = append(it.release.Needs, key)
						}
					}
				}
			}
		}
		groups, cycles := group(edges)
		levels[i].groups = groups
		for _, c := range cycles {
			ds = append(ds, cycle(levels[i], c))
		}
	}
	return ds
}

// needed reads a need as helmfile does: [[CONTEXT/]NAMESPACE/]NAME, with the needing release's own for what is left out.
func needed(text string, by Release) (key string, err error) {
	parts := strings.Split(text, "/")
	if slices.Contains(parts, "") || len(parts) > 3 {
		return "", fmt.Errorf("the need %q is not of the form NAME or NAMESPACE/NAME. Write it so.", text)
	}
	switch len(parts) {
	case 1:
		return manifest.Key(by.Namespace, parts[0]), nil
	case 2:
		return text, nil
	}
	if parts[0] != by.KubeContext {
		return "", fmt.Errorf("the need %q names another Kubernetes context, and a run has one cluster. Write NAMESPACE/NAME.", text)
	}
	return manifest.Key(parts[1], parts[2]), nil
}

func refusal(code diag.Code, n need, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: code, Detail: fmt.Sprintf(format, args...), Range: n.at}
}

func unknown(n need, key string, by Release, keys []string) diag.Diagnostic {
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
	var used []int
	for j, it := range l.items {
		if it.enabled {
			used = append(used, l.groups[j])
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	for j, it := range l.items {
		if !it.enabled {
			out.Disabled = append(out.Disabled, it.release)
			continue
		}
		it.release.Group = slices.Index(used, l.groups[j])
		out.Releases = append(out.Releases, it.release)
	}
	slices.SortStableFunc(out.Releases, func(a, b Release) int { return a.Group - b.Group })
	return out
}
