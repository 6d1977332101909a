package diff

import (
	"bytes"
	"cmp"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
)

// FileVersion is the version of the plan file's format. A file of another one is not read.
const FileVersion = 1

// FileKind is what the first field of a plan file says it is.
const FileKind = "otomi plan"

// File is a plan as it is kept in a file: what was asked for, what the plan was made from, and what it would do, so that a later
// run can tell that all of it is still so. It holds no object and no value, only names, actions, states and digests; a
// secret in a name is hidden as anywhere.
//
// Digests. What may hold a secret (a file with one, a rendered release, the live objects that it is compared with) has a digest
// that is stretched: PBKDF2 with SHA-256 and Iterations rounds over a random Salt of the file's own, so that a secret of few
// possibilities can't be found by trying them all in reasonable time, nor two files be compared with each other or with a table. All of
// a release is one such digest, which is as much as has to be guessed at once. What holds none has a salted SHA-256.
//
// The seal finds a file that was cut off or edited by accident or by hand. It proves nothing against who knows how it is made, and
// needs not: what a file says of releases decides nothing that apply does not find out for itself. Its Flags are as good as a command
// line: who applies a file trusts it as one.
type File struct {
	Kind          string `json:"kind"`
	FormatVersion int    `json:"formatVersion"`
	// Otomi is the version that made the file, and Made when.
	Otomi string    `json:"otomi"`
	Made  time.Time `json:"made"`
	// Flags are those that chose what is compared with what, and how: apply takes them from here.
	Flags []FileFlag `json:"flags"`
	// Allow is what the run that made it was allowed. It gives nothing: who applies must be allowed it, too.
	Allow []string `json:"allow,omitempty"`
	Salt  string   `json:"salt"`
	// Iterations are the rounds of a stretched digest.
	Iterations int `json:"iterations"`
	// Commit is the git commit of the values or state files that were worked on; empty where they are in no repository.
	Commit string `json:"commit,omitempty"`
	// Inputs are the files that were read, by name.
	Inputs []FileInput `json:"inputs"`
	// Stack is one digest of those Inputs that are of the stack.
	Stack string `json:"stack,omitempty"`
	// Plans are those of the clusters, in the order of the run.
	Plans []FilePlan `json:"plans"`
	// Seal is a digest of all before it.
	Seal string `json:"seal"`
}

// FileFlag is a flag of the command line with its values.
type FileFlag struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// FileInput is a file that was read. Of says what it is of: values, stack or state.
type FileInput struct {
	Name   string `json:"name"`
	Of     string `json:"of"`
	Digest string `json:"digest"`
}

// What an input is of.
const (
	OfValues = "values"
	OfStack  = "stack"
	OfState  = "state"
)

// FilePlan is the plan of one cluster.
type FilePlan struct {
	Cluster string `json:"cluster,omitempty"`
	Context string `json:"context,omitempty"`
	// Server is the address of the API server, without credentials.
	Server string `json:"server"`
	// Recorded and Inventory are what the cluster itself says whose it is; empty where nothing was applied yet or nobody may read it.
	Recorded  string        `json:"recorded,omitempty"`
	Inventory string        `json:"inventory,omitempty"`
	Releases  []FileRelease `json:"releases"`
	Counts    Counts        `json:"counts"`
}

// FileRelease is what the plan has of one release.
type FileRelease struct {
	Name      string        `json:"name"`
	Namespace string        `json:"namespace"`
	Level     string        `json:"level"`
	Context   string        `json:"context,omitempty"`
	Action    ReleaseAction `json:"action"`
	Reason    string        `json:"reason,omitempty"`
	Chart     string        `json:"chart,omitempty"`
	// ChartDigest is the sha256 of the chart's files.
	ChartDigest string `json:"chartDigest,omitempty"`
	Revision    int    `json:"revision,omitempty"`
	// Record is the newest record, RecordVersion its resource version, and Records a digest of all of them.
	Record        Record `json:"record,omitzero"`
	RecordVersion string `json:"recordVersion,omitempty"`
	Records       string `json:"records"`
	// Wanted is a stretched digest of what is wanted: manifest, hooks, definitions, chart and values. Live is one of the parts of
	// the live objects that it speaks of. Neither is there where nothing is done.
	Wanted  string       `json:"wanted,omitempty"`
	Live    string       `json:"live,omitempty"`
	Objects []FileObject `json:"objects,omitempty"`
	Hooks   []FileHook   `json:"hooks,omitempty"`
}

