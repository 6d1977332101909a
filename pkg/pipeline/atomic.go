package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// levels are runlevels whose releases are as the command line says.
func (o ReleaseOptions) levels(all []runlevel.Level) []runlevel.Level {
	out := slices.Clone(all)
	for i := range out {
		out[i].Releases = slices.Clone(out[i].Releases)
		for j, r := range out[i].Releases {
			out[i].Releases[j] = o.on(r)
		}
	}
	return out
}

// returned takes back what a run did to one cluster before it failed, where that is asked for, and adds to the failure what came
// of it. A run that was interrupted, or whose time was over, takes nothing back: the next one goes on where it stopped.
func returned(ctx context.Context, plan Plan, result *apply.Result, client *Client, o ApplyOptions, failure error) error {
	if !o.Atomic || ctx.Err() != nil {
		return failure
	}
	said, err := apply.Return(ctx, plan, result, client, o)
	if said != "" {
		failure = fmt.Errorf("%w; the run being atomic, %s", failure, said)
	}
	if err != nil {
		failure = fmt.Errorf("%w; not taken back: %w", failure, err)
	}
	return failure
}
