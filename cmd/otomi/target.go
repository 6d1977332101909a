package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
)

// targetOptions say which values repository and which of its clusters a verb works on.
type targetOptions struct {
	repo    string
	cluster string
	all     bool
	// schema takes the place of the stack's; only verbs that check have the flag.
	schema string
	values valueOptions
	allow  allowFlag
	// cache says where to keep what can be made again; only verbs that render have its flags.
	cache cacheOptions
	// fetches is set by verbs that exist to fetch: they may reach any host.
	fetches bool
}

// valueOptions are values of the command line, in helmfile's words.
type valueOptions struct {
	files     []string
	set       []string
	setString []string
}

// given reports whether there are any.
func (o valueOptions) given() bool { return len(o.files)+len(o.set)+len(o.setString) > 0 }

func (o *valueOptions) flags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.files, "state-values-file", nil, "values from a `FILE`, stronger than those of the repository; repeat for more")
	flags.StringArrayVar(&o.set, "state-values-set", nil, "single values, `PATH=VALUE` with commas between: a.b=1,list[0]=x")
	flags.StringArrayVar(&o.setString, "state-values-set-string", nil, "single values that stay strings, `PATH=VALUE`")
}

func (o *targetOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.repo, "repo", "", "values repository `DIR` (default: the one around the working directory)")
	flags.StringVarP(&o.cluster, "cluster", "c", "", "the cluster, `CLOUD/NAME`")
	flags.BoolVar(&o.all, "all", false, "every cluster of the registry, in its order")
	o.values.flags(flags)
	o.allow.flags(flags)
}

func (o targetOptions) check() error {
	if o.all && o.cluster != "" {
		return fmt.Errorf("--all can't be used with --cluster; leave out one of them")
	}
	return nil
}

// selectOptions say which releases a verb works on.
type selectOptions struct {
	selectors    []string
	allowNoMatch bool
}

func (o *selectOptions) flags(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.selectors, "selector", "l", nil, "only releases with these `LABELS`: k=v, k!=v, a comma for and; repeat for or")
	flags.BoolVar(&o.allowNoMatch, "allow-no-matching-release", false, "exit with 0 when no release matches the selectors")
}

// capabilityOptions say what a chart sees of the cluster where none is asked.
type capabilityOptions struct {
	kubeVersion string
	apiVersions []string
}

func (o *capabilityOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeVersion, "kube-version", "", "Kubernetes `VERSION` that charts see (default: the cluster's, else the registry's k8sVersion)")
	flags.StringSliceVar(&o.apiVersions, "api-versions", nil, "API `VERSIONS` that charts see beside the known ones")
}

func (o capabilityOptions) capabilities() pipeline.Capabilities {
	return pipeline.Capabilities{KubeVersion: o.kubeVersion, APIVersions: o.apiVersions}
}

// connectOptions say how to reach the cluster.
type connectOptions struct {
	kubeconfig  string
	kubeContext string
	// systemNamespace is where the cluster's lease and identity are.
	systemNamespace string
	adopt           bool
}

func (o *connectOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` (default: KUBECONFIG, else ~/.kube/config)")
	flags.StringVar(&o.kubeContext, "kube-context", "", "context of the kubeconfig (default: the registry's kubeContext)")
	flags.StringVar(&o.systemNamespace, "lock-namespace", "otomi-system", "the `NAMESPACE` in which the cluster's lease and identity are kept")
	flags.BoolVar(&o.adopt, "adopt-cluster", false, "work on a cluster that was recorded as another one; apply records it anew")
}

// connection turns the flags and the environment into what the pipeline connects with.
func (a *app) connection(o connectOptions) pipeline.Connection {
	files := a.world.kubeconfig()
	if o.kubeconfig != "" {
		files = []string{a.path(o.kubeconfig)}
	}
	a.report.Hide(pipeline.Credentials(files))
	return pipeline.Connection{
		Kubeconfig: files,
		Context:    o.kubeContext,
		// A CI step that falls through to whatever context is current deploys to the wrong cluster one day.
		RefuseCurrent: a.world.inCI(),
		// Who names a kubeconfig means it, also in a pod.
		InCluster: o.kubeconfig == "" && a.world.env("KUBECONFIG") == "" && a.world.env("KUBERNETES_SERVICE_HOST") != "",
		UserAgent: "otomi/" + version,

		SystemNamespace: o.systemNamespace, Adopt: o.adopt,
	}
}

// path makes a path of the command line absolute, seen from the working directory.
func (a *app) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.world.dir, name)
}

// open opens the platform and finds the clusters that the flags name. Diagnostics have been shown when it returns. The
// caller closes the platform.
func (a *app) open(ctx context.Context, o targetOptions) (*pipeline.Platform, []pipeline.Cluster, error) {
	platform, clusters, diags, err := a.openQuietly(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	if err := a.reported(diags, platform.Shown(diags)); err != nil {
		return nil, nil, err
	}
	return platform, clusters, nil
}

// openQuietly is open for verbs that show diagnostics in their own way. The platform is nil where there
// is no values repository; it can be closed all the same.
func (a *app) openQuietly(ctx context.Context, o targetOptions) (*pipeline.Platform, []pipeline.Cluster, diag.Diagnostics, error) {
	if err := o.check(); err != nil {
		return nil, nil, nil, err
	}
	platform, diags, err := pipeline.Open(ctx, a.platformOptions(o))
	if err != nil {
		return nil, nil, nil, err
	}
	if diags.HasErrors() {
		return platform, nil, diags, nil
	}
	clusters, more := platform.Clusters(o.cluster, o.all)
	return platform, clusters, append(diags, more...), nil
}

// platformOptions say which values repository the flags name.
func (a *app) platformOptions(o targetOptions) pipeline.Options {
	allow := o.allow.permissions(a.world)
	allow.AnyHost = allow.AnyHost || o.fetches
	return pipeline.Options{Dir: a.world.dir, Repo: o.repo, Schema: o.schema, Builtin: a.stack, Version: version,
		Flags: pipeline.ValueFlags{Files: o.values.files, Set: o.values.set, SetString: o.values.setString},
		Allow: allow, Remote: a.world.remote(), Cache: a.cache(o.cache), Kubernetes: kubernetes.FS}
}

// format is a flag that takes one of a few words.
type format struct {
	to      *string
	allowed []string
}

// formatFlag returns a flag for *to whose default is the first of the allowed words.
func formatFlag(to *string, allowed ...string) pflag.Value {
	*to = allowed[0]
	return &format{to: to, allowed: allowed}
}

func (f *format) String() string { return *f.to }
func (f *format) Type() string   { return "FORMAT" }

func (f *format) Set(text string) error {
	if !slices.Contains(f.allowed, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(f.allowed, ", "))
	}
	*f.to = text
	return nil
}
