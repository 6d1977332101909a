// Package yaml is the way between YAML text and the value tree.
//
// It offers three readings by name, since the same text means different things to different programs: Read is the strict
// reading of layers, with positions, in which a scalar means what Helm and kubectl make of it (YAML 1.1); ReadState is
// helmfile's reading of state files (YAML 1.2's core schema); ReadHelm is Helm's of the values files of a release; Decode is
// Helm's own, to the letter. The package opens no files and knows no schema.
package yaml

import (
	"fmt"

	sigs "sigs.k8s.io/yaml"
)

// ReadOptions say where a text comes from and what it must be. The zero value reads any root.
type ReadOptions struct {
	// File is the name shown to the user; ranges carry it.
	File string
	// Layer is the layer of every node's origin.
	Layer string
	// Map demands that the root is a map; an empty text is an empty map.
	Map bool
	// Secret says that the file holds secrets: no finding shows a value, and none is shown with its line.
	Secret bool
	// StringKeys makes ReadState refuse keys that its library does not read as strings (1, true, null), as helmfile does in
	// state values (pkg/maputil, CastKeysToStrings).
	StringKeys bool
	// Dates makes ReadState turn a date into the text that its library writes back: 2006-01-02 becomes 2006-01-02T00:00:00Z.
	Dates bool
}

// Marshal writes v as YAML the way Helm does: block style, keys sorted. It takes what encoding/json takes.
func Marshal(v any) ([]byte, error) {
	if text, ok := quickMarshal(v); ok {
		return text, nil
	}
	text, err := sigs.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing YAML: %w", err)
	}
	return text, nil
}

// Decode reads text exactly as Helm does (sigs.k8s.io/yaml): every number is a float64, the last of two equal keys wins,
// documents after the first are dropped.
func Decode(text []byte) (any, error) {
	if v, ok := quickDecode(text); ok {
		return v, nil
	}
	var v any
	if err := sigs.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("reading YAML: %w", err)
	}
	return v, nil
}

// ToChart returns a copy of a plain tree in which every integer is the float64 that Helm's reading of a values file
// gives a chart.
func ToChart(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, item := range v {
			m[k] = ToChart(item)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, item := range v {
			l[i] = ToChart(item)
		}
		return l
	case int64:
		return float64(v)
	case int:
		return float64(v)
	case uint64:
		return float64(v)
	default:
		return v
	}
}
