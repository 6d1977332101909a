package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

// againstOptions say what the values are compared with.
type againstOptions struct {
	text string
	// revision and other are git's, where two sets of values are compared; other is the working tree where it is empty.
	revision, other string
}

func (o *againstOptions) flag(flags *pflag.FlagSet) {
	flags.StringVar(&o.text, "against", "live", "compare with `WHAT`: live, release, or rev:REVISION, rev:REVISION..REVISION")
}

const (
	againstLive    = "live"
	againstRelease = "release"
)

// check reads the flag. A bare word is a revision unless it is one of the other two.
func (o *againstOptions) check() error {
	switch o.text {
	case againstLive, againstRelease:
		return nil
	}
	o.revision = strings.TrimPrefix(o.text, "rev:")
	two := false
	if o.revision, o.other, two = strings.Cut(o.revision, ".."); o.revision == "" || two && (o.other == "" || strings.HasPrefix(o.other, ".")) {
		return fmt.Errorf("--against %s names no revision; write rev:main, or rev:main..feature", o.text)
	}
	return nil
}

// showOptions say how differences are shown.
type showOptions struct {
	unified, structural, summary bool
	maxLength                    int
}

func (o *showOptions) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.unified, "unified", false, "objects as unified diffs (default)")
	flags.BoolVar(&o.structural, "structural", false, "a line for each field: PATH: OLD → NEW")
	flags.BoolVar(&o.summary, "summary", false, "counts, and a line for each object")
}

func (o *showOptions) lengthFlag(flags *pflag.FlagSet) {
	flags.IntVar(&o.maxLength, "max-length", report.GitHubLength, "with -o markdown: at most so many `BYTES`; detail goes before counts")
}

func ignoreFlag(flags *pflag.FlagSet, to *[]string) {
	flags.StringArrayVar(to, "ignore", nil, "leave a field as it is in the cluster, `KIND[.GROUP]/NAME:PATH`; repeat for more")
}

// check also returns the style.
func (o showOptions) check() (report.Style, error) {
	n, style := 0, report.Unified
	for _, s := range []struct {
		on    bool
		style report.Style
	}{{o.unified, report.Unified}, {o.structural, report.Structural}, {o.summary, report.Brief}} {
		if s.on {
			n, style = n+1, s.style
		}
	}
	switch {
	case n > 1:
		return style, errors.New("--unified, --structural and --summary are three forms of one thing; give one")
	case o.maxLength < 0:
		return style, errors.New("--max-length takes a number of bytes; give one from 0")
	}
	return style, nil
}

// diffRevisions is diff between two revisions of the values, for which no cluster is asked.
func (a *app) diffRevisions(ctx context.Context, o diffOptions, show report.PlanOptions) error {
	target := o.fleet.target
	if err := target.check(); err != nil {
		return err
	}
	before, err := a.openRevision(ctx, target, o.against.revision)
	if err != nil {
		return err
	}
	defer a.close(before, target.cache)
	var after *pipeline.Platform
	var clusters []pipeline.Cluster
	if o.against.other == "" {
		after, clusters, err = a.open(ctx, target)
	} else if after, err = a.openRevision(ctx, target, o.against.other); err == nil {
		clusters, err = a.clustersOf(after, target)
	}
	if err != nil {
		return err
	}
	defer a.close(after, target.cache)
	if target.all {
		clusters = append(clusters, pipeline.Gone(before, after)...)
	}
	fold, diags, err := pipeline.Revisions(ctx, before, after, clusters, pipeline.RevisionOptions{
		Capabilities: o.compare.capabilities.capabilities(), Ignore: o.compare.ignore, Selectors: o.fleet.selection.selectors,
		Hide: a.report.Hide,
	})
	if err != nil {
		return err
	}
	shown := after.Shown(diags)
	for name, text := range before.Shown(diags) {
		shown[name] = text
	}
	if err := a.reported(diags.Sorted(), shown); err != nil {
		return err
	}
	if err := a.report.Blocks(fold, show); err != nil {
		return err
	}
	if all, same := fold.Clusters(); all > len(same) && o.detailedExitcode {
		return exit(exitDifferences)
	}
	return nil
}

// openRevision opens the values repository as it was. Diagnostics have been shown when it returns.
func (a *app) openRevision(ctx context.Context, o targetOptions, revision string) (*pipeline.Platform, error) {
	platform, diags, err := pipeline.OpenRevision(ctx, a.platformOptions(o), revision)
	if err != nil {
		return nil, err
	}
	return platform, a.reported(diags, platform.Shown(diags))
}

// clustersOf are the clusters of a platform that the flags name. Diagnostics have been shown when it returns.
func (a *app) clustersOf(p *pipeline.Platform, o targetOptions) ([]pipeline.Cluster, error) {
	clusters, diags := p.Clusters(o.cluster, o.all)
	return clusters, a.reported(diags, p.Shown(diags))
}
