package value

import (
	"slices"
	"strconv"
	"strings"
)

// Step is one step of a path: into a map by key, or into a list by index.
type Step struct {
	Key    string
	Index  int
	InList bool
}

// Path leads from the root of a tree to a node. The empty path is the root.
type Path []Step

// Key returns the path one step further, into a map. The receiver stays as it is.
func (p Path) Key(key string) Path { return append(slices.Clip(p), Step{Key: key}) }

// Index returns the path one step further, into a list.
func (p Path) Index(i int) Path { return append(slices.Clip(p), Step{Index: i, InList: true}) }

// String writes the path in the grammar of Helm's --set: a.b[0], with dots in keys escaped.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch {
		case step.InList:
			b.WriteString("[" + strconv.Itoa(step.Index) + "]")
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(escaper.Replace(step.Key))
	}
	return b.String()
}

var escaper = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `[`, `\[`, `,`, `\,`, `=`, `\=`)
