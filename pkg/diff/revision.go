package diff

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Evaluated is a rendered release, with the runlevel that it is of and the rules of what is ignored in it.
type Evaluated struct {
	Level   string
	Release manifest.Release
	Ignore  []Ignore
}

// Revisions compares what two revisions of the values, the stack or otomi itself render for one cluster, without asking it. Both
// sides are in the order in which they are applied; levels are those of after, with what only before has where it was. Of Options
// only Ignore, Shapes and Reveal count. Hooks and CRDs are compared as the other objects are.
func Revisions(cluster string, before, after []Evaluated, o Options) Plan {
	was := map[string]Evaluated{}
	for _, e := range before {
		was[e.Release.Key()] = e
	}
	p := Plan{Cluster: cluster, Levels: []Level{}}
	add := func(level string, r Release) {
		i := slices.IndexFunc(p.Levels, func(l Level) bool { return l.Name == level })
		if i < 0 {
			// Runlevels are taken in the order of their names.
			i, _ = slices.BinarySearchFunc(p.Levels, level, func(l Level, name string) int { return strings.Compare(l.Name, name) })
			p.Levels = slices.Insert(p.Levels, i, Level{Name: level})
		}
		p.Levels[i].Releases = append(p.Levels[i].Releases, r)
	}
	for _, e := range after {
		old, found := was[e.Release.Key()]
		delete(was, e.Release.Key())
		r := Release{
			Name: e.Release.Name, Namespace: e.Release.Namespace, Level: e.Level, Chart: chartName(e.Release.Chart), Action: Install,
			Reason: "it is new",
		}
		if found {
			r.Action, r.Reason = Upgrade, moves(old, e)
		}
		r.Objects = renderings(everything(old.Release), everything(e.Release), slices.Concat(o.Ignore, e.Ignore), o)
		if found && len(r.Objects) == 0 && r.Reason == "" {
			r.Action = Same
		}
		add(e.Level, r)
	}
	for _, e := range before {
		if _, gone := was[e.Release.Key()]; gone {
			add(e.Level, Release{
				Name: e.Release.Name, Namespace: e.Release.Namespace, Level: e.Level, Chart: chartName(e.Release.Chart), Action: Uninstall,
				Reason: "it is gone", Objects: renderings(everything(e.Release), nil, nil, o),
			})
		}
	}
	return p
}

// moves says what of a release differs beside its objects.
func moves(old, now Evaluated) string {
	var out []string
	if was, is := chartName(old.Release.Chart), chartName(now.Release.Chart); was != is {
		out = append(out, "its chart was "+was)
	}
	if old.Level != now.Level {
		out = append(out, "it moves from runlevel "+old.Level)
	}
	return strings.Join(out, "; ")
}

// renderings is Renderings without what is ignored, and with the fields that differ.
func renderings(before, after []manifest.Object, rules []Ignore, o Options) []Change {
	spared := map[manifest.ID][]string{}
	strip := func(objects []manifest.Object) []manifest.Object {
		out := slices.Clone(objects)
		for i, object := range out {
			// An annotation that can't be read is told of where the release is compared with its cluster.
			places, _ := ignored(rules, object)
			if len(places) > 0 {
				spared[object.ID] = pathsOf(places)
				out[i].Data = withoutPlaces(object.Data, places)
			}
		}
		return out
	}
	// What is made anew is made whole.
	was, is := byID(before), byID(after)
	var olds, news []manifest.Object
	for _, object := range before {
		if _, kept := is[object.ID]; kept {
			object = strip([]manifest.Object{object})[0]
		}
		olds = append(olds, object)
	}
	for _, object := range after {
		if _, there := was[object.ID]; there {
			object = strip([]manifest.Object{object})[0]
		}
		news = append(news, object)
	}
	out := Renderings(olds, news)
	for i := range out {
		if o.Reveal {
			out[i].Before, out[i].After = shown(clean(was[out[i].ID].Data)), shown(clean(is[out[i].ID].Data))
		}
		out[i].Ignored = spared[out[i].ID]
		out[i] = detailed(out[i], o.Shapes)
	}
	return out
}

// Fold brings together what the plans of many clusters have in common: releases that change in the same way. It is safe for
// concurrent use, and holds each change once.
type Fold struct {
	mu      sync.Mutex
	changes map[[sha256.Size]byte]*folded
	// same and changing are the clusters by their index.
	same, changing map[int]string
}

