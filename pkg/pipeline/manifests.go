package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// RenderChecked is Render, and checks every object, hooks and those of crds/ folders included, against the schemas of the
// Kubernetes version that charts see and the custom resource definitions of the run. No cluster is asked.
func (p *Platform) RenderChecked(ctx context.Context, stage Stage, o Capabilities, take func(Rendered) error) (diag.Diagnostics, error) {
	return p.render(ctx, stage, o, p.inspection, take)
}

// CheckManifests renders every release of a cluster and checks what comes out, as RenderChecked does.
func (p *Platform) CheckManifests(ctx context.Context, values Values, o Capabilities) (diag.Diagnostics, error) {
	stage, diags := p.Evaluate(ctx, values, nil)
	if diags.HasErrors() {
		return diags, nil
	}
	more, err := p.RenderChecked(ctx, stage, o, func(Rendered) error { return nil })
	return append(diags, more...), err
}

// inspection makes what looks at the releases of a set.
func (p *Platform) inspection(set *renderSet) (inspect, diag.Diagnostics, error) {
	library, err := p.kubernetes()
	if err != nil {
		return nil, nil, err
	}
	version := set.caps.KubeVersion
	if version == "" {
		version = render.Newest()
	}
	checker, diags, err := library.Checker(version, set.definitions)
	if err != nil {
		return nil, nil, err
	}
	set.definitions = nil
	// A kind without a schema is told of once.
	told := map[string]bool{}
	return func(ctx context.Context, release runlevel.Release, rendered manifest.Release) (diag.Diagnostics, error) {
		key := p.checkedKey(checker, rendered)
		if _, clean := p.caches.render.Get(key); clean {
			return nil, nil
		}
		locate := p.renderer.Locator(ctx, render.Request{
			Release: release, Chart: set.charts[release.Key()], Revision: rendered.Revision, Upgrade: rendered.Upgrade,
		}, set.caps, set.values.Cluster.ID)
		found, err := checkRelease(ctx, checker, rendered, func(o manifest.Object) openapi.Place {
			return func(at diag.Range) (diag.Range, []diag.Note) { return locate(o, at) }
		})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			// A cache that can't be written tells so for what it keeps of the rendering.
			_ = p.caches.render.Put(key, nil)
			return nil, nil
		}
		var diags diag.Diagnostics
		for _, d := range found {
			if d.Code == diag.ManifestNoSchema && told[d.Detail] {
				continue
			}
			told[d.Detail] = true
			diags = append(diags, d)
		}
		return diags, nil
	}, diags, nil
}

// checkRelease checks the objects of a release.
func checkRelease(
	ctx context.Context, checker *openapi.Checker, rendered manifest.Release, place func(manifest.Object) openapi.Place,
) (diag.Diagnostics, error) {
	var diags diag.Diagnostics
	for o := range objectsOf(rendered) {
		found, err := checker.Check(ctx, rendered.Key(), o, place(o))
		if err != nil {
			return nil, err
		}
		diags = append(diags, found...)
	}
	return diags, nil
}

// objectsOf goes over all objects of a release, in the order they are shown; a hook that is a list is its items.
func objectsOf(rendered manifest.Release) func(yield func(manifest.Object) bool) {
	return func(yield func(manifest.Object) bool) {
		for _, o := range rendered.CRDs {
			if !yield(o) {
				return
			}
		}
		for _, o := range rendered.Objects {
			if !yield(o) {
				return
			}
		}
		for _, h := range rendered.Hooks {
			for _, o := range render.Flat(h) {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// checkedKey is the name in the cache of a release without a finding: over the texts of its objects, the schemas, the
// definitions and this build. There is nothing under it; that it is there says all.
func (p *Platform) checkedKey(checker *openapi.Checker, rendered manifest.Release) string {
	hash := sha256.New()
	io.WriteString(hash, p.build+" "+checker.Digest())
	for o := range objectsOf(rendered) {
		sum := sha256.Sum256([]byte(o.Text))
		hash.Write(sum[:])
	}
	return "manifests " + hex.EncodeToString(hash.Sum(nil))
}
