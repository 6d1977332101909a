package value

import (
	"errors"
	"fmt"
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

// MaxIndex is the greatest index of a list that ParsePath reads: Helm's own bound (pkg/strvals, MaxIndex).
const MaxIndex = 65536

// ParsePath reads a path in the grammar of Helm's --set: keys between dots, [0] into a list, and a backslash before a
// character that is meant as it stands. The empty text is the root. It is the inverse of Path.String for every path
// without an empty key, which the grammar cannot say. The error says what is wrong and what to write.
func ParsePath(text string) (Path, error) {
	var path Path
	for i := 0; i < len(text); {
		if text[i] == '[' {
			length := strings.IndexByte(text[i:], ']')
			if length < 0 {
				return nil, errors.New("an index is not closed; write it as [0], or \\[ for a bracket within a key")
			}
			digits := text[i+1 : i+length]
			index, err := strconv.ParseUint(digits, 10, 32)
			if err != nil || index > MaxIndex {
				return nil, fmt.Errorf("[%s] is no index; write a number from 0 to %d, or \\[ for a bracket within a key", digits, MaxIndex)
			}
			path = append(path, Step{Index: int(index), InList: true})
			if i += length + 1; i < len(text) && text[i] != '[' && text[i] != '.' {
				return nil, fmt.Errorf("after [%s] comes a dot, another index, or nothing", digits)
			}
		} else {
			key, rest, err := parseKey(text[i:])
			if err != nil {
				return nil, err
			}
			path = append(path, Step{Key: key})
			i = len(text) - len(rest)
		}
		if i < len(text) && text[i] == '.' {
			if i++; i == len(text) || text[i] == '[' {
				return nil, errors.New("after a dot comes a key; write \\. for a dot within a key")
			}
		}
	}
	return path, nil
}

// parseKey reads one key, up to a dot or an index.
func parseKey(text string) (key, rest string, err error) {
	var b strings.Builder
	i := 0
	for ; i < len(text) && text[i] != '.' && text[i] != '['; i++ {
		if text[i] == '\\' {
			if i++; i == len(text) {
				return "", "", errors.New("it ends in a backslash; write \\\\ for a backslash within a key")
			}
		}
		b.WriteByte(text[i])
	}
	if b.Len() == 0 {
		return "", "", errors.New("a key is empty; write \\. for a dot within a key")
	}
	return b.String(), text[i:], nil
}
