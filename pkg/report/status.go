package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Status is what a cluster's records say of one release.
type Status struct {
	Cluster   string `json:"cluster,omitempty"`
	Runlevel  string `json:"runlevel"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Installed is what is wanted: false for a release that is to be uninstalled.
	Installed bool `json:"installed"`
	// Status is Helm's word for the newest record, or "" where there is none.
	Status   string `json:"status"`
	Revision int    `json:"revision,omitempty"`
	// Ready of Objects of the deployed revision do what they are there for; NotReady are the others.
	Ready    int      `json:"ready"`
	Objects  int      `json:"objects"`
	NotReady []Ailing `json:"notReady,omitempty"`
}

// Ailing is an object that is not ready, and why.
type Ailing struct {
	manifest.ID
	manifest.Readiness
}

// Lock is who changes a cluster at the moment.
type Lock struct {
	Cluster string    `json:"cluster,omitempty"`
	Holder  string    `json:"holder"`
	Since   time.Time `json:"since"`
}

// Status prints the releases in the order they are applied, why objects of theirs are not ready, and who has the clusters.
func (r *Reporter) Status(rows []Status, locks []Lock, format string) error {
	if format == "json" {
		if rows == nil {
			rows = []Status{}
		}
		return r.JSON(struct {
			FormatVersion int      `json:"formatVersion"`
			Releases      []Status `json:"releases"`
			Locks         []Lock   `json:"locks,omitempty"`
		}{FormatVersion, rows, locks})
	}
	several := false
	for _, row := range rows {
		several = several || row.Cluster != rows[0].Cluster
	}
	header := []string{"RUNLEVEL", "NAME", "NAMESPACE", "STATUS", "REVISION", "READY"}
	if several {
		header = append([]string{"CLUSTER"}, header...)
	}
	table := [][]string{header}
	for _, row := range rows {
		status, revision := row.Status, fmt.Sprint(row.Revision)
		switch {
		case status == "" && row.Installed:
			status, revision = "not installed", "-"
		case status == "":
			status, revision = "not wanted", "-"
		case !row.Installed:
			status += ", to be uninstalled"
		}
		ready := "-"
		if row.Objects > 0 {
			ready = fmt.Sprintf("%d/%d", row.Ready, row.Objects)
		}
		line := []string{row.Runlevel, row.Name, row.Namespace, status, revision, ready}
		if several {
			line = append([]string{row.Cluster}, line...)
		}
		table = append(table, line)
	}
	var reasons strings.Builder
	for _, row := range rows {
		for _, o := range row.NotReady {
			word := "not ready"
			if o.Failed {
				word = "failed"
			}
			where := manifest.Key(row.Namespace, row.Name)
			if several {
				where = row.Cluster + " " + where
			}
			fmt.Fprintf(&reasons, "%s: %s is %s: %s\n", where, o.ID, word, o.Message)
		}
	}
	text := columns(table)
	if reasons.Len() > 0 {
		text += "\n" + strings.ReplaceAll(reasons.String(), " is failed: ", " failed: ")
	}
	for _, l := range locks {
		where := "the cluster"
		if l.Cluster != "" {
			where = l.Cluster
		}
		r.Talk("%s is being changed by %s, since %s", where, l.Holder, l.Since.UTC().Format(time.RFC3339))
	}
	return r.Product(text)
}
