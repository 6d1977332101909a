// Package schema carries the schema of the stack's values, so that the binary holds it. It is data; package pkg/schema
// reads it.
package schema

import "embed"

// FS holds values.schema.yaml at its root.
//
//go:embed all:*.yaml
var FS embed.FS