// folded is a change of a release, as the first of its clusters has it.
type folded struct {
	first    int
	level    string
	place    int
	release  Release
	clusters map[int]string
}

// Block is what some clusters have in common.
type Block struct {
	// Clusters are those in which it is so, in the order of the registry.
	Clusters []string `json:"clusters"`
	// Plan is that of the first of them, with those releases alone. What is the same on both sides may be otherwise in another
	// cluster.
	Plan Plan `json:"plan"`
}

// Add takes the plan of a cluster; index is its place in the registry. Of the plan the rendered releases are not kept.
func (f *Fold) Add(index int, p Plan) {
	type found struct {
		sum [sha256.Size]byte
		c   *folded
	}
	var all []found
	place := 0
	for _, l := range p.Levels {
		for _, r := range l.Releases {
			place++
			if r.Action == Same && len(r.Problems()) == 0 {
				continue
			}
			r.Wanted, r.Former, r.Held = manifest.Release{}, nil, nil
			all = append(all, found{changeSum(l.Name, r), &folded{first: index, level: l.Name, place: place, release: r}})
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changes == nil {
		f.changes, f.same, f.changing = map[[sha256.Size]byte]*folded{}, map[int]string{}, map[int]string{}
	}
	if len(all) == 0 {
		f.same[index] = p.Cluster
		return
	}
	f.changing[index] = p.Cluster
	for _, x := range all {
		known := f.changes[x.sum]
		switch {
		case known == nil:
			known = x.c
			known.clusters = map[int]string{}
			f.changes[x.sum] = known
		case index < known.first:
			// The output is that of the first in the registry, whichever was compared first.
			known.first, known.place, known.release = index, x.c.place, x.c.release
		}
		known.clusters[index] = p.Cluster
	}
}

// changeSum is what makes the changes of a release in two clusters the same: the fields that change and how, and the whole of what
// comes or goes.
func changeSum(level string, r Release) [sha256.Size]byte {
	h := sha256.New()
	e := json.NewEncoder(h)
	write := func(v any) {
		if err := e.Encode(v); err != nil {
			panic("diff: what was read as JSON can be written as JSON: " + err.Error())
		}
	}
	write([]any{level, r.Namespace, r.Name, r.Chart, r.Action, r.Reason, r.Invalid})
	for _, c := range r.Objects {
		write([]any{c.ID, c.Version, c.Action, c.Reason, c.Invalid})
		if c.Before != nil && c.After != nil && len(c.Fields) > 0 {
			write(c.Fields)
			continue
		}
		write([]any{c.Before, c.After})
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Clusters is how many plans were added, and how many of them change nothing.
func (f *Fold) Clusters() (all int, unchanged []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.same) + len(f.changing), inOrder(f.same)
}

// Blocks are the changes, those of the same clusters together: the ones that hit most first.
func (f *Fold) Blocks() []Block {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*folded
	for _, c := range f.changes {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *folded) int {
		if d := len(b.clusters) - len(a.clusters); d != 0 {
			return d
		}
		if a.first != b.first {
			return a.first - b.first
		}
		return a.place - b.place
	})
	blocks := []Block{}
	for _, c := range all {
		clusters := inOrder(c.clusters)
		i := slices.IndexFunc(blocks, func(b Block) bool { return reflect.DeepEqual(b.Clusters, clusters) })
		if i < 0 {
			i = len(blocks)
			blocks = append(blocks, Block{Clusters: clusters, Plan: Plan{Cluster: clusters[0], Levels: []Level{}}})
		}
		p := &blocks[i].Plan
		if n := len(p.Levels); n == 0 || p.Levels[n-1].Name != c.level {
			p.Levels = append(p.Levels, Level{Name: c.level})
		}
		l := &p.Levels[len(p.Levels)-1]
		l.Releases = append(l.Releases, c.release)
	}
	return blocks
}

// inOrder are names in the order of their indexes.
func inOrder(names map[int]string) []string {
	indexes := make([]int, 0, len(names))
	for i := range names {
		indexes = append(indexes, i)
	}
	slices.Sort(indexes)
	out := make([]string, len(indexes))
	for i, index := range indexes {
		out[i] = names[index]
	}
	return out
}
