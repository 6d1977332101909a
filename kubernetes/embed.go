// Package kubernetes carries the schemas of Kubernetes' built-in kinds, so that the binary can check manifests without a
// cluster.
package kubernetes

import "embed"

// FS holds a file for each minor version at its root, the last five of them: v1.37.json.gz. It is JSON:
//
//	version      the release that it was recorded from, "v1.37.0"
//	kinds        for each kind that a client can create, GROUP/VERSION/KIND (VERSION/KIND in the core group), its definition
//	definitions  the definitions, as JSON schemas in the dialect of Kubernetes' OpenAPI document, without their descriptions
//
// They are made of k8s.io/kubernetes's api/openapi-spec/swagger.json: go run ./kubernetes/testdata/record
//
//go:embed *.json.gz
var FS embed.FS
