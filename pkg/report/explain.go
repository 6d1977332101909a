package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/schema"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/value"
)

// Explanation is why a value of one cluster is what it is, masked or not as the user asked.
type Explanation struct {
	Cluster string
	Path    value.Path
	// Value is nil where nothing sets it.
	Value *value.Node
	// Near is a path like this one at which something is, where nothing sets this one; it may be empty.
	Near   value.Path
	Beaten []*value.Node
	// Leaves are what is below the value, where that says more than the value itself.
	Leaves []ExplainedLeaf
	// Schema is what the schema says, or nil.
	Schema *schema.Description
	// Change is what git knows of the line, or nil. Untold says why it could not be asked, or is empty.
	Change *source.Change
	Untold string
}

// ExplainedLeaf is a value with its path.
type ExplainedLeaf struct {
	Path  value.Path
	Value *value.Node
}

// The JSON forms of a value with its origin. The names of the keys are stable.
type (
	originJSON struct {
		Layer  string `json:"layer"`
		File   string `json:"file,omitempty"`
		Line   int    `json:"line,omitempty"`
		Column int    `json:"column,omitempty"`
	}
	valueJSON struct {
		Path   string     `json:"path,omitempty"`
		Value  any        `json:"value"`
		Origin originJSON `json:"origin"`
	}
	schemaJSON struct {
		Type        string `json:"type"`
		Description string `json:"description,omitempty"`
		Default     any    `json:"default,omitempty"`
		Deprecated  string `json:"deprecated,omitempty"`
		Secret      bool   `json:"secret,omitempty"`
		File        string `json:"file"`
		Line        int    `json:"line"`
		Column      int    `json:"column"`
	}
	changeJSON struct {
		Committed bool   `json:"committed"`
		Commit    string `json:"commit,omitempty"`
		Author    string `json:"author,omitempty"`
		Date      string `json:"date,omitempty"`
		OrEarlier bool   `json:"orEarlier,omitempty"`
	}
)

func originOf(o value.Origin) originJSON {
	return originJSON{Layer: o.Layer, File: o.Range.File, Line: o.Range.Start.Line, Column: o.Range.Start.Column}
}

func valueOf(p string, n *value.Node) valueJSON {
	return valueJSON{Path: p, Value: n.Plain(), Origin: originOf(n.Origin)}
}

// Explain prints why a value is what it is.
func (r *Reporter) Explain(e Explanation, format string) error {
	if format == "json" {
		return r.explainJSON(e)
	}
	var b strings.Builder
	name := shownPath(e.Path)
	switch {
	case e.Value == nil:
		fmt.Fprintf(&b, "%s is not set\n", name)
		if len(e.Near) > 0 {
			fmt.Fprintf(&b, "  set is %s\n", e.Near)
		}
	case e.Value.Kind == value.Map && len(e.Leaves) > 0:
		table := [][]string{}
		for _, l := range e.Leaves {
			table = append(table, []string{shownPath(l.Path), r.oneLine(l.Value, shortValue), placeOf(l.Value.Origin)})
		}
		b.WriteString(columns(table))
	default:
		fmt.Fprintf(&b, "%s = %s\n", name, r.oneLine(e.Value, 0))
		fmt.Fprintf(&b, "  set by %s\n", placeOf(e.Value.Origin))
		b.WriteString(changeText(e))
		for _, l := range e.Leaves {
			fmt.Fprintf(&b, "    %s from %s\n", shownPath(l.Path), placeOf(l.Value.Origin))
		}
	}
	if len(e.Beaten) > 0 {
		b.WriteString("  beats\n")
		table := [][]string{}
		for _, n := range e.Beaten {
			table = append(table, []string{"    " + r.oneLine(n, shortValue), placeOf(n.Origin)})
		}
		b.WriteString(columns(table))
	}
	if s := e.Schema; s != nil {
		fmt.Fprintf(&b, "  the schema says: %s%s\n", s.Type, r.schemaFacts(s))
		fmt.Fprintf(&b, "    %s\n", lineOf(s.Range))
		if s.Text != "" {
			fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(strings.TrimSpace(s.Text), "\n", "\n    "))
		}
		if s.Deprecated != "" {
			fmt.Fprintf(&b, "    deprecated: %s\n", s.Deprecated)
		}
	}
	return r.Product(b.String())
}

