package report

import "fmt"

// Cache is what a cache of this machine holds.
type Cache struct {
	Name     string `json:"name"`
	Entries  int    `json:"entries"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"maxBytes"`
}

// Caches prints what the caches of a directory hold.
func (r *Reporter) Caches(dir string, caches []Cache, format string) error {
	if format == "json" {
		return r.JSON(struct {
			FormatVersion int     `json:"formatVersion"`
			Dir           string  `json:"dir"`
			Caches        []Cache `json:"caches"`
		}{FormatVersion, dir, caches})
	}
	text := "Cache directory: " + dir + "\n"
	for _, c := range caches {
		text += fmt.Sprintf("%-8s %s, %s of at most %s\n", c.Name, count(c.Entries), size(c.Bytes), size(c.MaxBytes))
	}
	return r.Product(text)
}

// CacheCleanup tells what was removed from the caches of a directory.
func (r *Reporter) CacheCleanup(dir string, caches []Cache) {
	var n int
	var bytes int64
	for _, c := range caches {
		n, bytes = n+c.Entries, bytes+c.Bytes
	}
	r.Talk("removed %s from %s (%s)", count(n), dir, size(bytes))
}

// count writes a number of entries.
func count(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// size writes a number of bytes in the largest unit that it fills.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i, value := 0, float64(n)
	for value >= 1024 && i < len(units)-1 {
		i, value = i+1, value/1024
	}
	if i == 0 || value == float64(int64(value)) {
		return fmt.Sprintf("%d %s", int64(value), units[i])
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