// Key is NAMESPACE/NAME.
func (r FileRelease) Key() string { return manifest.Key(r.Namespace, r.Name) }

// FileObject is one change. Seen and UID are those of Change.
type FileObject struct {
	manifest.ID
	Version   string   `json:"version"`
	Action    Action   `json:"action"`
	Reason    string   `json:"reason,omitempty"`
	Immutable []string `json:"immutable,omitempty"`
	Unknown   string   `json:"unknown,omitempty"`
	Seen      string   `json:"resourceVersion,omitempty"`
	UID       string   `json:"uid,omitempty"`

	// by and at are those of Change, of a plan that was made just now.
	by, at string
}

// FileHook is a hook that runs.
type FileHook struct {
	manifest.ID
	Events []manifest.Event `json:"events"`
	Weight int              `json:"weight"`
}

// FileText is a file that a plan was made from.
type FileText struct {
	Name string
	Of   string
	Text []byte
	// Secret says that there is a secret in it.
	Secret bool
}

// FilePlace is where a plan is carried out.
type FilePlace struct {
	Plan     Plan
	Server   string
	Recorded string
	// Inventory is what the cluster says.
	Inventory string
}

// FileOptions are what a plan file is made of beside plans.
type FileOptions struct {
	Otomi  string
	Made   time.Time
	Flags  []FileFlag
	Allow  []string
	Commit string
	Inputs []FileText
	// Salt is random, at least 16 bytes. To compare with another file it is that one's.
	Salt []byte
	// Iterations are the rounds of stretching; 0 means 100,000.
	Iterations int
	// Hide takes the secrets out of a text of the API server and out of the names of objects; nil where there are none.
	Hide func(string) string
}

// defaultIterations take about 30 ms on a machine of today.
const defaultIterations = 100_000

// NewFile makes the file of plans. It fails only when the context ends.
func NewFile(ctx context.Context, places []FilePlace, o FileOptions) (File, error) {
	if o.Iterations == 0 {
		o.Iterations = defaultIterations
	}
	if o.Hide == nil {
		o.Hide = func(s string) string { return s }
	}
	f := File{
		Kind: FileKind, FormatVersion: FileVersion, Otomi: o.Otomi, Made: o.Made.UTC().Truncate(time.Second), Flags: o.Flags,
		Allow: slices.Sorted(slices.Values(o.Allow)), Salt: hex.EncodeToString(o.Salt), Iterations: o.Iterations, Commit: o.Commit,
		Inputs: make([]FileInput, len(o.Inputs)), Plans: make([]FilePlan, len(places)),
	}
	if f.Flags == nil {
		f.Flags = []FileFlag{}
	}
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(defaultParallel)
	digest := func(to *string, secret bool, parts ...string) {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			*to = o.digest(secret, parts...)
			return nil
		})
	}
	for i, in := range o.Inputs {
		f.Inputs[i] = FileInput{Name: in.Name, Of: in.Of}
		digest(&f.Inputs[i].Digest, in.Secret, string(in.Text))
	}
	for i, at := range places {
		p := FilePlan{
			Cluster: at.Plan.Cluster, Context: at.Plan.Context, Server: at.Server, Recorded: at.Recorded, Inventory: at.Inventory,
			Releases: []FileRelease{}, Counts: at.Plan.Counts(),
		}
		for _, level := range at.Plan.Levels {
			for _, r := range level.Releases {
				p.Releases = append(p.Releases, o.release(r))
			}
		}
		f.Plans[i] = p
		n := 0
		for _, level := range at.Plan.Levels {
			for _, r := range level.Releases {
				to := &p.Releases[n]
				n++
				if r.Action == Same {
					continue
				}
				digest(&to.Wanted, true, r.Digest)
				if live := liveParts(r); live != nil {
					digest(&to.Live, true, live...)
				}
			}
		}
	}
	if err := group.Wait(); err != nil {
		return File{}, err
	}
	slices.SortFunc(f.Inputs, func(a, b FileInput) int { return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name)) })
	f.Stack = f.stack()
	f.Seal = f.seal()
	return f, nil
}

