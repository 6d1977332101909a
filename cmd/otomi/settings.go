package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// withoutSettings marks a command whose flags are answers to a question and not settings: the cluster that bootstrap is
// to make is not the one that OTOMI_CLUSTER names for every other verb.
const withoutSettings = "otomi/without-settings"

// readSettings fills the flags of cmd that were not given on the command line from OTOMI_* and from the user's settings
// file: flags beat the environment, that beats the file. A setting is named as its flag, without the dashes in front.
func readSettings(w world, cmd *cobra.Command) error {
	if _, without := cmd.Annotations[withoutSettings]; without {
		return nil
	}
	v := viper.New()
	if file := w.settingsFile(); file != "" {
		if _, err := os.Stat(file); err == nil {
			v.SetConfigFile(file)
			if err := v.ReadInConfig(); err != nil {
				return fmt.Errorf("reading your settings: %w", err)
			}
			if err := checkSettings(cmd.Root(), file, v.AllKeys()); err != nil {
				return err
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading your settings: %w", err)
		}
	}
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || !isSetting(f.Name) || contradicted(cmd, f.Name) {
			return
		}
		from, value := "your settings file", v.GetString(f.Name)
		if slice, ok := f.Value.(pflag.SliceValue); ok && v.IsSet(f.Name) {
			if err := slice.Replace(v.GetStringSlice(f.Name)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", from, f.Name, err))
			}
			value = ""
		}
		name := "OTOMI_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if text := w.env(name); text != "" {
			from, value = name, text
		}
		if value == "" {
			return
		}
		if err := f.Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", from, value, err))
		}
	})
	return errors.Join(errs...)
}

// isSetting reports whether a flag can be set for good. Help and version are questions, not settings.
func isSetting(flag string) bool { return flag != "help" && flag != "version" }

// contradicted reports whether a flag of the command line says the contrary of a setting, as --all does of a cluster.
func contradicted(cmd *cobra.Command, setting string) bool {
	return setting == "cluster" && cmd.Flags().Changed("all") || setting == "all" && cmd.Flags().Changed("cluster")
}

// checkSettings refuses keys of the settings file that no flag has: a slip of the pen is not ignored.
func checkSettings(root *cobra.Command, file string, keys []string) error {
	known := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		add := func(f *pflag.Flag) { known[f.Name] = isSetting(f.Name) }
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
	slices.Sort(keys)
	for _, key := range keys {
		if !known[key] {
			return fmt.Errorf("%s: there is no setting %q; a setting is named as its flag, for example `cluster: aws/demo`", file, key)
		}
	}
	return nil
}
