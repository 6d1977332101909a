package pipeline

import "github.com/redkubes/otomi/pkg/runlevel"

// namespaces are those of the releases of a stage, of those that are to be uninstalled, too.
func (s Stage) namespaces() []string { return namespacesOf(s.Levels) }

// namespacesOf are the namespaces of the releases of levels, those that are to be uninstalled among them; some may be twice there.
func namespacesOf(levels []runlevel.Level) []string {
	var out []string
	for _, level := range levels {
		for _, r := range level.Releases {
			out = append(out, r.Namespace)
		}
		for _, r := range level.Disabled {
			out = append(out, r.Namespace)
		}
	}
	return out
}