// liveParts are the digests of the live objects of a release; nil where none was compared.
func liveParts(r Release) []string {
	var parts []string
	for _, c := range r.Objects {
		if c.Live != "" {
			parts = append(parts, c.ID.String()+" "+c.Live)
		}
	}
	return parts
}

// release is what the file has of a release, but for its digests.
func (o FileOptions) release(r Release) FileRelease {
	out := FileRelease{
		Name: r.Name, Namespace: r.Namespace, Level: r.Level, Context: r.Context, Action: r.Action, Reason: o.Hide(r.Reason),
		Chart: r.Chart, ChartDigest: r.Wanted.Chart.Digest, Revision: r.Revision, Record: r.Record, RecordVersion: r.Record.Seen,
		Records: r.Seen,
	}
	// A secret may name an object, too. Where two names become one, the digests still tell the objects apart.
	named := func(id manifest.ID) manifest.ID {
		id.Namespace, id.Name = o.Hide(id.Namespace), o.Hide(id.Name)
		return id
	}
	out.Namespace, out.Chart = o.Hide(out.Namespace), o.Hide(out.Chart)
	for _, c := range r.Objects {
		out.Objects = append(out.Objects, FileObject{
			ID: named(c.ID), Version: c.Version, Action: c.Action, Reason: o.Hide(c.Reason), Immutable: c.Immutable, Unknown: o.Hide(c.Unknown),
			Seen: c.Seen, UID: c.UID, by: c.By, at: c.At,
		})
	}
	for _, h := range r.Hooks {
		out.Hooks = append(out.Hooks, FileHook{ID: named(h.ID), Events: h.Events, Weight: h.Weight})
	}
	return out
}

// The beginnings of the two kinds of digests.
const (
	plainDigest     = "sha256:"
	stretchedDigest = "pbkdf2-sha256:"
)

// digest is a digest of parts, stretched where they may hold a secret.
func (o FileOptions) digest(secret bool, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d %s\n", len(part), part)
	}
	if !secret {
		sum := sha256.Sum256(append(slices.Clone(o.Salt), h.Sum(nil)...))
		return plainDigest + hex.EncodeToString(sum[:])
	}
	key, err := pbkdf2.Key(sha256.New, string(h.Sum(nil)), o.Salt, o.Iterations, sha256.Size)
	if err != nil {
		// Only where a FIPS mode forbids the parameters, which are within its bounds.
		panic("diff: stretching a digest: " + err.Error())
	}
	return stretchedDigest + hex.EncodeToString(key)
}

// stack is one digest of the inputs that are of the stack.
func (f File) stack() string {
	var lines []string
	for _, in := range f.Inputs {
		if in.Of == OfStack {
			lines = append(lines, in.Name+" "+in.Digest)
		}
	}
	if lines == nil {
		return ""
	}
	return sum(lines...)
}

// seal is the digest of all fields but the seal.
func (f File) seal() string {
	f.Seal = ""
	body, err := json.Marshal(f)
	if err != nil {
		panic("diff: a plan file is always JSON: " + err.Error())
	}
	s := sha256.Sum256(body)
	return plainDigest + hex.EncodeToString(s[:])
}

// Encode is the file's text.
func (f File) Encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(f); err != nil {
		panic("diff: a plan file is always JSON: " + err.Error())
	}
	return b.Bytes()
}

// The reasons for which the text of a plan file is refused. Each ends in what to do.
var (
	ErrNoPlan     = errors.New("it is no plan file. Make one with otomi diff --out FILE")
	ErrTorn       = errors.New("it ends too early or is no JSON any more. Make it again with otomi diff --out FILE")
	ErrEdited     = errors.New("it was changed after it was made: its seal does not fit. Make it again with otomi diff --out FILE; nothing in it is meant to be edited")
	ErrFileTooBig = fmt.Errorf("it is larger than %d MiB, which no plan is. Make it again with otomi diff --out FILE", MaxFile>>20)
)