func (r *Reporter) explainJSON(e Explanation) error {
	doc := struct {
		FormatVersion int         `json:"formatVersion"`
		Cluster       string      `json:"cluster,omitempty"`
		Path          string      `json:"path"`
		Set           bool        `json:"set"`
		Near          string      `json:"near,omitempty"`
		Value         any         `json:"value"`
		Origin        *originJSON `json:"origin,omitempty"`
		Change        *changeJSON `json:"change,omitempty"`
		GitError      string      `json:"gitError,omitempty"`
		Beats         []valueJSON `json:"beats"`
		Leaves        []valueJSON `json:"leaves,omitempty"`
		Schema        *schemaJSON `json:"schema,omitempty"`
	}{FormatVersion: FormatVersion, Cluster: e.Cluster, Path: e.Path.String(), Set: e.Value != nil, Near: e.Near.String(), GitError: e.Untold, Beats: []valueJSON{}}
	if e.Value != nil {
		doc.Value = e.Value.Plain()
		if e.Value.IsLeaf() {
			o := originOf(e.Value.Origin)
			doc.Origin = &o
		}
	}
	for _, n := range e.Beaten {
		doc.Beats = append(doc.Beats, valueOf("", n))
	}
	for _, l := range e.Leaves {
		doc.Leaves = append(doc.Leaves, valueOf(l.Path.String(), l.Value))
	}
	if c := e.Change; c != nil {
		doc.Change = &changeJSON{Committed: c.Commit != "", Commit: c.Commit, Author: c.Author, OrEarlier: c.OrEarlier}
		if c.Commit != "" {
			doc.Change.Date = c.Date.Format(time.RFC3339)
		}
	}
	if s := e.Schema; s != nil {
		doc.Schema = &schemaJSON{Type: s.Type, Description: s.Text, Deprecated: s.Deprecated, Secret: s.Secret,
			File: s.Range.File, Line: s.Range.Start.Line, Column: s.Range.Start.Column}
		if s.Default != nil {
			doc.Schema.Default = s.Default.Plain()
		}
	}
	return r.JSON(doc)
}

// changeText is what git knows of the value's line.
func changeText(e Explanation) string {
	const short = 10
	switch c := e.Change; {
	case e.Untold != "":
		return fmt.Sprintf("  git could not be asked: %s\n", e.Untold)
	case c == nil:
		return ""
	case c.Commit == "":
		return "  not committed yet\n"
	default:
		text := fmt.Sprintf("  in commit %s by %s, %s", c.Commit[:min(short, len(c.Commit))], strings.Map(visible, c.Author), c.Date.Format("2006-01-02 15:04 -0700"))
		if c.OrEarlier {
			text += ", or earlier: the history here ends with it"
		}
		return text + "\n"
	}
}

// schemaFacts are what else the schema says in a word.
func (r *Reporter) schemaFacts(s *schema.Description) string {
	var facts string
	if s.Secret {
		facts += ", secret"
	}
	if s.Default != nil {
		facts += ", default " + r.oneLine(s.Default, shortValue)
	}
	return facts
}

// shortValue is the width, in characters, past which a value that is one of many is cut.
const shortValue = 60

// oneLine writes a value on one line, without its secrets: a string as it is where it can't be taken for something else, all
// others as JSON. limit cuts it to so many characters; 0 does not.
func (r *Reporter) oneLine(n *value.Node, limit int) string {
	plain, _ := r.out.tree(n.Plain()) // before it is cut short: half a secret is not found again
	text, ok := plain.(string)
	if !ok || !isWord(text) {
		text = strings.Map(visible, string(encode(plain)))
	}
	if runes := []rune(text); limit > 0 && len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return text
}

