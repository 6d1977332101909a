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
			f.BoolVar(&write, "write-output", false, "print the state files with the charts that are written, as build prints them; with --output-dir")
		},
		matched: (*pipeline.StateFile).Matched,
		run: func(ctx context.Context, s *pipeline.StateFile) error {
			if write && dir == "" {
				return errors.New("--write-output prints where charts are written, and none is: give --output-dir DIRECTORY")
			}
			fetched, diags, err := s.FetchedCharts(ctx, dir, template)
			if err != nil {
				return err
			}
			if err := a.reported(diags, s.Shown(diags)); err != nil {
				return err
			}
			for _, f := range fetched.Files {
				if err := writeFile(a.path(f.Name), f.Data); err != nil {
					return err
				}
			}
			a.report.Talk("%s fetched", report.Plural(fetched.Charts, "chart"))
			if !write {
				return nil
			}
			for _, state := range s.Defined() {
				if err := a.report.HelmfileBuild(fetched.State(state), s.Path(state), s.Alone(), false); err != nil {
					return err
				}
			}
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
