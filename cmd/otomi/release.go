package main

import (
	"context"
	"errors"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// reachedRelease is a release that the command line names, on its cluster.
type reachedRelease struct {
	pipeline.NamedRelease
	client *pipeline.Client
	// cluster is the name of the cluster in the registry; empty where it has none.
	cluster string
	// secrets are the secret texts among the values.
	secrets []string
}

// reachRelease finds a release that is named NAME or NAMESPACE/NAME in the runlevels, or state files, and connects to its
// cluster. A context and a namespace are enough: then nothing else is read. Diagnostics have been shown when it returns; the caller
// calls done with its error, and takes the one that it returns.
func (a *app) reachRelease(ctx context.Context, name string, fleet *fleetOptions, state *deployStateOptions) (out reachedRelease, done func(error) error, err error) {
	done = func(err error) error { return err }
	named, err := pipeline.ParseRelease(name)
	if err != nil {
		return out, done, err
	}
	if fleet.target.all {
		return out, done, errors.New("--all can't be used with one release; name its cluster with -c")
	}
	t := fleet.target
	if fleet.connect.kubeContext != "" && named.Namespace != "" && t.cluster == "" && t.repo == "" && state.file == "" {
		client, err := pipeline.Connect(ctx, pipeline.Cluster{}, a.connection(fleet.connect))
		return reachedRelease{NamedRelease: named, client: client}, done, err
	}
	plain, err := a.plainDeployment(state, fleet)
	if err != nil {
		return out, done, err
	}
	if plain {
		all, done, err := a.reachStates(ctx, *state, *fleet, deployed{verb: "status"})
		if err != nil {
			return out, done, err
		}
		var sites []pipeline.Site
		for _, s := range all {
			sites = append(sites, s.sites...)
		}
		if len(sites) == 0 {
			return out, done, exit(exitNoMatch)
		}
		site, found, err := pipeline.FindRelease(sites, named)
		var secrets []string
		for _, s := range all {
			secrets = append(secrets, s.secrets...)
		}
		return reachedRelease{NamedRelease: found, client: site.Client, cluster: site.Cluster, secrets: secrets}, done, err
	}
	f, err := a.gather(ctx, *fleet, "status")
	if err != nil {
		return out, done, err
	}
	done = func(err error) error { return errors.Join(f.done(ctx, err), f.platform.Close()) }
	stage := f.stages[0]
	found, err := stage.Find(named)
	if err != nil {
		return out, done, err
	}
	client, err := f.reach(ctx, stage)
	return reachedRelease{NamedRelease: found, client: client, cluster: stage.Values.Cluster.ID, secrets: stage.Values.Secrets()}, done, err
}
