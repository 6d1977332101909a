package yaml

import (
	"bytes"

	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// DecodeInto reads text into v as Helm's template functions do (pkg/engine, funcs.go). The error is that of
// sigs.k8s.io/yaml as it is, since Helm hands its text to the template.
func DecodeInto(text []byte, v any) error { return yaml.Unmarshal(text, v) }

// DecodeStrictInto reads text into v as Helm reads the index of a repository (pkg/repo, jsonOrYamlUnmarshal): a key that v
// doesn't have and a key that stands twice are errors. The error may repeat the text.
func DecodeStrictInto(text []byte, v any) error { return yaml.UnmarshalStrict(text, v) }

// MarshalPretty writes v as Helm's toYamlPretty does: with lists indented below their key, and a newline at the end.
func MarshalPretty(v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := goyaml.NewEncoder(&text)
	encoder.SetIndent(2)
	err := encoder.Encode(v)
	return text.Bytes(), err
}
