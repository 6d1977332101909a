package main

import "github.com/spf13/cobra"

const syncHelp = `Apply every release, also those that do not differ: each gets a new revision.

It is apply without its choice, as helmfile has it. Where only what differs is to be
applied, ` + "`otomi apply`" + ` is quicker and leaves a shorter history.

  otomi sync -f helmfile.yaml -l name=web
  otomi sync -c aws/demo -l name=web`

func newSync(a *app) *cobra.Command {
	o := applyOptions{every: true}
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "apply every release, also what does not differ",
		Long:  syncHelp,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runApply(cmd.Context(), a, o) },
	}
	o.flags(cmd.Flags())
	return cmd
}
