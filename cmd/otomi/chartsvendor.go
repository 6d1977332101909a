package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const chartsVendorHelp = `Keep the charts that charts.lock names in vendor/charts of the values repository.

Where there is a vendor/charts nothing is fetched any more: everything renders and applies
without a network. With --archive they are written into one file instead, with
charts.lock, to be carried to a machine without a network; --from puts them into its
values repository. Every chart is verified against charts.lock.

  otomi charts vendor
  otomi charts vendor --archive charts.tar
  otomi charts vendor --from charts.tar`

type chartsVendorOptions struct {
	everywhere everywhereOptions
	archive    string
	from       string
}

func newChartsVendor(a *app) *cobra.Command {
	var o chartsVendorOptions
	cmd := &cobra.Command{
		Use:   "vendor",
		Short: "keep the pinned charts in the repository or in an archive",
		Long:  chartsVendorHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runChartsVendor(cmd.Context(), a, o) },
	}
	o.everywhere.flags(cmd.Flags())
	cmd.Flags().StringVar(&o.archive, "archive", "", "write the charts and charts.lock into `FILE`")
	cmd.Flags().StringVar(&o.from, "from", "", "take the charts from `FILE`, which --archive wrote; nothing is fetched")
	return cmd
}

func (o chartsVendorOptions) check() error {
	if o.archive != "" && o.from != "" {
		return errors.New("--archive can't be used with --from; leave out one of them")
	}
	return nil
}

func runChartsVendor(ctx context.Context, a *app, o chartsVendorOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.from != "" {
		return a.unpackCharts(ctx, o)
	}
	o.everywhere.target.fetches = true
	platform, stages, err := a.everywhere(ctx, o.everywhere.target)
	if err != nil {
		return err
	}
	defer a.close(platform, o.everywhere.target.cache)
	if nothing, err := platform.NothingToLock(ctx, stages); err != nil {
		return err
	} else if nothing {
		a.report.Talk("no chart comes from elsewhere; there is nothing to keep")
		return nil
	}
	if o.archive != "" {
		return a.archiveCharts(ctx, platform, stages, a.path(o.archive))
	}
	vendored, diags, err := platform.VendorCharts(ctx, stages)
	if err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	return a.vendored(vendored)
}

// vendored tells what became of the files.
func (a *app) vendored(v pipeline.Vendored) error {
	for _, list := range []struct {
		sign  string
		names []string
	}{{"+", v.Written}, {"-", v.Removed}} {
		for _, name := range list.names {
			if err := a.report.Product(list.sign + " vendor/charts/" + name + "\n"); err != nil {
				return err
			}
		}
	}
	a.report.Talk("vendor/charts has %s: %d written, %d kept, %d removed", report.Plural(len(v.Written)+len(v.Kept), "chart"),
		len(v.Written), len(v.Kept), len(v.Removed))
	return nil
}

// archiveCharts writes the archive beside its place first: what is there stays until all of it is good.
func (a *app) archiveCharts(ctx context.Context, platform *pipeline.Platform, stages []pipeline.Stage, name string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".otomi-*.tar")
	if err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	defer func() {
		if f != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	diags, err := platform.ArchiveCharts(ctx, stages, f)
	if err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	err = f.Close()
	f = nil
	a.report.Talk("the charts are in %s; `otomi charts vendor --from FILE` puts them into another repository", name)
	return err
}

// unpackCharts puts the charts of an archive into the values repository.
func (a *app) unpackCharts(ctx context.Context, o chartsVendorOptions) error {
	platform, _, diags, err := a.openQuietly(ctx, targetOptions{repo: o.everywhere.target.repo, all: true})
	if err != nil {
		return err
	}
	defer platform.Close()
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	f, err := os.Open(a.path(o.from))
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	defer f.Close()
	vendored, diags, err := platform.UnpackCharts(ctx, f)
	if err != nil {
		return err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return err
	}
	return a.vendored(vendored)
}
