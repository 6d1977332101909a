package layer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// member is a file of the hierarchy.
type member struct {
	path  string
	scope Scope
}

// hierarchy returns the paths of a cluster's layer files, weakest first.
func (r *Repository) hierarchy(c Cluster) ([]member, error) {
	names := strings.NewReplacer("{cloud}", c.Cloud, "{cluster}", c.Name)
	exclude := make([]string, len(r.settings.exclude))
	for i, p := range r.settings.exclude {
		exclude[i] = names.Replace(p)
	}
	taken := map[string]bool{registryFile: true, settingsFile: true}
	var members []member
	for _, pattern := range r.settings.hierarchy {
		if c.ID == "" && placeholder.MatchString(pattern) {
			continue
		}
		scope := scopeOf(pattern)
		found, err := r.matching(names.Replace(pattern), scope)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(p string) bool { return taken[p] || excluded(p, exclude) })
		slices.SortStableFunc(found, func(a, b string) int { return rank(a) - rank(b) })
		for _, p := range found {
			taken[p] = true
			members = append(members, member{path: p, scope: scope})
		}
	}
	return members, nil
}

// rank puts the secret files of a level behind its plain ones.
func rank(p string) int {
	if IsSecret(p) {
		return 1
	}
	return 0
}

// scopeOf says which clusters have the files of a pattern.
func scopeOf(pattern string) Scope {
	switch {
	case strings.Contains(pattern, "{cluster}"):
		return ""
	case strings.Contains(pattern, "{cloud}"):
		return InCloud
	}
	return Everywhere
}

// matching returns the files that a pattern matches; those of several clusters are looked for once.
func (r *Repository) matching(pattern string, scope Scope) ([]string, error) {
	if scope == "" {
		return r.glob(pattern)
	}
	r.mu.Lock()
	found, ok := r.found[pattern]
	r.mu.Unlock()
	if ok {
		return slices.Clone(found), nil
	}
	found, err := r.glob(pattern)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.found[pattern] = slices.Clone(found)
	r.mu.Unlock()
	return found, nil
}

func excluded(p string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := path.Match(pattern, p) // patterns were checked when otomi.yaml was read
		return ok
	})
}

// glob returns the files that a pattern matches, in byte order of their paths. Unlike fs.Glob it reports a directory that
// cannot be read, and no wildcard matches a name that starts with a dot.
func (r *Repository) glob(pattern string) ([]string, error) {
	found := []string{"."}
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		var next []string
		for _, dir := range found {
			names, err := r.match(dir, segment, last)
			if err != nil {
				return nil, err
			}
			next = append(next, names...)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// match returns the entries of dir that one segment of a pattern matches: files for the last segment, else directories.
func (r *Repository) match(dir, segment string, last bool) ([]string, error) {
	if strings.HasPrefix(segment, ".") {
		return nil, nil
	}
	entries, err := fs.ReadDir(r.tree.FS, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", r.tree.Display(dir), err)
	}
	var names []string
	for _, e := range entries {
		if ok, _ := path.Match(segment, e.Name()); !ok || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		p := path.Join(dir, e.Name())
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			// What a link leads to counts. One that leads nowhere or out is taken as a file, for the reader to refuse.
			info, err := fs.Stat(r.tree.FS, p)
			isDir = err == nil && info.IsDir()
			if err != nil && !last {
				continue
			}
		}
		if isDir != last {
			names = append(names, p)
		}
	}
	return names, nil
}
