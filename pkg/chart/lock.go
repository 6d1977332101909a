package chart

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
	"github.com/redkubes/otomi/pkg/yaml"
)

// LockFile is the name of the lock file in a values repository.
const LockFile = "charts.lock"

// lockVersion is the version of the lock file's form.
const lockVersion = 1

// maxLock bounds the lock file: more than 10,000 entries.
const maxLock = 4 << 20

// Lock says which bytes the references to charts mean that come from outside of the stack and the values repository. Its
// entries are sorted and no two have the same key.
type Lock struct {
	Entries []Entry
	// File is the name of the file as it is shown, and Text what it held, where it was read from one.
	File string
	Text []byte
}

// Entry is one reference and what it means.
type Entry struct {
	Key
	// Name and Version are those of Chart.yaml.
	Name, Version string
	// URL is where the bytes were, without credentials. It ends in "?" where it had a query, which may be a token: then the
	// repository is asked again when the bytes are fetched.
	URL string
	// SHA256 is the sha256 of the archive as hex; of a chart of git the digest of its files.
	SHA256 string
	// Manifest is the digest of the OCI manifest with its algorithm, Commit the commit of git.
	Manifest, Commit string
	// Range is the place of the entry in the lock file.
	Range diag.Range
}

// Key is what a reference asks for, however its repository is called.
type Key struct {
	// Chart is the name of the chart in its repository, or an address: oci://HOST/PATH, https://HOST/PATH.tgz or
	// git+https://HOST/REPOSITORY//PATH@REVISION.
	Chart string
	// Repository is the address of the HTTP repository, or "".
	Repository string
	// Constraint is the version or range of versions that is asked for.
	Constraint string
}

// KeyOf returns what r asks for. It has no credentials in it.
func KeyOf(r Ref) Key {
	if r.Repository == nil {
		k := Key{Chart: scrubbed(r.Chart), Constraint: wanted(r)}
		if !strings.HasPrefix(k.Chart, "oci://") {
			k.Constraint = "" // an address has its version in itself
		}
		return k
	}
	_, name, _ := strings.Cut(r.Chart, "/")
	at := r.Repository.URL
	if r.Repository.OCI || strings.HasPrefix(at, "oci://") {
		at = strings.TrimSuffix(strings.TrimPrefix(at, "oci://"), "/")
		return Key{Chart: scrubbed("oci://" + at + "/" + name), Constraint: wanted(r)}
	}
	return Key{Chart: name, Repository: strings.TrimSuffix(scrubbed(at), "/"), Constraint: wanted(r)}
}

// scrubbed is an address without user name and password, its host in lower case. Of a query, which may hold a token, there
// is a digest, since two addresses may differ in it alone. What is no address comes back empty, since a password may be
// anywhere in it.
func scrubbed(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.RawQuery != "" {
		u.RawQuery = "sha256=" + short(sumOf([]byte(u.RawQuery)))
	}
	u.User, u.Host, u.Scheme, u.Fragment = nil, strings.ToLower(u.Host), strings.ToLower(u.Scheme), ""
	return u.String()
}

// withoutQuery is the address of an archive as it may be written down. Where a query was dropped it ends in "?".
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User, u.Fragment, u.ForceQuery, u.RawQuery = nil, "", u.RawQuery != "", ""
	return u.String()
}

// String is the reference as a message has it: "nginx ~1.2 from https://charts.example.com".
func (k Key) String() string {
	text := scrub(k.Chart)
	if k.Constraint != "" {
		text += " " + k.Constraint
	}
	if k.Repository != "" {
		text += " from " + scrub(k.Repository)
	}
	return text
}

func (k Key) compare(other Key) int {
	return cmp.Or(
		strings.Compare(k.Repository, other.Repository),
		strings.Compare(k.Chart, other.Chart),
		strings.Compare(k.Constraint, other.Constraint),
	)
}

// Find returns the entry of a key. A nil lock has none.
func (l *Lock) Find(k Key) (Entry, bool) {
	if l == nil {
		return Entry{}, false
	}
	for _, e := range l.Entries {
		if e.Key == k {
			return e, true
		}
	}
	return Entry{}, false
}

// satisfying returns the entry of the newest version of the same chart that k allows, too, out of those whose key nobody
// asks for any more: a change of the constraint alone changes no version.
func (l *Lock) satisfying(k Key, asked map[Key]bool) (Entry, bool) {
	if l == nil {
		return Entry{}, false
	}
	var best Entry
	for _, e := range l.Entries {
		if e.Chart != k.Chart || e.Repository != k.Repository || e.Commit != "" || asked[e.Key] || !satisfies(e.Version, orElse(k.Constraint, "*")) {
			continue
		}
		if best.Version == "" || Newer(e.Version, best.Version) {
			best = e
		}
	}
	best.Key = k
	return best, best.Version != ""
}

