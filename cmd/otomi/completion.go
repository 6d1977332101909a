package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const completionHelp = `Write a completion script for your shell.

  otomi completion bash > /etc/bash_completion.d/otomi
  otomi completion zsh > "${fpath[1]}/_otomi"
  otomi completion fish > ~/.config/fish/completions/otomi.fish`

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:         "completion bash|zsh|fish|powershell",
		Short:       "write a completion script for your shell",
		Long:        completionHelp,
		ValidArgs:   []string{"bash", "zsh", "fish", "powershell"},
		Args:        cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		Annotations: map[string]string{withoutSettings: ""},
		RunE:        runCompletion,
	}
}

func runCompletion(cmd *cobra.Command, args []string) error {
	root, out := cmd.Root(), cmd.OutOrStdout()
	switch args[0] {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("no completion for %q", args[0])
}
