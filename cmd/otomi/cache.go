package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

const cacheHelp = `Look at and clean up what otomi keeps on this machine to be faster: rendered releases
and downloaded charts.

Everything in the caches is verified when it is read and can be made again. They are
bounded: what was not used for longest goes first.

  otomi cache info
  otomi cache cleanup`

const cacheInfoHelp = `Show where the caches are and what they hold.

  otomi cache info
  otomi cache info -o json`

const cacheCleanupHelp = `Remove all that the caches hold. Other files in their directory stay.

  otomi cache cleanup`

// cacheOptions say whether and where a verb keeps what it can make again.
type cacheOptions struct {
	dir string
	off bool
}

func (o *cacheOptions) flags(flags *pflag.FlagSet) {
	o.dirFlag(flags)
	flags.BoolVar(&o.off, "no-cache", false, "render every release anew; the result is the same")
}

func (o *cacheOptions) dirFlag(flags *pflag.FlagSet) {
	flags.StringVar(&o.dir, "cache-dir", "", "`DIR` of the caches (default: $XDG_CACHE_HOME/otomi, else ~/.cache/otomi)")
}

// cacheDir is the directory of the caches, or "" where there is no place for one.
func (a *app) cacheDir(o cacheOptions) string {
	if o.dir != "" {
		return a.path(o.dir)
	}
	return a.world.cacheDir()
}

// cache is what the pipeline keeps its caches by.
func (a *app) cache(o cacheOptions) pipeline.CacheOptions {
	return pipeline.CacheOptions{Dir: a.cacheDir(o), Build: build(), Anew: o.off}
}

// build identifies this build of otomi. Where its version does not, since it was built from files that are in no commit, the
// program file does.
func build() string {
	if version != "dev" && !strings.HasSuffix(version, "-dirty") {
		return version
	}
	name, err := os.Executable()
	if err != nil {
		return version
	}
	info, err := os.Stat(name)
	if err != nil {
		return version
	}
	return fmt.Sprintf("%s %d %d", version, info.Size(), info.ModTime().UnixNano())
}

// close closes a platform, and says once where a cache could not be used. Nobody asked for the default one: where its
// directory can't be written, as in a container that is read-only, there is nothing to tell.
func (a *app) close(platform *pipeline.Platform, o cacheOptions) error {
	a.cacheFailed(platform.CacheFailure(), o)
	return platform.Close()
}

func (a *app) cacheFailed(err error, o cacheOptions) {
	quiet := o.dir == "" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS))
	if err != nil && !quiet {
		a.report.Talk("the cache is not used: %s; the result is the same, and --no-cache says that it is not wanted",
			strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

func newCache(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "look at and clean up what is kept on this machine",
		Long:  cacheHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("say what to do: `otomi cache info` or `otomi cache cleanup`")
		},
	}
	cmd.AddCommand(newCacheInfo(a), newCacheCleanup(a))
	return cmd
}

func newCacheInfo(a *app) *cobra.Command {
	var o cacheOptions
	var output string
	cmd := &cobra.Command{
		Use:   "info",
		Short: "show where the caches are and what they hold",
		Long:  cacheInfoHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.withCaches(o, pipeline.LookIntoCaches, func(dir string, caches []report.Cache) error {
				return a.report.Caches(dir, caches, output)
			})
		},
	}
	o.dirFlag(cmd.Flags())
	cmd.Flags().VarP(formatFlag(&output, "text", "json"), "output", "o", "format: text or json")
	return cmd
}

func newCacheCleanup(a *app) *cobra.Command {
	var o cacheOptions
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "remove all that the caches hold",
		Long:  cacheCleanupHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.withCaches(o, pipeline.ClearCaches, func(dir string, caches []report.Cache) error {
				a.report.CacheCleanup(dir, caches)
				return nil
			})
		},
	}
	o.dirFlag(cmd.Flags())
	return cmd
}

// withCaches does something with the caches and shows what they hold, or held.
func (a *app) withCaches(o cacheOptions, do func(dir string) ([]pipeline.CacheInfo, error), show func(string, []report.Cache) error) error {
	dir := a.cacheDir(o)
	if dir == "" {
		return fmt.Errorf("there is no cache: neither XDG_CACHE_HOME nor HOME is set; name its directory with --cache-dir DIR")
	}
	found, err := do(dir)
	if err != nil {
		return err
	}
	var caches []report.Cache
	for _, c := range found {
		caches = append(caches, report.Cache(c))
	}
	return show(dir, caches)
}

// cacheDir is the directory of what the user's programs keep to be faster, by the XDG base directory specification.
func (w world) cacheDir() string {
	if base := w.env("XDG_CACHE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "otomi")
	}
	if home := w.env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "otomi")
	}
	return ""
}
