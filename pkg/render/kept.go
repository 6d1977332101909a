package render

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"helm.sh/helm/v3/pkg/chartutil"
)

// kept is a rendering as the cache has it: all of a release that its request does not say, and its warnings with the texts
// that they point into.
//
// Its form is our own, since reading it back is much of what a release costs where nothing changed (see
// BenchmarkReadBack): strings are parts of the one text that was read, each text of an object is found within the text of the
// release, and each other string stands once.
type kept struct {
	release manifest.Release
	diags   diag.Diagnostics
	sources diag.Sources
	places  string
}

func (k kept) encode() ([]byte, error) {
	var e encoder
	rel := k.release
	e.text = rel.Text
	e.string(rel.Text)
	e.string(rel.Notes)
	e.bytes(rel.Chart.Metadata)
	var errs []error
	// Most releases of a chart have the same ones: they are read back once for all.
	var values encoder
	errs = append(errs, values.tree(rel.Chart.Values))
	e.string(string(values.out))
	object := func(o manifest.Object) {
		for _, s := range []string{o.Group, o.Kind, o.Namespace, o.Name, o.Version, o.Source} {
			e.string(s)
		}
		e.part(o.Text)
		errs = append(errs, e.tree(o.Data))
	}
	list(&e, rel.Objects, object)
	list(&e, rel.Hooks, func(h manifest.Hook) {
		object(h.Object)
		list(&e, h.Events, func(v manifest.Event) { e.string(string(v)) })
		e.uint(uint64(h.Weight))
		list(&e, h.DeletePolicies, func(v manifest.DeletePolicy) { e.string(string(v)) })
	})
	list(&e, rel.CRDs, object)
	list(&e, rel.Impure, func(c manifest.ImpureCall) {
		e.string(c.Function)
		e.string(c.Template)
		e.uint(uint64(c.Line))
		e.bool(c.Unordered)
	})
	list(&e, k.diags, e.diagnostic)
	e.uint(uint64(len(k.sources)))
	for _, name := range slices.Sorted(maps.Keys(k.sources)) {
		e.string(name)
		e.string(string(k.sources[name]))
	}
	e.string(k.places)
	return e.out, errors.Join(errs...)
}

// decodeKept reads a rendering back. The values of charts are those of shared, where an equal one was read before.
func decodeKept(data []byte, shared *sharedValues) (k kept, err error) {
	d := decoder{in: string(data), seen: make([]any, 0, 256)}
	defer func() {
		// The cache verified what it gave: what can't be read was written by other code of the same version.
		if r := recover(); r != nil {
			err = fmt.Errorf("reading a kept rendering: %v", r)
		}
	}()
	rel := &k.release
	rel.Text = d.string()
	d.text = rel.Text
	rel.Notes = d.string()
	rel.Chart.Metadata = d.bytes()
	rel.Chart.Values = shared.tree(d.string())
	object := func() manifest.Object {
		var o manifest.Object
		for _, s := range []*string{&o.Group, &o.Kind, &o.Namespace, &o.Name, &o.Version, &o.Source} {
			*s = d.string()
		}
		o.Text = d.part()
		o.Data = d.tree()
		return o
	}
	rel.Objects = listed(&d, object)
	rel.Hooks = listed(&d, func() manifest.Hook {
		h := manifest.Hook{Object: object()}
		h.Events = listed(&d, func() manifest.Event { return manifest.Event(d.string()) })
		h.Weight = int(d.uint())
		h.DeletePolicies = listed(&d, func() manifest.DeletePolicy { return manifest.DeletePolicy(d.string()) })
		return h
	})
	rel.CRDs = listed(&d, object)
	rel.Impure = listed(&d, func() manifest.ImpureCall {
		return manifest.ImpureCall{Function: d.string(), Template: d.string(), Line: int(d.uint()), Unordered: d.bool()}
	})
	k.diags = listed(&d, d.diagnostic)
	if n := d.uint(); n > 0 {
		k.sources = diag.Sources{}
		for range n {
			name := d.string()
			k.sources[name] = []byte(d.string())
		}
	}
	k.places = d.string()
	if d.in != "" {
		return kept{}, errors.New("reading a kept rendering: there is more than one")
	}
	return k, nil
}

