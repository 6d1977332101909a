package report

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/redkubes/otomi/pkg/runlevel"
)

// List are the releases of one cluster as the runlevels define them.
type List struct {
	Cluster string
	Levels  []runlevel.Level
}

// listed is one release of a list. The names of its keys are helmfile's, where helmfile has them.
type listed struct {
	Cluster   string `json:"cluster,omitempty"`
	Runlevel  string `json:"runlevel"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Enabled   bool   `json:"enabled"`
	Installed bool   `json:"installed"`
	Labels    string `json:"labels"`
	Chart     string `json:"chart"`
	Version   string `json:"version"`
}

// List prints releases in the order they are applied.
func (r *Reporter) List(lists []List, format string) error {
	rows := []listed{}
	for _, list := range lists {
		for _, level := range list.Levels {
			for _, release := range level.Releases {
				rows = append(rows, row(list.Cluster, release, true))
			}
			for _, release := range level.Disabled {
				rows = append(rows, row(list.Cluster, release, false))
			}
		}
	}
	if format == "json" {
		return r.JSON(struct {
			FormatVersion int      `json:"formatVersion"`
			Releases      []listed `json:"releases"`
		}{FormatVersion, rows})
	}
	header := []string{"RUNLEVEL", "NAME", "NAMESPACE", "ENABLED", "INSTALLED", "CHART", "LABELS"}
	several := len(lists) > 1
	if several {
		header = append([]string{"CLUSTER"}, header...)
	}
	table := [][]string{header}
	for _, l := range rows {
		line := []string{l.Runlevel, l.Name, l.Namespace, fmt.Sprint(l.Enabled), fmt.Sprint(l.Installed), l.Chart, l.Labels}
		if several {
			line = append([]string{l.Cluster}, line...)
		}
		table = append(table, line)
	}
	return r.Product(columns(table))
}

func row(cluster string, release runlevel.Release, enabled bool) listed {
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(release.Labels)) {
		switch key {
		case "name", "namespace", "chart":
			// Implicit: they stand in columns of their own.
		default:
			labels = append(labels, key+":"+release.Labels[key])
		}
	}
	return listed{
		Cluster: cluster, Runlevel: release.Level, Name: release.Name, Namespace: release.Namespace, Enabled: enabled,
		Installed: release.Installed, Labels: strings.Join(labels, ","), Chart: release.Chart, Version: release.Version,
	}
}

// columns lines up a table, its cells two blanks apart and no blank at a line's end.
func columns(table [][]string) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, line := range table {
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	w.Flush()
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
