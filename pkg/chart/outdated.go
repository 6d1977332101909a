package chart

import (
	"slices"

	"github.com/Masterminds/semver/v3"
)

// Newest returns of the versions that there are of a chart the newest that a constraint allows, as Helm reads it, and the
// newest of all. Pre-releases count among all only where the version in use is one, and within only where the constraint
// allows them. What is no version is passed over; either is empty where there is none.
func Newest(versions []string, constraint, current string) (within, newest string) {
	var parsed []*semver.Version
	for _, text := range versions {
		if v, err := semver.NewVersion(text); err == nil {
			parsed = append(parsed, v)
		}
	}
	slices.SortStableFunc(parsed, func(a, b *semver.Version) int { return b.Compare(a) })
	if constraint == "" {
		constraint = "*"
	}
	allowed, _ := semver.NewConstraint(constraint)
	used, _ := semver.NewVersion(current)
	early := used != nil && used.Prerelease() != ""
	for _, v := range parsed {
		if newest == "" && (early || v.Prerelease() == "") {
			newest = v.Original()
		}
		if within == "" && allowed != nil && allowed.Check(v) {
			within = v.Original()
		}
	}
	return within, newest
}

// Newer reports whether a version is newer than another one. What is no version is not.
func Newer(version, other string) bool {
	a, err := semver.NewVersion(version)
	if err != nil {
		return false
	}
	b, err := semver.NewVersion(other)
	return err != nil || a.GreaterThan(b)
}

// Refs returns a reference for each entry, with the credentials that are known for its repository.
func (l *Lock) Refs(known []Repository) []Ref {
	if l == nil {
		return nil
	}
	out := make([]Ref, len(l.Entries))
	for i, e := range l.Entries {
		out[i] = e.ref(known)
	}
	return out
}