// MaxFile is the largest plan file that is read, in bytes.
const MaxFile = 64 << 20

// OtherVersionError says that a plan file is of another format.
type OtherVersionError struct {
	Version int
	// Otomi is the version that made it.
	Otomi string
}

func (e *OtherVersionError) Error() string {
	return fmt.Sprintf("it has formatVersion %d, made by otomi %s, and this otomi reads %d. Make it again with this otomi, or apply it with that one",
		e.Version, e.Otomi, FileVersion)
}

// ParseFile reads the text of a plan file. The error is one of those above.
func ParseFile(text []byte) (File, error) {
	if len(text) > MaxFile {
		return File{}, ErrFileTooBig
	}
	var head struct {
		Kind          string `json:"kind"`
		FormatVersion int    `json:"formatVersion"`
		Otomi         string `json:"otomi"`
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, &head); errors.As(err, &syntax) {
		if !bytes.Contains(text[:min(len(text), 200)], []byte(FileKind)) {
			return File{}, ErrNoPlan
		}
		return File{}, ErrTorn
	} else if err != nil || head.Kind != FileKind {
		return File{}, ErrNoPlan
	}
	if head.FormatVersion != FileVersion {
		return File{}, &OtherVersionError{Version: head.FormatVersion, Otomi: head.Otomi}
	}
	var f File
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, ErrEdited
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return File{}, ErrEdited
	}
	if salt, err := hex.DecodeString(f.Salt); err != nil || len(salt) < 16 || f.Seal != f.seal() || !bytes.Equal(text, f.Encode()) {
		return File{}, ErrEdited
	}
	if f.Iterations < 1 || f.Iterations > maxIterations {
		return File{}, ErrEdited
	}
	return f, nil
}

// maxIterations bounds the time that a file can cost its reader.
const maxIterations = 1_000_000

// Difference is one thing that is not as a plan file has it.
type Difference struct {
	// Group is what it is about.
	Group DifferenceGroup `json:"group"`
	// Text says what, without an end.
	Text string `json:"text"`
}

// DifferenceGroup says what a Difference is about.
type DifferenceGroup string

// The groups, in the order in which they are told.
const (
	InCluster  DifferenceGroup = "cluster"
	InValues   DifferenceGroup = "values"
	InStack    DifferenceGroup = "stack"
	InState    DifferenceGroup = "state files"
	InCharts   DifferenceGroup = "charts"
	InReleases DifferenceGroup = "releases"
	InObjects  DifferenceGroup = "objects"
)

// Differences are what is not any more as a file has it, as another file shows that was made just now of the same flags and with the
// same salt; none where carrying out the one is carrying out the other. What follows from a difference is not told again.
func (f File) Differences(now File) []Difference {
	var out []Difference
	add := func(group DifferenceGroup, format string, args ...any) {
		out = append(out, Difference{Group: group, Text: fmt.Sprintf(format, args...)})
	}
	f.clusters(now, add)
	elsewhere := len(out) > 0
	f.inputs(now, add)
	if elsewhere {
		return out // their releases can't be compared
	}
	for i, p := range f.Plans {
		p.differences(now.Plans[i], f.where(i), len(out) > 0, add)
	}
	rank := []DifferenceGroup{InCluster, InValues, InStack, InState, InCharts, InReleases, InObjects}
	slices.SortStableFunc(out, func(a, b Difference) int { return slices.Index(rank, a.Group) - slices.Index(rank, b.Group) })
	return out
}

type add func(group DifferenceGroup, format string, args ...any)

// where names a plan where there are several.
func (f File) where(i int) string {
	if len(f.Plans) < 2 {
		return ""
	}
	return cmp.Or(f.Plans[i].Cluster, f.Plans[i].Context) + ": "
}