// sharedValues are the default values of charts, by their form. Nobody changes them.
type sharedValues struct {
	mu    sync.Mutex
	trees map[string]map[string]any
}

func (s *sharedValues) tree(form string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.trees[form]; ok {
		return known
	}
	if s.trees == nil {
		s.trees = map[string]map[string]any{}
	}
	form = strings.Clone(form) // a part of a whole entry
	d := decoder{in: form}
	tree := d.tree()
	s.trees[form] = tree
	return tree
}

// The kinds of a node of a tree.
const (
	kindNil = iota
	kindFalse
	kindTrue
	kindString
	kindFloat
	kindInt64
	kindInt
	kindMap
	kindValues
	kindList
)

// encoder writes the form. A string that was written before is written as its number, unless it is to be plain: then it is
// only compared.
type encoder struct {
	out   []byte
	plain bool
	seen  map[string]uint64
	// text is the text that parts stand in, from at on.
	text string
	at   int
}

func (e *encoder) uint(n uint64) { e.out = binary.AppendUvarint(e.out, n) }

func (e *encoder) bool(b bool) {
	if b {
		e.uint(1)
		return
	}
	e.uint(0)
}

func (e *encoder) string(s string) {
	if !e.plain {
		if n, ok := e.seen[s]; ok {
			e.uint(n<<1 | 1)
			return
		}
		if e.seen == nil {
			e.seen = map[string]uint64{}
		}
		e.seen[s] = uint64(len(e.seen))
	}
	e.uint(uint64(len(s)) << 1)
	e.out = append(e.out, s...)
}

func (e *encoder) bytes(b []byte) {
	e.bool(b != nil)
	e.string(string(b))
}

// part writes a text that is looked for in e.text first, behind the last one that was found there.
func (e *encoder) part(s string) {
	i := strings.Index(e.text[e.at:], s)
	e.bool(i >= 0)
	if i < 0 {
		e.string(s)
		return
	}
	e.at += i
	e.uint(uint64(e.at))
	e.uint(uint64(len(s)))
	if s != "" {
		e.at += len(s)
	}
}

// list writes a slice; a nil one stays nil.
func list[T any](e *encoder, items []T, write func(T)) {
	if items == nil {
		e.uint(0)
		return
	}
	e.uint(uint64(len(items)) + 1)
	for _, item := range items {
		write(item)
	}
}

func (e *encoder) tree(m map[string]any) error {
	if m == nil {
		e.uint(kindNil)
		return nil
	}
	return e.node(m)
}

func (e *encoder) node(v any) error {
	switch v := v.(type) {
	case nil:
		e.uint(kindNil)
	case bool:
		e.uint(kindFalse)
		if v {
			e.out[len(e.out)-1] = kindTrue
		}
	case string:
		e.uint(kindString)
		e.string(v)
	case float64:
		e.uint(kindFloat)
		e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(v))
	case int64:
		e.uint(kindInt64)
		e.uint(uint64(v))
	case int:
		e.uint(kindInt)
		e.uint(uint64(v))
	case map[string]any:
		e.uint(kindMap)
		return e.entries(v)
	case chartutil.Values:
		e.uint(kindValues)
		return e.entries(v)
	case []any:
		e.uint(kindList)
		var errs []error
		list(e, v, func(item any) { errs = append(errs, e.node(item)) })
		return errors.Join(errs...)
	default:
		return fmt.Errorf("a tree has a %T", v)
	}
	return nil
}

