// Package runlevels carries the state files of the stack, so that the binary holds them.
package runlevels

import "embed"

// FS holds the state files at its root: 50-teams.yaml.gotmpl.
//
//go:embed all:*.gotmpl
var FS embed.FS