// clusters compares which clusters the plans are for.
func (f File) clusters(now File, add add) {
	name := func(p FilePlan) string { return cmp.Or(p.Cluster, p.Context, p.Server) }
	if len(f.Plans) != len(now.Plans) {
		names := func(f File) string {
			var all []string
			for _, p := range f.Plans {
				all = append(all, name(p))
			}
			return strings.Join(all, ", ")
		}
		add(InCluster, "the plan is for %s, and what is selected now is on %s", names(f), names(now))
		return
	}
	for i, p := range f.Plans {
		is := now.Plans[i]
		switch {
		case p.Cluster != is.Cluster:
			add(InCluster, "the plan is for %s, and not for %s", name(p), name(is))
		case p.Recorded != "" && (p.Recorded != is.Recorded || p.Inventory != is.Inventory):
			add(InCluster, "%s: the plan is for a cluster that calls itself %s, and this one is %s", name(p), whose(p), whose(is))
		case p.Recorded == "" && p.Server != is.Server:
			// One that says whose it is may be reached by several ways.
			add(InCluster, "%s: the plan is for the API server %s, and context %q is %s", name(p), p.Server, is.Context, is.Server)
		}
	}
}

func whose(p FilePlan) string {
	if p.Recorded == "" {
		return "nobody's yet"
	}
	if p.Inventory == "" {
		return p.Recorded
	}
	return p.Recorded + " (" + p.Inventory + ")"
}

// inputs compares the files that were read.
func (f File) inputs(now File, add add) {
	key := func(in FileInput) string { return in.Of + " " + in.Name }
	is := map[string]FileInput{}
	for _, in := range now.Inputs {
		is[key(in)] = in
	}
	since := ""
	switch {
	case f.Commit != "" && now.Commit != "" && f.Commit != now.Commit:
		since = fmt.Sprintf(" (commit %s..%s)", f.Commit[:min(len(f.Commit), 12)], now.Commit[:min(len(now.Commit), 12)])
	case f.Commit != "" && f.Commit == now.Commit:
		since = " (not committed)"
	}
	group := map[string]DifferenceGroup{OfValues: InValues, OfStack: InStack, OfState: InState}
	for _, was := range f.Inputs {
		in, found := is[key(was)]
		delete(is, key(was))
		switch {
		case !found:
			add(group[was.Of], "%s is gone%s", was.Name, since)
		case in.Digest != was.Digest:
			add(group[was.Of], "%s changed since%s", was.Name, since)
		}
	}
	for _, in := range now.Inputs {
		if _, added := is[key(in)]; added {
			add(group[in.Of], "%s was added since%s", in.Name, since)
		}
	}
}

// differences compares what is to be done on one cluster. explained says that a cause of other releases was told already.
func (p FilePlan) differences(now FilePlan, where string, explained bool, add add) {
	is := map[string]FileRelease{}
	order := func(p FilePlan) (keys []string) {
		for _, r := range p.Releases {
			keys = append(keys, r.Context+" "+r.Key())
		}
		return keys
	}
	keys := order(now)
	for i, r := range now.Releases {
		is[keys[i]] = r
	}
	charts := map[string]bool{}
	for i, key := range order(p) {
		was := p.Releases[i]
		r, found := is[key]
		delete(is, key)
		if !found {
			add(InReleases, "%srelease %s is not there any more", where, was.Key())
			continue
		}
		moved := explained
		note := func(group DifferenceGroup, format string, args ...any) {
			moved = true
			add(group, where+format, args...)
		}
		if was.Action != Uninstall && r.Action != Uninstall && was.ChartDigest != r.ChartDigest {
			moved = true
			if text := chartMoved(was, r); !charts[text] {
				charts[text] = true
				note(InCharts, "%s", text)
			}
		}
		if was.Records != r.Records {
			note(InReleases, "release %s: %s", was.Key(), recordMoved(was, r))
		}
		before := moved
		if was.Live != r.Live || was.Action != r.Action || !slices.EqualFunc(was.Objects, r.Objects, sameObject) {
			objectsMoved(was, r, note)
		}
		switch {
		case moved && !before:
		case was.Action != r.Action:
			if !before {
				note(InReleases, "release %s: it was %s, and is %s now%s", was.Key(), due(string(was.Action)), due(string(r.Action)), because(r.Reason))
			}
		case before:
		case was.Level != r.Level:
			note(InReleases, "release %s: it is of runlevel %s now, and was of %s", was.Key(), r.Level, was.Level)
		case was.Wanted != r.Wanted:
			note(InReleases, "release %s: what is rendered of it differs", was.Key())
		case was.Live != r.Live:
			note(InReleases, "release %s: its objects are not as they were", was.Key())
		case !slices.EqualFunc(was.Hooks, r.Hooks, sameHook):
			note(InReleases, "release %s: other hooks would run", was.Key())
		}
	}
	for i, r := range now.Releases {
		if _, added := is[keys[i]]; added {
			add(InReleases, "%srelease %s was added since", where, r.Key())
		}
	}
	if !explained && slices.Equal(slices.Sorted(slices.Values(order(p))), slices.Sorted(slices.Values(keys))) && !slices.Equal(order(p), keys) {
		add(InReleases, "%sthe order of the releases is another one", where)
	}
}

