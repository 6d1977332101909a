package diag

import (
	"slices"
	"strings"
)

// Nearest returns the candidate that was most likely meant by word: the one fewest typing mistakes away; of several the
// one of the same length, and of those the first in byte order. It returns "" where none is near: more than a third of
// the longer one's letters would have to be wrong (one letter may be in any word of two or more).
func Nearest(word string, candidates []string) string {
	sorted := slices.Sorted(slices.Values(candidates))
	best, distance := "", -1
	for _, c := range sorted {
		if c == word {
			continue
		}
		longer := max(len([]rune(c)), len([]rune(word)))
		if longer < 2 {
			continue
		}
		d := mistakes([]rune(strings.ToLower(word)), []rune(strings.ToLower(c)))
		if d > max(1, longer/3) || d == longer {
			continue
		}
		if distance < 0 || d < distance || d == distance && len(c) == len(word) && len(best) != len(word) {
			best, distance = c, d
		}
	}
	return best
}

// mistakes counts the letters inserted, left out, replaced or swapped with their neighbour (the optimal string alignment
// distance).
func mistakes(a, b []rune) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last = last, row
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