// satisfies reports whether version is one that constraint asks for, as Helm reads both. What is neither does not.
func satisfies(version, constraint string) bool {
	c, err := semver.NewConstraint(constraint)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}

// resolved is the entry as Remote knows it.
func (e Entry) resolved() Resolved {
	r := Resolved{Name: e.Name, Version: e.Version, URL: e.URL, Manifest: e.Manifest, Commit: e.Commit}
	if e.Commit == "" {
		r.Digest = e.SHA256
	}
	return r
}

// file is the name of the entry's file in vendor/charts.
func (e Entry) file() string { return fmt.Sprintf("%s-%s-%s.tgz", e.Name, e.Version, short(e.SHA256)) }

// provenance is the name of its .prov file there.
func (e Entry) provenance() string { return e.file() + ".prov" }

// ref is a reference that means the entry, with the credentials that are known for its repository.
func (e Entry) ref(known []Repository) Ref {
	r := Ref{Chart: e.Chart, Version: e.Constraint, Range: e.Range}
	if e.Repository != "" {
		return inRepository(r, e.Repository, e.Chart, known)
	}
	return withCredentials(r, known)
}

// lockHead begins a lock file.
const lockHead = `# Which bytes the charts are that come from elsewhere: written by ` + "`otomi charts lock`" + `, and refused where they differ.
# Commit this file. After a merge that both sides changed it in: take either side and run it again.
`

// Marshal returns the lock file: the same bytes for the same entries.
func (l *Lock) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sformatVersion: %d\n", lockHead, lockVersion)
	if len(l.Entries) == 0 {
		b.WriteString("charts: []\n")
		return b.Bytes()
	}
	b.WriteString("charts:\n")
	for _, e := range l.Entries {
		lead := "- "
		for _, f := range e.fields() {
			if f.text != "" || f.key == "chart" {
				fmt.Fprintf(&b, "%s%s: %s\n", lead, f.key, scalar(f.text))
				lead = "  "
			}
		}
	}
	return b.Bytes()
}

// field is a key of an entry and what it says.
type field struct{ key, text string }

// fields are the keys of an entry in their order in the file.
func (e Entry) fields() []field {
	return []field{
		{"chart", e.Chart}, {"repository", e.Repository}, {"constraint", e.Constraint}, {"name", e.Name}, {"version", e.Version},
		{"url", e.URL}, {"sha256", e.SHA256}, {"manifest", e.Manifest}, {"commit", e.Commit},
	}
}

// set changes what a key says; it reports whether there is such a key.
func (e *Entry) set(key, text string) bool {
	for name, to := range map[string]*string{
		"chart": &e.Chart, "repository": &e.Repository, "constraint": &e.Constraint, "name": &e.Name, "version": &e.Version,
		"url": &e.URL, "sha256": &e.SHA256, "manifest": &e.Manifest, "commit": &e.Commit,
	} {
		if name == key {
			*to = text
			return true
		}
	}
	return false
}

// scalar writes a text as YAML: always in quotes, since a digest may look like a number.
func scalar(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// ReadLock reads charts.lock in the root of a tree: nil where there is none. An entry that could not have been written by
// `otomi charts lock` is a diagnostic at its place, since whoever edits a digest gets other charts.
func ReadLock(tree source.Tree) (*Lock, diag.Diagnostics, error) {
	text, err := readFile(tree.FS, LockFile, maxLock)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without the file nothing would be pinned, and a link to nothing is no decision to that.
		if _, err := fs.Lstat(tree.FS, LockFile); err == nil {
			return &Lock{}, diag.Diagnostics{badLock(diag.Range{File: tree.Display(LockFile)}, "charts.lock is a link to nothing. Remove it. %s", lockAgain)}, nil
		}
		return nil, nil, nil
	case errors.Is(err, errLarge):
		return nil, diag.Diagnostics{badLock(diag.Range{File: tree.Display(LockFile)},
			"the file has more than %d MiB. %s", maxLock>>20, lockAgain)}, nil
	case err != nil:
		return nil, nil, err
	}
	l, diags := parseLock(text, tree.Display(LockFile))
	return l, diags, nil
}

const lockAgain = "Write it again with: otomi charts lock"

func badLock(at diag.Range, format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{Severity: diag.Error, Code: diag.ChartLockInvalid, Detail: fmt.Sprintf(format, args...), Range: at}
}