// entries writes a map in the order of its keys: a key of the cache is a sum over it.
func (e *encoder) entries(m map[string]any) error {
	if m == nil {
		e.uint(0)
		return nil
	}
	e.uint(uint64(len(m)) + 1)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		e.string(key)
		if err := e.node(m[key]); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) diagnostic(d diag.Diagnostic) {
	e.string(string(d.Severity))
	e.string(string(d.Code))
	e.string(d.Detail)
	e.string(d.Path)
	e.place(d.Range)
	list(e, d.Notes, func(n diag.Note) {
		e.string(n.Message)
		e.place(n.Range)
	})
	list(e, d.Clusters, e.string)
	e.bool(d.Secret)
}

func (e *encoder) place(r diag.Range) {
	e.string(r.File)
	for _, n := range []int{r.Start.Line, r.Start.Column, r.End.Line, r.End.Column} {
		e.uint(uint64(n))
	}
}

// decoder reads the form; it panics where there is less of it than it says.
type decoder struct {
	in string
	// seen holds strings, as what a tree has: a second use of one is free.
	seen []any
	text string
}

func (d *decoder) uint() uint64 {
	var n uint64
	for shift := 0; ; shift += 7 {
		b := d.in[0]
		d.in = d.in[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

func (d *decoder) bool() bool { return d.uint() != 0 }

func (d *decoder) take(n uint64) string {
	s := d.in[:n]
	d.in = d.in[n:]
	return s
}

func (d *decoder) string() string { return d.anyString().(string) }

func (d *decoder) anyString() any {
	n := d.uint()
	if n&1 != 0 {
		return d.seen[n>>1]
	}
	var s any = d.take(n >> 1)
	d.seen = append(d.seen, s)
	return s
}

func (d *decoder) bytes() []byte {
	there := d.bool()
	s := d.string()
	if !there {
		return nil
	}
	return []byte(s)
}

func (d *decoder) part() string {
	if !d.bool() {
		return d.string()
	}
	from := d.uint()
	return d.text[from : from+d.uint()]
}

func listed[T any](d *decoder, read func() T) []T {
	n := d.uint()
	if n == 0 {
		return nil
	}
	out := make([]T, 0, min(n-1, uint64(len(d.in))))
	for range n - 1 {
		out = append(out, read())
	}
	return out
}

func (d *decoder) tree() map[string]any {
	m, _ := d.node().(map[string]any)
	return m
}

func (d *decoder) node() any {
	switch kind := d.uint(); kind {
	case kindNil:
		return nil
	case kindFalse:
		return false
	case kindTrue:
		return true
	case kindString:
		return d.anyString()
	case kindFloat:
		var bits [8]byte
		copy(bits[:], d.take(8))
		return math.Float64frombits(binary.BigEndian.Uint64(bits[:]))
	case kindInt64:
		return int64(d.uint())
	case kindInt:
		return int(d.uint())
	case kindMap:
		return d.entries()
	case kindValues:
		return chartutil.Values(d.entries())
	case kindList:
		return listed(d, d.node)
	default:
		panic(fmt.Sprintf("a node of kind %d", kind))
	}
}

func (d *decoder) entries() map[string]any {
	n := d.uint()
	if n == 0 {
		return nil
	}
	m := make(map[string]any, min(n-1, uint64(len(d.in))))
	for range n - 1 {
		key := d.string()
		m[key] = d.node()
	}
	return m
}

func (d *decoder) diagnostic() diag.Diagnostic {
	out := diag.Diagnostic{Severity: diag.Severity(d.string()), Code: diag.Code(d.string()), Detail: d.string(), Path: d.string()}
	out.Range = d.place()
	out.Notes = listed(d, func() diag.Note {
		n := diag.Note{Message: d.string()}
		n.Range = d.place()
		return n
	})
	out.Clusters = listed(d, d.string)
	out.Secret = d.bool()
	return out
}

func (d *decoder) place() diag.Range {
	r := diag.Range{File: d.string()}
	for _, n := range []*int{&r.Start.Line, &r.Start.Column, &r.End.Line, &r.End.Column} {
		*n = int(d.uint())
	}
	return r
}