// shownPath is a path in which no key speaks to the terminal.
func shownPath(p value.Path) string { return strings.Map(visible, p.String()) }

// visible replaces what a terminal would obey.
func visible(c rune) rune {
	if strconv.IsPrint(c) {
		return c
	}
	return '?'
}

// isWord reports whether a string is shown without quotes.
func isWord(s string) bool {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsAny(s, "\"\\") {
		return false
	}
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	var other any
	return json.Unmarshal([]byte(s), &other) != nil
}

// placeOf is where a value was written: file and line, or what gave it.
func placeOf(o value.Origin) string {
	switch {
	case o.Range.IsZero():
		return o.Layer
	case o.Layer == schema.Layer:
		return lineOf(o.Range) + " (schema default)"
	}
	return lineOf(o.Range)
}

// lineOf is a place without its column.
func lineOf(r diag.Range) string {
	if r.Start.Line == 0 {
		return r.File
	}
	return r.File + ":" + strconv.Itoa(r.Start.Line)
}

// Group are the clusters that have one value at a path, masked or not as the user asked; nil is no value.
type Group struct {
	Value  *value.Node
	Places []GroupPlace
}

// GroupPlace are the clusters that have it from one place.
type GroupPlace struct {
	Origin   value.Origin
	Clusters []string
}

func (g Group) size() int {
	n := 0
	for _, p := range g.Places {
		n += len(p.Clusters)
	}
	return n
}

