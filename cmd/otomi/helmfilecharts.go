package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

func newFetch(a *app) *cobra.Command {
	var dir, template string
	var write bool
	return newStateVerb(a, stateVerb{
		use: "fetch", short: "fetch the charts of state files into the cache, and into a directory with --output-dir", order: true, fetches: true,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&dir, "output-dir", "", "directory to write the charts to")
			f.StringVar(&template, "output-dir-template", "", "template of the directory of each chart, as helmfile has it")
			f.BoolVar(&write, "write-output", false, "")
			_ = f.MarkHidden("write-output")
		},
		matched: (*pipeline.StateFile).Matched,
		run: func(ctx context.Context, s *pipeline.StateFile) error {
			if write {
				return errors.New("--write-output is not carried out: no state file is written anew; lock the versions with `otomi deps`")
			}
			files, charts, diags, err := s.FetchedCharts(ctx, dir, template)
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			for _, f := range files {
				if err := writeFile(a.path(f.Name), f.Data); err != nil {
					return err
				}
			}
			a.report.Talk("%s fetched", report.Plural(charts, "chart"))
			return nil
		},
	})
}

func newDeps(a *app) *cobra.Command {
	return newStateVerb(a, stateVerb{
		use: "deps", short: "lock the versions of the charts of repositories, in helmfile's lock file", fetches: true,
		matched: (*pipeline.StateFile).Matched,
		run: func(ctx context.Context, s *pipeline.StateFile) error {
			locks, diags, err := s.Locks(ctx, time.Now())
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			for _, l := range locks {
				if err := writeFile(l.Name, l.Data); err != nil {
					return err
				}
				a.report.Talk("%s has %s; commit it", filepath.Base(l.Name), report.Plural(l.Charts, "chart"))
			}
			if len(locks) == 0 {
				a.report.Talk("no release has a chart of a repository; there is nothing to lock")
			}
			return nil
		},
	})
}

func newRepos(a *app) *cobra.Command {
	return newStateVerb(a, stateVerb{
		use: "repos", short: "check that the repositories of state files can be reached", fetches: true,
		run: func(ctx context.Context, s *pipeline.StateFile) error {
			found, diags, err := s.ReachRepositories(ctx)
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			for _, r := range found {
				if r.Chart == "" {
					a.report.Talk("%s (%s): no release has a chart of it", r.Name, r.URL)
					continue
				}
				a.report.Talk("%s (%s): %s of %s", r.Name, r.URL, report.Plural(r.Versions, "version"), r.Chart)
			}
			a.report.Talk("there is nothing to add: otomi reads repositories where state files name them")
			return nil
		},
	})
}
