package chart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
	helmchart "helm.sh/helm/v3/pkg/chart"
)

// index is an index in parts, one for each chart, which is read when somebody asks for it: a large index takes seconds and
// hundreds of megabytes to read whole.
type index struct {
	// name and host are shown.
	name, host string
	mu         sync.Mutex
	parts      map[string][]byte
	// text is all of it, where parts are pieces of it.
	text []byte
	json bool
	read map[string][]listed
}

// listed is one version of a chart in an index.
type listed struct {
	version string
	// address is the first of its URLs as it is written, or "" where it has none.
	address, digest string
}

// index returns the index of a repository, and downloads it the first time.
func (r *Remote) index(ctx context.Context, p place) (*index, error) {
	// What it is called and what is asked of its charts makes no other index of it.
	key := p.repository
	key.Name, key.Verify, key.Keyring = "", false, ""
	x, _, err := r.indexes.get(ctx, fmt.Sprintf("%q", fmt.Sprint(key)), diag.Range{}, func() (*index, diag.Diagnostics, error) {
		at, err := resolveURL(p.url, "index.yaml")
		if err != nil {
			return nil, nil, err
		}
		text, err := r.get(ctx, p, at, "the index of the repository "+p.repository.Name, maxIndex)
		if err != nil {
			return nil, nil, err
		}
		x, err := readIndex(text, p.repository.Name, hostOf(at))
		return x, nil, err
	})
	return x, err
}

// resolveURL sees an address from that of a repository, as Helm does (pkg/repo, ResolveReferenceURL): the repository's
// query goes with it.
func resolveURL(base *url.URL, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, faultf(diag.ChartIndex, "the index of %s lists an address that is no URL. Tell who runs it", hostOf(base))
	}
	if u.IsAbs() {
		u.User = nil
		return u, nil
	}
	from := *base
	from.RawPath = strings.TrimSuffix(from.RawPath, "/") + "/"
	from.Path = strings.TrimSuffix(from.Path, "/") + "/"
	u = from.ResolveReference(u)
	u.User = nil
	if origin(u) == origin(base) { // "//HOST/PATH" is of another host, and the query may be a token
		u.RawQuery = from.RawQuery
	}
	return u, nil
}

// The types of an index are Helm's (pkg/repo, IndexFile and ChartVersion): a key that they don't have is an error.
type indexFile struct {
	ServerInfo  map[string]any             `json:"serverInfo,omitempty"`
	APIVersion  string                     `json:"apiVersion"`
	Generated   time.Time                  `json:"generated"`
	Entries     map[string][]*indexVersion `json:"entries"`
	PublicKeys  []string                   `json:"publicKeys,omitempty"`
	Annotations map[string]string          `json:"annotations,omitempty"`
}

type indexVersion struct {
	*helmchart.Metadata
	URLs    []string  `json:"urls"`
	Created time.Time `json:"created"`
	Removed bool      `json:"removed,omitempty"`
	Digest  string    `json:"digest,omitempty"`

	Checksum      string `json:"checksum,omitempty"`
	Engine        string `json:"engine,omitempty"`
	TillerVersion string `json:"tillerVersion,omitempty"`
	URL           string `json:"url,omitempty"`
}

// readIndex takes an index apart. Of the parts the charts' are read later; what is no valid index is a fault.
func readIndex(text []byte, name, host string) (*index, error) {
	if len(text) == 0 {
		return nil, faultf(diag.ChartIndex, "the index of the repository %s at %s is empty. Correct the address of the repository", name, host)
	}
	x := &index{name: name, host: host, read: map[string][]listed{}}
	var file indexFile
	if json.Valid(text) {
		x.json = true
		parts, version, err := cutJSON(text)
		if err != nil {
			return nil, x.fault(err)
		}
		x.parts, file.APIVersion = parts, version
	} else if rest, parts, ok := cutYAML(text); ok && x.decode(rest, &file) == nil {
		x.parts, x.text = parts, text
	} else if err := x.whole(text, &file); err != nil {
		return nil, err
	}
	if file.APIVersion == "" {
		return nil, x.fault(errors.New("it has no apiVersion"))
	}
	return x, nil
}