// parseLock reads a lock file. The lock is never nil, so that its text can be shown with the diagnostics.
func parseLock(text []byte, file string) (*Lock, diag.Diagnostics) {
	l := &Lock{File: file, Text: text}
	root, diags := yaml.Read(text, yaml.ReadOptions{File: file, Map: true})
	if diags.HasErrors() || root == nil {
		return l, diags
	}
	version := root.Get("formatVersion")
	if n, ok := version.Plain().(int64); !ok || n != lockVersion {
		at := diag.Range{File: file, Start: diag.Pos{Line: 1, Column: 1}}
		if version != nil {
			at = version.Origin.Range
		}
		return l, append(diags, badLock(at, "formatVersion is not %d, the one that this otomi knows. %s, or use the otomi that wrote it.", lockVersion, lockAgain))
	}
	for _, f := range root.Fields {
		if f.Key != "formatVersion" && f.Key != "charts" {
			diags = append(diags, badLock(f.KeyRange, "charts.lock has no key %q. %s", f.Key, lockAgain))
		}
	}
	charts := root.Get("charts")
	if charts == nil || charts.Kind != value.List {
		return l, append(diags, badLock(diag.Range{File: file}, "charts.lock has no list `charts`. %s", lockAgain))
	}
	for _, item := range charts.Items {
		e, more := parseEntry(item)
		diags = append(diags, more...)
		if other, ok := l.Find(e.Key); ok && !more.HasErrors() {
			d := badLock(e.Range, "%s is locked twice. %s", e.Key, lockAgain)
			d.Notes = []diag.Note{{Message: "the other entry", Range: other.Range}}
			diags = append(diags, d)
			continue
		}
		l.Entries = append(l.Entries, e)
	}
	l.sort()
	return l, diags
}

func (l *Lock) sort() {
	slices.SortFunc(l.Entries, func(a, b Entry) int { return a.compare(b.Key) })
}

// The forms of what an entry says.
var (
	digestForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	manifestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	commitForm   = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	// lineForm are the texts that fit a line.
	lineForm = regexp.MustCompile(`^[^\x00-\x1f\x7f]+$`)
)

func parseEntry(item *value.Node) (Entry, diag.Diagnostics) {
	e := Entry{Range: item.Origin.Range}
	if item.Kind != value.Map {
		return e, diag.Diagnostics{badLock(e.Range, "an entry of `charts` is a map, and this is %s. %s", item.Kind.WithArticle(), lockAgain)}
	}
	var diags diag.Diagnostics
	for _, f := range item.Fields {
		text := f.Value.Text()
		switch {
		case f.Value.Kind != value.String:
			diags = append(diags, badLock(f.Value.Origin.Range, "%s is a string, and this is %s. %s", f.Key, f.Value.Kind.WithArticle(), lockAgain))
		case !e.set(f.Key, text):
			diags = append(diags, badLock(f.KeyRange, "an entry of charts.lock has no key %q. %s", f.Key, lockAgain))
		case !well(f.Key, text):
			diags = append(diags, badLock(f.Value.Origin.Range, "%q is no %s that otomi writes. %s", text, f.Key, lockAgain))
		}
	}
	if diags.HasErrors() {
		return e, diags
	}
	for _, f := range e.fields() {
		needed := f.key == "chart" || f.key == "name" || f.key == "version" || f.key == "url" || f.key == "sha256"
		if needed && f.text == "" {
			diags = append(diags, badLock(e.Range, "the entry has no %s. %s", f.key, lockAgain))
		}
	}
	return e, diags
}

// well reports whether a key of an entry could say that.
func well(key, text string) bool {
	switch key {
	case "sha256":
		return digestForm.MatchString(text)
	case "manifest":
		return manifestForm.MatchString(text)
	case "commit":
		return commitForm.MatchString(text)
	case "name":
		return nameForm.MatchString(text) && len(text) <= 128
	case "version":
		_, err := semver.NewVersion(text)
		return err == nil && len(text) <= 128
	case "url":
		u, err := url.Parse(text)
		return err == nil && u.Host != "" && u.User == nil && lineForm.MatchString(text)
	}
	return lineForm.MatchString(text)
}

// LockChange is what differs between two locks for one reference. A nil side has no such entry.
type LockChange struct {
	Key
	Old, New *Entry
}

// Diff returns what is otherwise in new, in the order of the keys. Either may be nil. An entry whose constraint alone was
// changed is a removal and an addition.
func (l *Lock) Diff(new *Lock) []LockChange {
	var changes []LockChange
	if l != nil {
		for _, old := range l.Entries {
			now, ok := new.Find(old.Key)
			if !ok {
				changes = append(changes, LockChange{Key: old.Key, Old: &old})
				continue
			}
			if now.Range = old.Range; now != old {
				changes = append(changes, LockChange{Key: old.Key, Old: &old, New: &now})
			}
		}
	}
	if new != nil {
		for _, now := range new.Entries {
			if _, ok := l.Find(now.Key); !ok {
				changes = append(changes, LockChange{Key: now.Key, New: &now})
			}
		}
	}
	slices.SortStableFunc(changes, func(a, b LockChange) int { return a.compare(b.Key) })
	return changes
}
