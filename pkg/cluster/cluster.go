// Package cluster talks to an API server and to Helm's release storage in it.
//
// It is a door: what it returns are nouns, never types of client-go or Helm. It holds the one connection, knows field
// managers, resource versions and release Secrets, and tells a refusal from a failure. It decides nothing: what to apply
// is package diff's business, in which order package apply's.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// FieldManager is the name under which otomi owns fields of objects.
const FieldManager = "otomi"

// Options say which cluster to reach, and how.
type Options struct {
	// Kubeconfig are the files to read, the first to name a thing winning, as in KUBECONFIG. Files that are not there
	// are passed over.
	Kubeconfig []string
	// Context is the context of the kubeconfig; empty means its current one.
	Context string
	// InCluster reaches the API server as a pod of its cluster does; Kubeconfig and Context are not looked at.
	InCluster bool
	// UserAgent names the program to the API server: "otomi/VERSION".
	UserAgent string
	// DialTimeout bounds making a connection, HeaderTimeout the wait for an answer to begin; 0 means 10 s and 60 s.
	DialTimeout   time.Duration
	HeaderTimeout time.Duration
}

// Client is a connection to one cluster. It is safe for concurrent use.
type Client struct {
	context  string
	server   string
	version  string
	core     corev1.CoreV1Interface
	leases   coordinationv1.CoordinationV1Interface
	fence    *fence
	dynamic  dynamic.Interface
	metadata metadata.Interface
	cached   discovery.CachedDiscoveryInterface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	warnings *warnings
	withinMu sync.Mutex
	within   []string // sorted
}

// Contexts are the contexts of a kubeconfig, in order.
type Contexts struct {
	// Current is the one that is taken where none is named; it may be empty.
	Current string
	Names   []string
}

// ListContexts reads the contexts of the kubeconfig that files make together.
func ListContexts(files []string) (Contexts, error) {
	config, err := load(files)
	if err != nil {
		return Contexts{}, err
	}
	names := make([]string, 0, len(config.Contexts))
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return Contexts{Current: config.CurrentContext, Names: names}, nil
}

// Connect reaches the cluster and asks for its version, so that a cluster that can't be reached is one error, within the
// dial timeout.
func Connect(ctx context.Context, o Options) (*Client, error) {
	config, name, err := restConfig(o)
	if err != nil {
		return nil, err
	}
	c, err := newClient(config, name, o)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to %s: %w", target(name, config.Host), err)
	}
	if c.version, err = c.probe(ctx, orDefault(o.DialTimeout, 10*time.Second)); err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", target(name, config.Host), clean(err))
	}
	return c, nil
}

// probe asks for the version. A server that answers otherwise, or breaks off, is asked again within the dial timeout; one that can't
// be reached is not: most often it is the wrong one.
func (c *Client) probe(ctx context.Context, limit time.Duration) (string, error) {
	began := time.Now()
	for i := 1; ; i++ {
		body, err := c.core.RESTClient().Get().AbsPath("/version").Do(context.WithValue(ctx, impatient{}, true)).Raw()
		if err == nil {
			return gitVersion(body)
		}
		var dialing *net.OpError
		unreached := errors.As(err, &dialing) && dialing.Op == "dial"
		if unreached || lasting(err) || !fault(err) || i == attempts || time.Since(began) > limit || pause(ctx, backoff(i)) != nil {
			return "", err
		}
	}
}

// target names a cluster in messages.
func target(context, host string) string {
	if context == "" {
		return "the cluster at " + host
	}
	return fmt.Sprintf("the cluster of context %q at %s", context, host)
}

// load merges kubeconfig files.
func load(files []string) (*clientcmdapi.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: files}
	config, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return config, nil
}

