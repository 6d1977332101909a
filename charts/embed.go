// Package charts carries the charts of the stack, so that the binary holds them.
package charts

import "embed"

// FS holds a directory for each chart at its root: team/Chart.yaml. A plain pattern would drop _helpers.tpl and
// .helmignore, hence all:.
//
//go:embed all:platform all:raw all:service all:team all:team-crds
var FS embed.FS
