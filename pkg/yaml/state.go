package yaml

import (
	"bytes"
	"fmt"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
	goyaml "go.yaml.in/yaml/v3"
)

// ReadStates is ReadState for a text of several documents, which helmfile merges (pkg/state, Parse). Documents without
// content are left out; the trees are nil where ReadState's is.
func ReadStates(text []byte, o ReadOptions) ([]*value.Node, diag.Diagnostics) {
	r := &reader{text: text, o: o, state: true}
	if !r.checkBytes() {
		return nil, r.diags
	}
	r.index()
	docs, err := parse(text)
	if err != nil {
		r.syntax(err)
		return nil, r.diags
	}
	roots := make([]*value.Node, 0, len(docs))
	for _, doc := range docs {
		if r.blank(doc) {
			continue
		}
		root, _ := r.node(doc.Content[0], 1, diag.Range{})
		if r.stopped {
			return nil, r.diags
		}
		roots = append(roots, root)
	}
	return roots, r.diags
}

// ReadHelm reads a values file as Helm does: Decode, whose last of two equal keys wins. That is a warning with both places;
// so is no other finding of Read, since Helm has none. The root must be a map, or nothing.
func ReadHelm(text []byte, o ReadOptions) (map[string]any, diag.Diagnostics) {
	strict, found := Read(text, o)
	var diags diag.Diagnostics
	for _, d := range found {
		switch d.Code {
		case diag.YAMLDuplicateKey:
			d.Severity = diag.Warning
			d.Detail += " Helm takes the last one."
			diags = append(diags, d)
		case diag.YAMLSyntax, diag.YAMLEncoding, diag.YAMLTooLarge, diag.YAMLBadAlias:
			diags = append(diags, d)
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	v, err := Decode(text)
	if err != nil {
		r := &reader{text: text, o: o}
		r.index()
		r.helmRefuses(err)
		return nil, append(diags, r.diags...)
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, diags
	case map[string]any:
		return v, diags
	}
	at := diag.Range{File: o.File, Start: diag.Pos{Line: 1, Column: 1}}
	if strict != nil {
		at = strict.Origin.Range
	}
	return nil, append(diags, diag.Diagnostic{
		Severity: diag.Error, Code: diag.ValuesRootNotMap, Range: at, Secret: o.Secret,
		Detail: `the file holds no map, and values are one. Write it as "key: value" lines.`,
	})
}

// MarshalState writes v as helmfile does (pkg/yaml, Marshal): keys sorted, two blanks for each level, lists indented below
// their key, a newline at the end.
func MarshalState(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := goyaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return text.Bytes(), nil
}

// WriteState writes a tree as MarshalState does, with the keys of maps in their order.
func WriteState(root *value.Node) ([]byte, error) { return MarshalState(node(root)) }

func node(n *value.Node) *goyaml.Node {
	out := &goyaml.Node{}
	switch n.Kind {
	case value.Map:
		out.Kind, out.Tag = goyaml.MappingNode, "!!map"
		for _, f := range n.Fields {
			key := &goyaml.Node{}
			_ = key.Encode(f.Key) // quotes what YAML 1.1 reads as no string
			out.Content = append(out.Content, key, node(f.Value))
		}
		if len(n.Fields) == 0 {
			out.Style = goyaml.FlowStyle
		}
	case value.List:
		out.Kind, out.Tag = goyaml.SequenceNode, "!!seq"
		for _, item := range n.Items {
			out.Content = append(out.Content, node(item))
		}
		if len(n.Items) == 0 {
			out.Style = goyaml.FlowStyle
		}
	default:
		// A scalar of a tree is one that Encode takes.
		_ = out.Encode(n.Scalar)
	}
	return out
}

// written is the text that go.yaml.in/yaml/v3 writes for a date it read, or s where it is none for it.
func written(s string) string {
	if len(s) < 8 || s[4] != '-' {
		return s
	}
	// The formats of its resolve.go, allowedTimestampFormats.
	for _, format := range []string{
		"2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999", "2006-1-2",
	} {
		if t, err := time.Parse(format, s); err == nil {
			return t.Format(time.RFC3339Nano)
		}
	}
	return s
}