func sameHook(a, b FileHook) bool {
	return a.ID == b.ID && a.Weight == b.Weight && slices.Equal(a.Events, b.Events)
}

// sameObject reports whether the same is done to the same object. Its resource version alone says nothing: others write its status.
func sameObject(a, b FileObject) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Action == b.Action && a.UID == b.UID && slices.Equal(a.Immutable, b.Immutable)
}

// due says what is to be done, of an action.
func due(action string) string {
	switch action {
	case string(Unchanged):
		return action
	case string(TakeOver):
		return "to be taken over"
	}
	ending := "ed"
	if strings.HasSuffix(action, "e") {
		ending = "d"
	}
	return "to be " + action + ending
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// chartMoved says how the chart of a release differs.
func chartMoved(was, now FileRelease) string {
	if was.Chart == now.Chart {
		return fmt.Sprintf("chart %s: digest differs", was.Chart)
	}
	return fmt.Sprintf("release %s: its chart is %s now, and was %s", was.Key(), now.Chart, was.Chart)
}

// recordMoved says how the records of a release differ.
func recordMoved(was, now FileRelease) string {
	switch {
	case now.Record.Revision == 0:
		return "its records are gone"
	case now.Record.Revision > was.Record.Revision:
		return fmt.Sprintf("revision %d was made since, and is %s", now.Record.Revision, now.Record.Status)
	case now.Record.Revision < was.Record.Revision:
		return fmt.Sprintf("revision %d is gone", was.Record.Revision)
	case now.Record.Status != was.Record.Status:
		return fmt.Sprintf("revision %d is %s now, and was %s", now.Record.Revision, now.Record.Status, was.Record.Status)
	}
	return fmt.Sprintf("the record of revision %d was written anew", now.Record.Revision)
}

// objectsMoved tells which objects of a release are not as they were.
func objectsMoved(was, now FileRelease, note func(DifferenceGroup, string, ...any)) {
	is := map[manifest.ID]FileObject{}
	for _, o := range now.Objects {
		is[o.ID] = o
	}
	for _, old := range was.Objects {
		o, found := is[old.ID]
		delete(is, old.ID)
		switch {
		case !found && now.Action == Same:
		case !found:
			note(InObjects, "%s: it was %s, and nothing is to be done now", old.ID, due(string(old.Action)))
		case old.UID == "" && o.UID != "":
			note(InObjects, "%s: created since%s", old.ID, byAt(o.by, o.at))
		case old.UID != "" && o.UID == "":
			note(InObjects, "%s: deleted since", old.ID)
		case old.UID != o.UID:
			note(InObjects, "%s: deleted and made anew since%s", old.ID, byAt(o.by, o.at))
		case old.Action != o.Action:
			note(InObjects, "%s: it was %s, and is %s now%s", old.ID, due(string(old.Action)), due(string(o.Action)), because(writtenBy(o)))
		case was.Live != now.Live && old.Seen != o.Seen:
			note(InObjects, "%s: changed%s", old.ID, byAt(o.by, o.at))
		}
	}
	for _, o := range now.Objects {
		if _, added := is[o.ID]; added && o.Action != Unchanged {
			note(InObjects, "%s: it is %s now, which is not in the plan%s", o.ID, due(string(o.Action)), because(writtenBy(o)))
		}
	}
}

// writtenBy says why an object is to be treated otherwise, as far as that is known.
func writtenBy(o FileObject) string {
	if text := byAt(o.by, o.at); text != "" {
		return "written last" + text
	}
	return o.Reason
}
