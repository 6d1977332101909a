package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// firstFlags returns the names of the flags that a help names first, in that order: what is worked on, and what comes out.
func firstFlags() []string {
	return []string{
		"cluster", "all", "selector", "file", "environment", "against", "out", "output", "structural", "summary", "dry-run", "yes",
		"detailed-exitcode", "timeout", "atomic", "kube-context",
	}
}

// groupFlags makes the helps of the verbs that take state files name the flags in three groups: those that most runs need, the
// others, and those that mean nothing to a stack. The other verbs have few flags.
func groupFlags(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.Flags().Lookup("args") != nil && !cmd.HasSubCommands() {
			cmd.SetUsageFunc(groupedUsage)
		}
	}
}

func groupedUsage(cmd *cobra.Command) error {
	flags := cmd.LocalFlags()
	taken := map[string]bool{}
	group := func(names []string) string {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.SortFlags = false
		for _, name := range names {
			if f := flags.Lookup(name); f != nil && !taken[name] {
				taken[name] = true
				set.AddFlag(f)
			}
		}
		return set.FlagUsages()
	}
	first := group(firstFlags())
	last := group(append(slices.Clip(stateFlags), "skip-needs", "skip-charts", "deleteWait"))
	var others []string
	flags.VisitAll(func(f *pflag.Flag) { others = append(others, f.Name) })
	_, err := fmt.Fprintf(cmd.OutOrStderr(), "Usage:\n  %s\n\nFlags:\n%s\nMore flags:\n%s\nFlags that are for state files alone (-f), as helmfile has them:\n%s\nGlobal flags:\n%s",
		cmd.UseLine(), first, group(others), last, cmd.InheritedFlags().FlagUsages())
	return err
}