// whole reads an index at once.
func (x *index) whole(text []byte, file *indexFile) error {
	*file = indexFile{}
	if err := x.decode(text, file); err != nil {
		return err
	}
	x.parts = map[string][]byte{}
	for chart, versions := range file.Entries {
		x.parts[chart], x.read[chart] = nil, sorted(versions)
	}
	return nil
}

// chart returns the versions of a chart, newest first, as Helm reads them (pkg/repo, loadIndex): what is no valid entry is
// passed over.
func (x *index) chart(name string) ([]listed, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if versions, ok := x.read[name]; ok {
		return versions, nil
	}
	part, ok := x.parts[name]
	if !ok {
		names := make([]string, 0, len(x.parts))
		for n := range x.parts {
			names = append(names, n)
		}
		slices.Sort(names)
		hint := fmt.Sprintf("It has %d others; correct the name.", len(names))
		if near := diag.Nearest(name, names); near != "" {
			hint = fmt.Sprintf("Did you mean %q?", near)
		}
		return nil, faultf(diag.ChartMissing, "the repository %s has no chart %q. %s", x.name, name, hint)
	}
	var file indexFile
	if x.json {
		part = slices.Concat([]byte(`{"entries":{"":`), part, []byte(`}}`))
	} else {
		part = slices.Concat([]byte("entries:\n"), part)
	}
	if err := x.decode(part, &file); err != nil {
		// A text that was cut in the wrong place is right as a whole; one that is wrong is wrong in both.
		if x.json || x.whole(x.text, &file) != nil {
			return nil, err
		}
		return x.read[name], nil
	}
	for _, versions := range file.Entries { // one
		x.read[name] = sorted(versions)
	}
	return x.read[name], nil
}

// decode reads a part of an index as Helm reads the whole (pkg/repo, jsonOrYamlUnmarshal).
func (x *index) decode(text []byte, file *indexFile) error {
	if items(text) > maxItems {
		return faultf(diag.ChartTooLarge, "the index of the repository %s at %s has more than %d keys and items in one part, which is the most that otomi reads. "+
			"Ask who runs it to write it anew with helm repo index", x.name, x.host, maxItems)
	}
	read := yaml.DecodeStrictInto
	if x.json {
		read = json.Unmarshal
	}
	if err := read(text, file); err != nil {
		return x.fault(err)
	}
	return nil
}

func (x *index) fault(err error) fault {
	return faultf(diag.ChartIndex, "the index of the repository %s at %s is not as Helm wants it: %s. "+
		"Correct the address of the repository, or tell who runs it", x.name, x.host, brief(err))
}

// topKey and chartKey are the lines of a key and of a chart in an index as helm repo index writes it.
var (
	topKey   = regexp.MustCompile(`^[A-Za-z]+:(?:[ \r\n]|$)`)
	chartKey = regexp.MustCompile(`^( +)([A-Za-z0-9][A-Za-z0-9._/-]*):[ ]*(?:\[\])?[ \r]*$`)
)

// cutYAML takes an index apart, if it has the form in which Helm and every server writes it: charts by their names on lines
// of their own below entries. rest is all but them. Whatever is not so, or could reach from one part into another (anchors,
// documents), is for the slow way.
func cutYAML(text []byte) (rest []byte, parts map[string][]byte, ok bool) {
	for _, mark := range []string{": &", ": *", "- &", "- *", "<<"} {
		if bytes.Contains(text, []byte(mark)) {
			return nil, nil, false
		}
	}
	parts = map[string][]byte{}
	within, seen := false, false
	indent, from, chart := "", 0, ""
	done := func(to int) {
		if chart != "" {
			parts[chart] = text[from:to]
			chart = ""
		}
	}
	for at := 0; at < len(text); {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := text[at:end]
		trimmed := bytes.TrimLeft(line, " ")
		width := len(line) - len(trimmed)
		trimmed = bytes.TrimRight(trimmed, " \r\n")
		switch {
		case len(trimmed) == 0 || trimmed[0] == '#':
			if !within {
				rest = append(rest, line...)
			}
		case width == 0:
			done(at)
			if trimmed[0] == '-' || trimmed[0] == '.' || trimmed[0] == '%' {
				if seen || len(bytes.TrimSpace(rest)) > 0 || string(trimmed) != "---" {
					return nil, nil, false
				}
				break
			}
			if within = string(trimmed) == "entries:"; within && seen || !topKey.Match(line) {
				return nil, nil, false
			}
			seen = seen || within
			if !within {
				rest = append(rest, line...)
			}
		case !within:
			rest = append(rest, line...)
		case indent == "" || width == len(indent) && string(trimmed) != "-" && !bytes.HasPrefix(trimmed, []byte("- ")):
			done(at)
			m := chartKey.FindSubmatch(bytes.TrimRight(line, "\n"))
			if m == nil || indent != "" && string(m[1]) != indent || len(parts) == maxCharts {
				return nil, nil, false
			}
			name := string(m[2])
			if v, err := yaml.Decode(m[2]); err != nil || v != any(name) { // such as true, which is no string
				return nil, nil, false
			}
			if _, twice := parts[name]; twice {
				return nil, nil, false
			}
			indent, from, chart = string(m[1]), at, name
		case width < len(indent):
			return nil, nil, false
		}
		at = end
	}
	done(len(text))
	return rest, parts, seen
}

