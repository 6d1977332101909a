package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/redkubes/otomi/cmd/playground/internal/controlplane"
	"github.com/redkubes/otomi/cmd/playground/internal/health"
)

// userAgent of the verbs, in the audit log.
const userAgent = "playground-cli"

const statusHelp = `Say whether the playground runs and is ready, and where. The exit code is 0
when it is ready, and 1 otherwise.`

const statusExample = `  playground status
  playground status -o json`

type statusOptions struct {
	dir    string
	output string
}

// status is what the verb prints as JSON.
type status struct {
	FormatVersion int    `json:"formatVersion"`
	Running       bool   `json:"running"`
	Ready         bool   `json:"ready"`
	Reason        string `json:"reason,omitempty"` // why it is not ready
	PID           int    `json:"pid,omitempty"`
	Dir           string `json:"dir"`
	Kubeconfig    string `json:"kubeconfig"`
	health.Report
}

func newStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say whether the playground runs",
		Long:    statusHelp,
		Example: statusExample,
		Args:    cobra.NoArgs,
	}
	bindStatus(cmd, &o)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return runStatus(cmd.Context(), o, cmd.OutOrStdout())
	}
	return cmd
}

func bindStatus(cmd *cobra.Command, o *statusOptions) {
	bindDir(cmd, &o.dir)
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "format: text or json")
}

func runStatus(ctx context.Context, o statusOptions, stdout io.Writer) error {
	var show func(io.Writer, status) error
	switch o.output {
	case "text":
		show = showText
	case "json":
		show = showJSON
	default:
		return fmt.Errorf("--output %q is not known; use text or json", o.output)
	}
	s, err := look(ctx, o.dir)
	if err != nil {
		return err
	}
	if err := show(stdout, s); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if !s.Ready {
		return errSilent
	}
	return nil
}

func look(ctx context.Context, dirFlag string) (status, error) {
	dir, err := openDir(dirFlag)
	if err != nil {
		return status{}, err
	}
	s := status{FormatVersion: 1, Dir: string(dir), Kubeconfig: dir.Kubeconfig()}
	s.PID, err = dir.Holder()
	if err != nil {
		return status{}, err
	}
	s.Running = s.PID != 0
	if !s.Running {
		return s, nil
	}
	client, err := health.Client(dir.Kubeconfig(), userAgent)
	if err == nil {
		s.Report, err = health.Check(ctx, client, controlplane.Nodes)
	}
	s.Ready = err == nil
	if err != nil {
		s.Reason = err.Error()
	}
	return s, nil
}

func showJSON(w io.Writer, s status) error {
	if s.Nodes == nil {
		s.Nodes = []health.Node{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

func showText(w io.Writer, s status) error {
	if !s.Running {
		_, err := fmt.Fprintf(w, "not running\nfolder      %s\n", s.Dir)
		return err
	}
	word := "ready"
	if !s.Ready {
		word = "not ready: " + s.Reason
	}
	ready := 0
	for _, node := range s.Nodes {
		if node.Ready {
			ready++
		}
	}
	_, err := fmt.Fprintf(w, "%s\nserver      %s\nversion     %s\nnodes       %d of %d ready\npid         %d\nfolder      %s\nkubeconfig  %s\n",
		word, s.Server, s.Version, ready, controlplane.Nodes, s.PID, s.Dir, s.Kubeconfig)
	return err
}
