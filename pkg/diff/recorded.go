package diff

import (
	"context"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/parallel"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// Recorded compares what is wanted with what the records say was applied last, and asks the cluster nothing else: it needs no
// right to any object. So it knows nothing of drift, of what the server makes of an object, of what it would refuse, and of the CRDs
// of crds/ folders, which no record holds. An object that names no namespace stays without one. The plan can't be applied.
func Recorded(ctx context.Context, in Input, records Records, o Options) (Plan, diag.Diagnostics, error) {
	all, err := records.Records(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	by := histories(all)
	p := Plan{Cluster: in.Cluster, Context: in.Context, Levels: make([]Level, len(in.Levels))}
	var diags []diag.Diagnostics
	group, ctx := parallel.WithContext(ctx)
	group.SetLimit(max(o.Parallel, defaultParallel))
	n := 0
	for _, l := range in.Levels {
		n += len(l.Releases)
	}
	diags = make([]diag.Diagnostics, n)
	n = 0
	for i, l := range in.Levels {
		p.Levels[i] = Level{Name: l.Name, Releases: make([]Release, len(l.Releases))}
		for j, r := range l.Releases {
			slot := n
			n++
			group.Go(func() (err error) {
				p.Levels[i].Releases[j], diags[slot], err = recordedRelease(ctx, in.Render, l.Name, r, by[r.Key()], records, o)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return Plan{}, nil, err
	}
	found := slices.Concat(diags...)
	if found.HasErrors() {
		return Plan{}, found, nil
	}
	return p, found, nil
}

// recordedRelease compares one release with its last applied revision.
func recordedRelease(
	ctx context.Context, render Render, level string, r runlevel.Release, h history, records Records, o Options,
) (Release, diag.Diagnostics, error) {
	out := Release{Name: r.Name, Namespace: r.Namespace, Level: level, Action: Same, Group: r.Group, Hidden: r.SuppressOutputLineRegex, Silent: r.SuppressDiff}
	h = h.current()
	last, found := h.last()
	var base manifest.Stored
	if at := slices.IndexFunc(h, func(m manifest.Record) bool { return m.Status == manifest.Deployed }); at >= 0 {
		var err error
		if base, err = records.Stored(ctx, h[at].Namespace, h[at].Name, h[at].Revision); err != nil {
			return out, nil, err
		}
		out.Former, out.Held = []map[string]any{base.Values}, base.SecretTexts()
	}
	out.Revision = base.Revision
	if !r.Installed {
		if found {
			out.Action, out.Reason, out.Chart, out.Wanted = Uninstall, "installed: false", chartName(base.Chart), base.Release
			out.Objects = renderings(base.Objects, nil, nil, o)
			return out, nil, nil
		}
		out.Reason = "not installed"
		return out, nil, nil
	}
	ours := base.Revision > 0 && Ours(manifest.Record{Revision: base.Revision, Labels: base.Labels})
	revision, upgrade := h.next(), h.everDeployed()
	if ours {
		// What a chart makes of the number of its revision is no change.
		revision, upgrade = base.Revision, base.Labels[ModeLabel] == ModeUpgrade
	}
	rendered, diags, err := render(ctx, r, revision, upgrade)
	if err != nil || diags.HasErrors() {
		return out, diags, err
	}
	rules, err := ParseIgnores(r.Ignore)
	if err != nil {
		return out, diags, err
	}
	out.Wanted, out.Chart = rendered.Release, chartName(rendered.Chart)
	out.Objects = renderings(base.Objects, rendered.Objects, slices.Concat(o.Ignore, rules), o)
	as := base.Revision > 0 && base.Labels[WantedLabel] == Wanted(rendered.Digest, base.Revision)
	switch {
	case base.Revision == 0:
		out.Action, out.Reason, out.Revision = Install, "it was never applied", h.next()
	case last.Status != manifest.Deployed:
		out.Action, out.Revision = Upgrade, h.next()
		out.Reason = fmt.Sprintf("revision %d is %s; compared with revision %d", last.Revision, last.Status, base.Revision)
	case !as && ours || len(out.Objects) > 0:
		out.Action, out.Reason, out.Revision = Upgrade, "its chart or values changed", h.next()
	}
	return out, diags, nil
}
