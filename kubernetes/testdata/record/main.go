// Command record writes the schemas that package kubernetes carries, of the OpenAPI documents in the releases of
// k8s.io/kubernetes:
//
//	go run ./kubernetes/testdata/record
//
// It takes the modules from the module cache or downloads them. The same releases give the same bytes. For a new minor
// version of Kubernetes, change the list of releases and remove the file of the oldest.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// releases are the newest patch releases of the last five minor versions.
var releases = []string{"v1.33.13", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.0"}

// kept are the keywords that say something about a value, or how to merge lists of it.
var kept = map[string]bool{
	"$ref": true, "type": true, "format": true, "required": true, "properties": true, "items": true, "additionalProperties": true,
	"x-kubernetes-list-type": true, "x-kubernetes-list-map-keys": true, "x-kubernetes-patch-merge-key": true,
}

// free are the types that hold whatever is put there: JSON schema has no word for it that Kubernetes' document uses.
var free = map[string]bool{
	"io.k8s.apimachinery.pkg.runtime.RawExtension":  true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": true,
	"io.k8s.apimachinery.pkg.apis.meta.v1.Patch":    true,
}

// optional are fields that the documents call required and that servers do without (pkg/openapi's tests ask one).
var optional = map[string][]string{
	"io.k8s.api.batch.v1.PodFailurePolicy":           {"rules"},
	"io.k8s.api.core.v1.Event":                       {"involvedObject"},
	"io.k8s.api.core.v1.HTTPHeader":                  {"value"},
	"io.k8s.api.core.v1.ISCSIPersistentVolumeSource": {"lun"},
	"io.k8s.api.core.v1.ISCSIVolumeSource":           {"lun"},
	"io.k8s.api.core.v1.LimitRangeSpec":              {"limits"},
	"io.k8s.api.core.v1.PreferredSchedulingTerm":     {"preference"},
	"io.k8s.api.core.v1.SleepAction":                 {"seconds"},
	"io.k8s.api.core.v1.Sysctl":                      {"value"},
	"io.k8s.api.discovery.v1.ForZone":                {"name"},
	"io.k8s.api.storage.v1.CSIDriver":                {"spec"},
	"io.k8s.api.storage.v1.TokenRequest":             {"audience"},
}

const quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"

func main() {
	var newest document
	for _, release := range slices.Backward(releases) {
		doc, err := record(release, newest)
		if err != nil {
			fmt.Fprintf(os.Stderr, "recording %s: %v\n", release, err)
			os.Exit(1)
		}
		if newest.Definitions == nil {
			newest = doc
		}
	}
}

// document is what is read of swagger.json.
type document struct {
	Definitions map[string]map[string]any
	Paths       map[string]map[string]json.RawMessage
}

type operation struct {
	Action string                                `json:"x-kubernetes-action"`
	Kind   struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
	Params []struct {
		In     string
		Schema struct {
			Ref string `json:"$ref"`
		}
	} `json:"parameters"`
}

// record writes the file of a release. The documents of older minors call fields required that no server ever demanded
// (EndpointSlice's endpoints, PriorityClass's value), and newer ones put it right: what the newest does not demand is not.
func record(release string, newest document) (document, error) {
	var doc document
	text, err := swagger(release)
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return doc, err
	}
	for name, definition := range doc.Definitions {
		required, _ := definition["required"].([]any)
		definition["required"] = slices.DeleteFunc(required, func(field any) bool {
			if corrected, ok := newest.Definitions[name]; ok {
				if demanded, _ := corrected["required"].([]any); !slices.Contains(demanded, field) {
					return true
				}
			}
			return slices.Contains(optional[name], field.(string))
		})
	}
	kinds := map[string]string{}
	for path, operations := range doc.Paths {
		raw, ok := operations["post"]
		if !ok || strings.Contains(path, "/{name}/") {
			continue // a subresource, or read only
		}
		var op operation
		if err := json.Unmarshal(raw, &op); err != nil {
			return doc, fmt.Errorf("%s: %w", path, err)
		}
		for _, p := range op.Params {
			if p.In != "body" || op.Action != "post" || op.Kind.Kind == "" {
				continue
			}
			name := op.Kind.Version + "/" + op.Kind.Kind
			if op.Kind.Group != "" {
				name = op.Kind.Group + "/" + name
			}
			kinds[name] = strings.TrimPrefix(p.Schema.Ref, "#/definitions/")
		}
	}
	definitions := map[string]any{}
	for _, name := range kinds {
		doc.reach(name, definitions)
	}
	out, err := json.Marshal(map[string]any{"version": release, "kinds": kinds, "definitions": definitions})
	if err != nil {
		return doc, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression) // its header has no time
	if err != nil {
		return doc, err
	}
	if _, err := w.Write(out); err != nil {
		return doc, err
	}
	if err := w.Close(); err != nil {
		return doc, err
	}
	minor := release[:strings.LastIndex(release, ".")]
	file := filepath.Join("kubernetes", minor+".json.gz")
	fmt.Printf("%s: %s, %d kinds, %d definitions, %d bytes, %d packed\n", file, release, len(kinds), len(definitions), len(out), packed.Len())
	return doc, os.WriteFile(file, packed.Bytes(), 0o644)
}

// swagger returns the OpenAPI document of a release.
func swagger(release string) ([]byte, error) {
	empty, err := os.MkdirTemp("", "record")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(empty)
	cmd := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+release)
	cmd.Dir, cmd.Stderr = empty, os.Stderr // outside a module, so that ours is left as it is
	answer, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(answer, &module); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(module.Dir, "api", "openapi-spec", "swagger.json"))
}

// reach adds a definition and those that it refers to.
func (doc document) reach(name string, out map[string]any) {
	if _, ok := out[name]; ok {
		return
	}
	out[name] = nil
	definition := strip(doc.Definitions[name])
	switch {
	case free[name]:
		definition["x-kubernetes-preserve-unknown-fields"] = true
	case name == quantity:
		definition["format"] = "quantity"
	}
	out[name] = definition
	for ref := range refs(definition) {
		doc.reach(ref, out)
	}
}

func strip(schema map[string]any) map[string]any {
	out := map[string]any{}
	for key, v := range schema {
		if items, ok := v.([]any); !kept[key] || ok && len(items) == 0 {
			continue
		}
		switch v := v.(type) {
		case map[string]any:
			if key != "properties" {
				out[key] = strip(v)
				continue
			}
			properties := map[string]any{}
			for name, p := range v {
				properties[name] = strip(p.(map[string]any))
			}
			out[key] = properties
		default:
			out[key] = v
		}
	}
	return out
}

func refs(v any) map[string]bool {
	out := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			out[strings.TrimPrefix(ref, "#/definitions/")] = true
		}
		for _, item := range v {
			for ref := range refs(item) {
				out[ref] = true
			}
		}
	}
	return out
}