// Groups prints which clusters have which value at a path.
func (r *Reporter) Groups(p value.Path, groups []Group, format string) error {
	clusters := 0
	for _, g := range groups {
		clusters += g.size()
	}
	if format == "json" {
		return r.groupsJSON(p, groups, clusters)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s over %s\n", p, Plural(len(groups), "value"), Plural(clusters, "cluster"))
	for _, g := range groups {
		text := "(not set)"
		if g.Value != nil {
			text = r.oneLine(g.Value, 0)
		}
		fmt.Fprintf(&b, "  %s in %s\n", text, Plural(g.size(), "cluster"))
		for _, place := range g.Places {
			if g.Value == nil {
				fmt.Fprintf(&b, "    %s\n", strings.Join(place.Clusters, ", "))
				continue
			}
			fmt.Fprintf(&b, "    %s: %s\n", placeOf(place.Origin), strings.Join(place.Clusters, ", "))
		}
	}
	return r.Product(b.String())
}

func (r *Reporter) groupsJSON(p value.Path, groups []Group, clusters int) error {
	type place struct {
		Origin   *originJSON `json:"origin,omitempty"`
		Clusters []string    `json:"clusters"`
	}
	type group struct {
		Set    bool    `json:"set"`
		Value  any     `json:"value"`
		Places []place `json:"places"`
	}
	doc := struct {
		FormatVersion int     `json:"formatVersion"`
		Path          string  `json:"path"`
		Clusters      int     `json:"clusters"`
		Values        []group `json:"values"`
	}{FormatVersion: FormatVersion, Path: p.String(), Clusters: clusters, Values: []group{}}
	for _, g := range groups {
		out := group{Set: g.Value != nil, Value: g.Value.Plain(), Places: []place{}}
		for _, from := range g.Places {
			at := place{Clusters: from.Clusters}
			if g.Value != nil {
				o := originOf(from.Origin)
				at.Origin = &o
			}
			out.Places = append(out.Places, at)
		}
		doc.Values = append(doc.Values, out)
	}
	return r.JSON(doc)
}

// Contribution is what one layer gives the values of a cluster, in leaves.
type Contribution struct {
	Layer  string `json:"layer"`
	File   string `json:"file,omitempty"`
	Secret bool   `json:"secret,omitempty"`
	Set    int    `json:"set"`
	Won    int    `json:"won"`
}

// Layers are the layers of one cluster, weakest first, and how many leaves its tree has.
type Layers struct {
	Cluster string
	Layers  []Contribution
	Leaves  int
}

// Layers prints the layers of clusters in their order.
func (r *Reporter) Layers(all []Layers, format string) error {
	if format == "json" {
		type cluster struct {
			Cluster string         `json:"cluster"`
			Leaves  int            `json:"leaves"`
			Layers  []Contribution `json:"layers"`
		}
		doc := struct {
			FormatVersion int       `json:"formatVersion"`
			Clusters      []cluster `json:"clusters"`
		}{FormatVersion: FormatVersion, Clusters: []cluster{}}
		for _, l := range all {
			doc.Clusters = append(doc.Clusters, cluster{Cluster: l.Cluster, Leaves: l.Leaves, Layers: l.Layers})
		}
		return r.JSON(doc)
	}
	table := [][]string{{"LAYER", "SET", "WON", ""}}
	if len(all) > 1 {
		table[0] = append([]string{"CLUSTER"}, table[0]...)
	}
	for _, l := range all {
		rows := [][]string{}
		for _, c := range l.Layers {
			var note []string
			if c.File != "" && c.File != c.Layer {
				note = append(note, c.File)
			}
			if c.Secret {
				note = append(note, "secrets")
			}
			rows = append(rows, []string{c.Layer, strconv.Itoa(c.Set), strconv.Itoa(c.Won), strings.Join(note, ", ")})
		}
		rows = append(rows, []string{"all", "", strconv.Itoa(l.Leaves), ""})
		for _, row := range rows {
			if len(all) > 1 {
				row = append([]string{l.Cluster}, row...)
			}
			table = append(table, row)
		}
	}
	return r.Product(columns(table))
}

// Difference is a place at which two clusters have different values; nil is no value.
type Difference struct {
	Path           value.Path
	A, B           *value.Node
	PlaceA, PlaceB value.Origin
}

// Differences prints what two clusters have different.
func (r *Reporter) Differences(a, b string, differences []Difference, format string) error {
	if format == "json" {
		type side struct {
			Set    bool        `json:"set"`
			Value  any         `json:"value"`
			Origin *originJSON `json:"origin,omitempty"`
		}
		type difference struct {
			Path string `json:"path"`
			A    side   `json:"a"`
			B    side   `json:"b"`
		}
		doc := struct {
			FormatVersion int          `json:"formatVersion"`
			A             string       `json:"a"`
			B             string       `json:"b"`
			Differences   []difference `json:"differences"`
		}{FormatVersion: FormatVersion, A: a, B: b, Differences: []difference{}}
		sideOf := func(n *value.Node, o value.Origin) side {
			if n == nil {
				return side{}
			}
			origin := originOf(o)
			return side{Set: true, Value: n.Plain(), Origin: &origin}
		}
		for _, d := range differences {
			doc.Differences = append(doc.Differences, difference{Path: d.Path.String(), A: sideOf(d.A, d.PlaceA), B: sideOf(d.B, d.PlaceB)})
		}
		return r.JSON(doc)
	}
	var text strings.Builder
	for _, d := range differences {
		width := shortValue
		if d.A != nil && d.B != nil && r.oneLine(d.A, width) == r.oneLine(d.B, width) {
			width = 0 // cut short they would look the same
		}
		line := func(name string, n *value.Node, o value.Origin) []string {
			if n == nil {
				return []string{"  " + name, "(not set)"}
			}
			return []string{"  " + name, r.oneLine(n, width), placeOf(o)}
		}
		text.WriteString(shownPath(d.Path) + "\n")
		text.WriteString(columns([][]string{line(a, d.A, d.PlaceA), line(b, d.B, d.PlaceB)}))
	}
	return r.Product(text.String())
}
