package yaml

import (
	"fmt"
	"strconv"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/value"
)

// FloatNotation warns of every integer that a chart's template prints in another form than it was written: Helm hands
// integers to a chart as float64, and Go's templates print those of a million and more as 1e+06.
func FloatNotation(root *value.Node) diag.Diagnostics {
	var diags diag.Diagnostics
	root.Walk(func(p value.Path, n *value.Node) bool {
		i, ok := n.Scalar.(int64)
		if !ok || i > -1_000_000 && i < 1_000_000 {
			return true
		}
		written := strconv.FormatInt(i, 10)
		printed := fmt.Sprint(float64(i))
		if printed == written {
			return true
		}
		diags = append(diags, diag.Diagnostic{
			Severity: diag.Warning, Code: diag.ValuesFloatNotation, Path: p.String(), Range: n.Origin.Range,
			Detail: fmt.Sprintf("a chart that prints %s shows %s, since Helm makes it a float. "+
				"Write \"%s\" in quotes if a chart takes it as text.",
				written, printed, written),
		})
		return true
	})
	return diags
}