// cutJSON takes an index in JSON apart.
func cutJSON(text []byte) (parts map[string][]byte, version string, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	parts = map[string][]byte{}
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, "", errors.New("it is no map")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, "", err
		}
		var raw json.RawMessage
		if key == "entries" {
			if t, err := d.Token(); err != nil || t != json.Delim('{') {
				return nil, "", errors.New("its entries are no map")
			}
			for d.More() {
				name, err := d.Token()
				if err != nil {
					return nil, "", err
				}
				if err := d.Decode(&raw); err != nil {
					return nil, "", err
				}
				if len(parts) == maxCharts {
					return nil, "", fmt.Errorf("it has more than %d charts", maxCharts)
				}
				parts[name.(string)] = bytes.Clone(raw) // keys are strings
			}
			if _, err := d.Token(); err != nil {
				return nil, "", err
			}
			continue
		}
		if err := d.Decode(&raw); err != nil {
			return nil, "", err
		}
		if key == "apiVersion" {
			if err := json.Unmarshal(raw, &version); err != nil {
				return nil, "", err
			}
		}
	}
	return parts, version, nil
}

// items counts what may become a key or an item of an index: never less than there are.
func items(text []byte) int {
	n := 0
	for _, b := range text {
		switch b {
		case '\n', ',', '{', '[':
			n++
		}
	}
	return n
}

// brief is the beginning of an error about a text from elsewhere, which may repeat the text.
func brief(err error) string {
	text := []rune(scrub(strings.Join(strings.Fields(err.Error()), " ")))
	const most = 200
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// valid reports whether Helm takes an entry of an index (pkg/repo, loadIndex).
func valid(v *indexVersion) bool {
	if v.Metadata == nil {
		v.Metadata = &helmchart.Metadata{}
	}
	if v.APIVersion == "" {
		v.APIVersion = helmchart.APIVersionV1
	}
	err := v.Validate()
	var invalid helmchart.ValidationError
	return err == nil || errors.As(err, &invalid) && strings.HasPrefix(invalid.Error(), "validation: more than one dependency with name or alias")
}

// sorted returns the valid versions of a chart, newest first, those that are no versions last: Helm's order.
func sorted(versions []*indexVersion) []listed {
	// From the end and by removal, as Helm does: its sort is not stable, so that the order before it matters.
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i] == nil || !valid(versions[i]) {
			versions = append(versions[:i], versions[i+1:]...)
		}
	}
	s := byVersion{parsed: make([]*semver.Version, len(versions)), list: make([]listed, len(versions))}
	for i, v := range versions {
		s.list[i] = listed{version: v.Version, digest: v.Digest}
		if len(v.URLs) > 0 {
			s.list[i].address = v.URLs[0]
		}
		s.parsed[i], _ = semver.NewVersion(v.Version) // nil is last
	}
	sort.Sort(sort.Reverse(s))
	return s.list
}

// byVersion sorts as Helm's ChartVersions does.
type byVersion struct {
	parsed []*semver.Version
	list   []listed
}

