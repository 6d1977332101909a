package chart

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// Pin is what the lock file of a state file says for one release.
type Pin struct {
	// Namespace and Release are those of the release, as its file has them.
	Namespace, Release string
	// Ref is its chart, of a repository, and Version the one that answers it.
	Ref     Ref
	Version string
}

// dependency is what helmfile has Helm resolve for a release (helmfile 1.7, pkg/state, getUnresolvedDependenciess): the path of a
// chart of a registry is part of the address.
func (p Pin) dependency() *helmchart.Dependency {
	_, name, _ := strings.Cut(p.Ref.Chart, "/")
	address := p.Ref.Repository.URL
	if p.Ref.Repository.OCI {
		address = "oci://" + strings.TrimPrefix(address, "oci://")
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			address, name = strings.TrimSuffix(address, "/")+"/"+name[:i], name[i+1:]
		}
	}
	return &helmchart.Dependency{Name: name, Version: orElse(p.Ref.Version, "*"), Repository: address, Alias: p.Namespace + "-" + p.Release}
}

// stateLockVersion is the version of helmfile whose lock files these are.
const stateLockVersion = "1.7.2"

// StateLock is the lock file of a state file in helmfile's format, by which helmfile takes the same versions (helmfile 1.7,
// pkg/state, ChartLockedRequirements). The pins are in the order in which the releases are defined, which counts: of the versions
// that answer a release helmfile takes the first. The digest is the one that helm computes of the chart that helmfile writes
// to have its dependencies resolved, where helmfile would have taken the charts by their names; it takes them by chance.
//
// now is when the file is made. Where old says the same, it is returned as it stands, as helm leaves a lock that holds.
func StateLock(pins []Pin, old []byte, now time.Time) (text []byte, entries int, err error) {
	byName := slices.Clone(pins)
	slices.SortStableFunc(byName, func(a, b Pin) int { return strings.Compare(a.dependency().Name, b.dependency().Name) })
	var asked, locked []*helmchart.Dependency
	var items []*value.Node
	known := map[[3]string]bool{}
	word := func(s string) *value.Node { return value.NewScalar(value.Origin{}, s) }
	for _, p := range byName {
		d := p.dependency()
		l := &helmchart.Dependency{Name: d.Name, Version: p.Version, Repository: d.Repository}
		asked, locked = append(asked, d), append(locked, l)
		id := [3]string{l.Name, l.Version, l.Repository}
		if known[id] {
			continue
		}
		known[id] = true
		items = append(items, value.NewMap(value.Origin{},
			value.Field{Key: "name", Value: word(l.Name)},
			value.Field{Key: "repository", Value: word(l.Repository)},
			value.Field{Key: "version", Value: word(l.Version)},
		))
	}
	write := func(version, generated string) ([]byte, error) {
		return yaml.WriteState(value.NewMap(value.Origin{},
			value.Field{Key: "version", Value: word(version)},
			value.Field{Key: "dependencies", Value: &value.Node{Kind: value.List, Items: items}},
			value.Field{Key: "digest", Value: word(hash([2][]*helmchart.Dependency{asked, locked}))},
			value.Field{Key: "generated", Value: word(generated)},
		))
	}
	if root, ds := yaml.ReadState(old, yaml.ReadOptions{}); len(old) > 0 && !ds.HasErrors() {
		same, err := write(root.Get("version").Text(), root.Get("generated").Text())
		if err != nil || bytes.Equal(same, old) {
			return same, len(items), err
		}
	}
	text, err = write(stateLockVersion, now.UTC().Format(time.RFC3339Nano))
	return text, len(items), err
}
