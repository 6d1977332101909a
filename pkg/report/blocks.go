package report

import (
	"fmt"
	"strings"

	"github.com/redkubes/otomi/pkg/diff"
)

// Blocks shows changes with the clusters that they hit, where many are compared.
func (r *Reporter) Blocks(fold *diff.Fold, o PlanOptions) error {
	blocks := fold.Blocks()
	all, unchanged := fold.Clusters()
	switch o.Format {
	case "json":
		for i := range blocks {
			blocks[i].Plan = r.plainPlans([]diff.Plan{blocks[i].Plan})[0]
		}
		return r.JSON(struct {
			FormatVersion int    `json:"formatVersion"`
			Against       string `json:"against"`
			Clusters      int    `json:"clusters"`
			// Unchanged are the clusters that no block has.
			Unchanged []string     `json:"unchanged"`
			Blocks    []diff.Block `json:"blocks"`
		}{FormatVersion, o.Against, all, append([]string{}, unchanged...), blocks})
	case "markdown":
		var d document
		for _, b := range blocks {
			title := ""
			if all > 1 {
				title = clusterList(b.Clusters, all)
			}
			if err := r.section(&d, title, counted(b.Plan), b.Plan, o); err != nil {
				return err
			}
		}
		head := hit(all-len(unchanged), all) + "\n\n"
		if all == 1 && len(blocks) > 0 {
			head = ""
		}
		most := o.MaxLength
		if most == 0 {
			most = GitHubLength
		}
		return r.Product(r.out.text(strings.TrimRight(head+d.text(most-len(head)), "\n") + "\n"))
	}
	for _, b := range blocks {
		var out strings.Builder
		if all > 1 && !o.Silent {
			fmt.Fprintf(&out, "%s\n", r.paintOut(bold, "# "+clusterList(b.Clusters, all)))
		}
		for _, level := range b.Plan.Levels {
			if o.Silent {
				break
			}
			text, err := r.planned(level, o)
			if err != nil {
				return err
			}
			out.WriteString(text)
		}
		if err := r.Product(out.String()); err != nil {
			return err
		}
		if all > 1 {
			r.Talk("%s: %s", clusterList(b.Clusters, all), counted(b.Plan))
		} else {
			r.Talk("%s", Summary(b.Plan))
		}
	}
	switch {
	case all == 1 && len(blocks) == 0:
		r.Talk("%s", strings.TrimPrefix(strings.Join(unchanged, "")+": no changes", ": "))
	case all > 1:
		r.Talk("%s", hit(all-len(unchanged), all))
	}
	return nil
}

func hit(n, all int) string {
	if n == 1 {
		return fmt.Sprintf("1 of %s changes", Plural(all, "cluster"))
	}
	return fmt.Sprintf("%d of %s change", n, Plural(all, "cluster"))
}

// counted is what Summary says, without where.
func counted(p diff.Plan) string {
	p.Cluster, p.Context = "", ""
	return strings.TrimPrefix(Summary(p), ": ")
}

// clusterList names a few clusters, and says how many there are.
func clusterList(clusters []string, all int) string {
	const most = 5
	text := fmt.Sprintf("this hits %d of %s", len(clusters), Plural(all, "cluster"))
	if len(clusters) == all {
		text = "this hits all " + Plural(all, "cluster")
	}
	named := clusters[:min(most, len(clusters))]
	text += ": " + strings.Join(named, ", ")
	if n := len(clusters) - len(named); n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// Drifts shows what of clusters is not as it was last applied: what was applied → what is live, and who did it.
func (r *Reporter) Drifts(drifts []diff.Drift, o PlanOptions) error {
	if o.Format == "json" {
		out := make([]diff.Drift, len(drifts))
		for i, d := range drifts {
			d.Releases = append([]diff.Drifted{}, d.Releases...)
			for j, release := range d.Releases {
				objects := make([]diff.Change, len(release.Objects))
				for k, c := range release.Objects {
					objects[k] = r.sides(c).Change
				}
				d.Releases[j].Objects = objects
			}
			out[i] = d
		}
		return r.JSON(struct {
			FormatVersion int          `json:"formatVersion"`
			Clusters      []diff.Drift `json:"clusters"`
		}{FormatVersion, out})
	}
	for _, d := range drifts {
		where := d.Cluster
		if where == "" {
			where = d.Context
		}
		var b strings.Builder
		if len(drifts) > 1 && !d.Empty() {
			fmt.Fprintf(&b, "# %s\n", where)
		}
		objects := 0
		for _, release := range d.Releases {
			head := fmt.Sprintf("~ drift %s, revision %d", release.Key(), release.Revision)
			if release.Status != "" {
				head += fmt.Sprintf(": a later one is %s", release.Status)
			}
			fmt.Fprintf(&b, "%s\n", r.paintOut(yellow, head))
			for _, c := range release.Objects {
				objects++
				of := o
				of.Against = "applied"
				text, err := r.changed(c, of, nil)
				if err != nil {
					return err
				}
				b.WriteString(text)
			}
		}
		if err := r.Product(b.String()); err != nil {
			return err
		}
		text := fmt.Sprintf("%s: no drift (%s)", where, Plural(d.Checked, "release"))
		if !d.Empty() {
			text = fmt.Sprintf("%s: %s of %s drifted; %s", where, Plural(len(d.Releases), "release"), Plural(d.Checked, "release"), differs(objects, "object"))
		}
		if len(d.Unknown) > 0 {
			text += fmt.Sprintf("; not looked at, since helm deployed the last revision: %s", strings.Join(d.Unknown, ", "))
		}
		r.Talk("%s", text)
	}
	return nil
}
