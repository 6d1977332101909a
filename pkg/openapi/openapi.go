// Package openapi checks objects against the Kubernetes schemas of a version, as the API server would read them.
//
// It finds what the server refuses because of an object's form: unknown fields (as with strict field validation), wrong
// types, missing fields, kinds and versions that are not there, and the constraints of custom resource definitions. It asks
// no server, and knows nothing of what only a server can tell: rules between fields (CEL, admission), defaults, quotas,
// immutable fields, other objects.
package openapi

import (
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
)

// Library holds the schemas of Kubernetes' built-in kinds, by minor version. A version is read when it is first asked for.
// It is safe for concurrent use.
type Library struct {
	files  fs.FS
	minors []int

	mu    sync.Mutex
	books map[int]*book
	// definitions are those of all runs, by the digest of their text.
	definitions map[[sha256.Size]byte]*definition
}

// major is that of every version of Kubernetes so far.
const major = 1

var bookName = regexp.MustCompile(`^v1\.(\d+)\.json\.gz$`)

// NewLibrary returns the library of the files at the root of bundled, v1.MINOR.json.gz (package kubernetes says what is in
// them). The error is that of listing them; they are read later.
func NewLibrary(bundled fs.FS) (*Library, error) {
	entries, err := fs.ReadDir(bundled, ".")
	if err != nil {
		return nil, fmt.Errorf("listing the Kubernetes schemas: %w", err)
	}
	l := &Library{files: bundled, books: map[int]*book{}, definitions: map[[sha256.Size]byte]*definition{}}
	for _, e := range entries {
		if m := bookName.FindStringSubmatch(e.Name()); m != nil {
			minor, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, fmt.Errorf("listing the Kubernetes schemas: %s: %w", e.Name(), err)
			}
			l.minors = append(l.minors, minor)
		}
	}
	if len(l.minors) == 0 {
		return nil, fmt.Errorf("listing the Kubernetes schemas: there are none")
	}
	slices.Sort(l.minors)
	return l, nil
}

// Minors returns the minor versions that the library has, the oldest first: "1.33".
func (l *Library) Minors() []string {
	out := make([]string, len(l.minors))
	for i, m := range l.minors {
		out[i] = inWords(m)
	}
	return out
}

func inWords(minor int) string { return fmt.Sprintf("%d.%d", major, minor) }

var versionForm = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// minorOf reads the minor version of "v1.36.3", "1.34" or "1.33.1-eks-1234".
func minorOf(version string) (int, error) {
	m := versionForm.FindStringSubmatch(version)
	if m == nil || m[1] != strconv.Itoa(major) {
		return 0, fmt.Errorf("reading the Kubernetes version %q: it is not like 1.34", version)
	}
	minor, err := strconv.Atoi(m[2])
	if err != nil {
		return 0, fmt.Errorf("reading the Kubernetes version %q: %w", version, err)
	}
	return minor, nil
}

// nearest returns the minor of the library that is nearest to one.
func (l *Library) nearest(minor int) int {
	best := l.minors[0]
	for _, m := range l.minors {
		if m <= minor {
			best = m
		}
	}
	return best
}

// book is what the library knows of one minor version.
type book struct {
	release     string
	kinds       map[string]string
	definitions map[string]json.RawMessage

	mu     sync.Mutex
	parsed map[string]*schema
}

func (l *Library) book(minor int) (*book, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b, ok := l.books[minor]; ok {
		return b, nil
	}
	b, err := l.read(fmt.Sprintf("v%s.json.gz", inWords(minor)))
	if err != nil {
		return nil, fmt.Errorf("reading the schemas of Kubernetes %s: %w", inWords(minor), err)
	}
	l.books[minor] = b
	return b, nil
}

func (l *Library) read(name string) (*book, error) {
	file, err := l.files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		return nil, err
	}
	var content struct {
		Version     string
		Kinds       map[string]string
		Definitions map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &content); err != nil {
		return nil, err
	}
	return &book{
		release: content.Version, kinds: content.Kinds, definitions: content.Definitions, parsed: map[string]*schema{},
	}, nil
}