// restConfig finds out how to reach the cluster, and the name of its context.
func restConfig(o Options) (*rest.Config, string, error) {
	if o.InCluster {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, "", fmt.Errorf("reading the pod's service account: %w", err)
		}
		return config, "", nil
	}
	raw, err := load(o.Kubeconfig)
	if err != nil {
		return nil, "", err
	}
	if len(raw.Contexts) == 0 {
		return nil, "", fmt.Errorf("no kubeconfig with a context found in %s: name a file with --kubeconfig or KUBECONFIG",
			strings.Join(o.Kubeconfig, ", "))
	}
	name := o.Context
	if name == "" {
		name = raw.CurrentContext
	}
	if _, ok := raw.Contexts[name]; !ok {
		names := make([]string, 0, len(raw.Contexts))
		for n := range raw.Contexts {
			names = append(names, n)
		}
		slices.Sort(names)
		if name == "" {
			return nil, "", fmt.Errorf("the kubeconfig has no current context: name one with --kube-context: %s", strings.Join(names, ", "))
		}
		return nil, "", fmt.Errorf("the kubeconfig has no context %q: it has %s", name, strings.Join(names, ", "))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("reading context %q of the kubeconfig: %w", name, err)
	}
	return config, name, nil
}

// newClient makes the clients, all over one transport.
func newClient(config *rest.Config, name string, o Options) (*Client, error) {
	w, f := &warnings{}, &fence{}
	config.UserAgent = o.UserAgent
	// No rate limit of our own: what runs side by side is bounded, and an API server that has enough says so (429).
	config.QPS = -1
	config.WarningHandler = w
	config.Dial = f.dialer(dialer(o.DialTimeout))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		// Inside the repetition, so that each attempt has a deadline of its own.
		return &retrying{next: &fencing{fence: f, next: &headerTimeout{next: next, limit: orDefault(o.HeaderTimeout, 60*time.Second)}}}
	})
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Transport = &renewing{next: client.Transport}
	core, err := corev1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	leases, err := coordinationv1.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	md, err := metadata.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(disco)
	return &Client{
		context:  name,
		server:   config.Host,
		core:     core,
		leases:   leases,
		fence:    f,
		dynamic:  dyn,
		metadata: md,
		cached:   cached,
		mapper:   restmapper.NewDeferredDiscoveryRESTMapper(cached),
		warnings: w,
	}, nil
}

// Context is the name of the kubeconfig context; empty in a pod.
func (c *Client) Context() string { return c.context }

// Server is the address of the API server.
func (c *Client) Server() string { return c.server }

// Version is the version of the cluster, as it said when it was connected to: "v1.36.3".
func (c *Client) Version(context.Context) (string, error) { return c.version, nil }

// APIVersions lists what the cluster serves, as Helm's capabilities have it: every GROUP/VERSION and every
// GROUP/VERSION/KIND (helm.sh/helm/v3/pkg/action.GetVersionSet), sorted. Groups whose server does not answer are left out.
func (c *Client) APIVersions(ctx context.Context) ([]string, error) {
	groups, resources, err := c.cached.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("asking for the API versions: %w", clean(err))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var versions []string
	for _, g := range groups {
		for _, v := range g.Versions {
			versions = append(versions, v.GroupVersion)
		}
	}
	for _, list := range resources {
		for _, r := range list.APIResources {
			versions = append(versions, list.GroupVersion+"/"+r.Kind)
		}
	}
	slices.Sort(versions)
	return slices.Compact(versions), nil
}

// Refresh forgets which kinds the cluster serves: the next question asks it again.
func (c *Client) Refresh() { c.mapper.Reset() }

// Warnings are what the API server warned of so far, each once, in order of appearance.
func (c *Client) Warnings() []string { return c.warnings.list() }

// mapping finds the resource of a kind. Found is false where the cluster does not serve the kind in that version.
func (c *Client) mapping(gk schema.GroupKind, version string) (m *meta.RESTMapping, found bool, err error) {
	m, err = c.mapper.RESTMapping(gk, version)
	if meta.IsNoMatchError(err) {
		return nil, false, nil
	}
	var failed *discovery.ErrGroupDiscoveryFailed
	if errors.As(err, &failed) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("asking for the resource of %s: %w", gk, clean(err))
	}
	return m, true, nil
}

// warnings collects the warnings of the API server.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeader(code int, _ string, text string) {
	if code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.texts, text) {
		w.texts = append(w.texts, text)
	}
}

func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

// orDefault is d, or fallback where d is zero.
func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}