func (s byVersion) Len() int { return len(s.list) }
func (s byVersion) Swap(i, j int) {
	s.list[i], s.list[j] = s.list[j], s.list[i]
	s.parsed[i], s.parsed[j] = s.parsed[j], s.parsed[i]
}
func (s byVersion) Less(i, j int) bool {
	switch {
	case s.parsed[i] == nil:
		return true
	case s.parsed[j] == nil:
		return false
	}
	return s.parsed[i].LessThan(s.parsed[j])
}

// pick returns the version that a range asks for, out of those that there are, newest first: one that is written the same,
// else the first that fits; an empty range takes what is no pre-release (pkg/repo, IndexFile.Get; pkg/registry,
// GetTagMatchingVersionOrConstraint). The error is about the range.
func pick(versions []string, asked string) (at int, found bool, err error) {
	if asked != "" {
		if _, err := semver.NewConstraint(asked); err != nil {
			return 0, false, err
		}
		if i := slices.Index(versions, asked); i >= 0 {
			return i, true, nil
		}
	} else {
		asked = "*"
	}
	constraint, err := semver.NewConstraint(asked)
	if err != nil {
		return 0, false, err
	}
	for i, v := range versions {
		if parsed, err := semver.NewVersion(v); err == nil && constraint.Check(parsed) {
			return i, true, nil
		}
	}
	return 0, false, nil
}

// noVersion is the fault of a range that nothing fits.
func noVersion(p place, asked string, versions []string, err error) fault {
	if err != nil {
		return faultf(diag.ChartNoVersion, "%q is no range of versions: %v. Write it as Helm reads it: 1.2.3, ~1.2, ^1.2 or >=1.2 <2", asked, err)
	}
	if len(versions) == 0 {
		return faultf(diag.ChartNoVersion, "%s has no version of the chart %s. Correct the name of the chart", hostOf(p.url), p.name)
	}
	const most = 5
	newest := strings.Join(versions[:min(most, len(versions))], ", ")
	if asked == "" {
		return faultf(diag.ChartNoVersion, "the chart %s of %s has only pre-releases: %s. Ask for one by its version, or set devel: true", p.name, hostOf(p.url), newest)
	}
	return faultf(diag.ChartNoVersion, "no version of the chart %s of %s fits %q. Take one of the newest: %s", p.name, hostOf(p.url), asked, newest)
}

// resolveIndex finds the version that is asked for in the index of a repository.
func (r *Remote) resolveIndex(ctx context.Context, p place, asked string) (Resolved, error) {
	entries, err := r.listed(ctx, p)
	if err != nil {
		return Resolved{}, err
	}
	versions := versionsOf(entries)
	i, found, err := pick(versions, asked)
	if err != nil || !found {
		return Resolved{}, noVersion(p, asked, versions, err)
	}
	entry := entries[i]
	if entry.address == "" {
		return Resolved{}, faultf(diag.ChartIndex, "the index of the repository %s lists %s %s without an address. Take another version, or tell who runs it",
			p.repository.Name, p.name, entry.version)
	}
	at, err := resolveURL(p.url, entry.address)
	if err != nil {
		return Resolved{}, err
	}
	if at.RawQuery == p.url.RawQuery && origin(at) == origin(p.url) {
		at.RawQuery = "" // Fetch adds it
	}
	return Resolved{Name: p.name, Version: entry.version, URL: at.String(), Digest: indexDigest(entry.digest)}, nil
}

// indexDigest is the digest of an index as hex, or "" for what is no sha256: Helm does not look at it.
func indexDigest(text string) string {
	text = strings.TrimPrefix(strings.ToLower(text), "sha256:")
	if !digestForm.MatchString(text) {
		return ""
	}
	return text
}

// listed returns the versions of a chart in the index of a repository.
func (r *Remote) listed(ctx context.Context, p place) ([]listed, error) {
	x, err := r.index(ctx, p)
	if err != nil {
		return nil, err
	}
	return x.chart(p.name)
}

func versionsOf(entries []listed) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.version
	}
	return out
}

func (r *Remote) listIndex(ctx context.Context, p place) ([]string, error) {
	entries, err := r.listed(ctx, p)
	return versionsOf(entries), err
}