// definition returns a definition, or nil for one that is not there.
func (b *book) definition(name string) *schema {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.parsed[name]; ok {
		return s
	}
	text, ok := b.definitions[name]
	if !ok {
		return nil
	}
	s := &schema{}
	if err := json.Unmarshal(text, s); err != nil {
		panic(fmt.Sprintf("openapi: the bundled definition %s: %v", name, err)) // a test reads them all
	}
	b.parsed[name] = s
	return s
}

// kind is the key of a kind in a book.
func kind(group, version, name string) string {
	if group == "" {
		return version + "/" + name
	}
	return group + "/" + version + "/" + name
}

// versions returns the versions in which a book has a kind, the best first.
func (b *book) versions(group, name string) []string {
	var out []string
	for key := range b.kinds {
		if g, v, k := splitKind(key); g == group && k == name {
			out = append(out, v)
		}
	}
	sortVersions(out)
	return out
}

// groups returns the groups of a book.
func (b *book) groups() map[string]bool {
	out := map[string]bool{}
	for key := range b.kinds {
		group, _, _ := splitKind(key)
		out[group] = true
	}
	return out
}

func splitKind(key string) (group, version, name string) {
	parts := strings.Split(key, "/")
	if len(parts) == 2 {
		return "", parts[0], parts[1]
	}
	return parts[0], parts[1], parts[2]
}

// stable is a version that is neither alpha nor beta.
var stable = regexp.MustCompile(`^v\d+$`)

// sortVersions puts stable versions first, then beta before alpha, and of each the newest first.
func sortVersions(versions []string) {
	rank := func(v string) int {
		switch {
		case stable.MatchString(v):
			return 0
		case strings.Contains(v, "beta"):
			return 1
		}
		return 2
	}
	slices.SortFunc(versions, func(a, b string) int {
		x, y := numbers.FindAllString(a, -1), numbers.FindAllString(b, -1)
		for i := range min(len(x), len(y)) { // v1beta10 is newer than v1beta2
			if d := cmp.Or(cmp.Compare(len(y[i]), len(x[i])), strings.Compare(y[i], x[i])); d != 0 && rank(a) == rank(b) {
				return d
			}
		}
		return cmp.Or(rank(a)-rank(b), strings.Compare(b, a))
	})
}

// numbers are the numbers of a version, which have no zeros before them.
var numbers = regexp.MustCompile(`\d+`)

// Checker checks the objects of one run. It is safe for concurrent use.
type Checker struct {
	library *Library
	book    *book
	// asked is the minor version of the cluster, taken that of book.
	asked, taken int
	custom       map[string]*definition
	digest       string
}

// Checker returns what checks the objects for a cluster of a version of Kubernetes ("v1.36.3", "1.34"), with the custom
// resource definitions among crds. Where the library has not that minor version, it takes the nearest and warns. The error
// is a version that can't be read, or the library's own.
func (l *Library) Checker(version string, crds []manifest.Object) (*Checker, diag.Diagnostics, error) {
	asked, err := minorOf(version)
	if err != nil {
		return nil, nil, err
	}
	c := &Checker{library: l, asked: asked, taken: l.nearest(asked), custom: map[string]*definition{}}
	if c.book, err = l.book(c.taken); err != nil {
		return nil, nil, err
	}
	c.define(crds)
	if c.asked == c.taken {
		return c, nil, nil
	}
	minors := l.Minors()
	return c, diag.Diagnostics{{
		Severity: diag.Warning, Code: diag.ManifestOtherVersion,
		Detail: fmt.Sprintf("this otomi knows the schemas of Kubernetes %s to %s, and the cluster has %s: its objects are checked against "+
			"those of %s. Name a version that is known with --kube-version, or take another otomi.",
			minors[0], minors[len(minors)-1], inWords(asked), inWords(c.taken)),
	}}, nil
}

// Digest changes with everything but the object that the findings depend on: the schemas and the definitions.
func (c *Checker) Digest() string { return c.digest }

// kindsOf returns the names of the kinds that a group has here, sorted.
func (c *Checker) kindsOf(group string) []string {
	names := map[string]bool{}
	for key := range c.book.kinds {
		if g, _, name := splitKind(key); g == group {
			names[name] = true
		}
	}
	for _, d := range c.custom {
		if d.group == group {
			names[d.kind] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
