package diag

import "slices"

// Collection merges the problems of many clusters: equal ones become a single one that names all its clusters. Its size is
// that of the different problems, not of all. The zero Collection is empty.
type Collection struct {
	found []Diagnostic
	index map[identity]int
}

// identity is what makes two problems equal: the place and the words. Two clusters may override different values with the
// same one; the notes of the first stand.
type identity struct {
	severity Severity
	code     Code
	at       Range
	path     string
	detail   string
}

// Add adds the problems of a cluster; cluster is "" for those of the repository or of its only, unnamed cluster.
func (c *Collection) Add(cluster string, ds Diagnostics) {
	if c.index == nil {
		c.index = map[identity]int{}
	}
	for _, d := range ds {
		id := identity{severity: d.Severity, code: d.Code, at: d.Range, path: d.Path, detail: d.Detail}
		i, ok := c.index[id]
		if !ok {
			i = len(c.found)
			c.index[id] = i
			c.found = append(c.found, d)
		}
		c.found[i].Secret = c.found[i].Secret || d.Secret
		if cluster != "" && !slices.Contains(c.found[i].Clusters[max(0, len(c.found[i].Clusters)-1):], cluster) {
			c.found[i].Clusters = append(c.found[i].Clusters, cluster)
		}
	}
}

// Diagnostics returns the problems, sorted.
func (c *Collection) Diagnostics() Diagnostics { return Diagnostics(c.found).Sorted() }
