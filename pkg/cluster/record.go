package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/redkubes/otomi/pkg/manifest"
)

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// Records lists every revision of every release of the cluster from the labels of the records, with one request for their
// metadata. A record whose labels say nothing sensible is left out, as Helm leaves it out. Who may not do so is asked for the
// records of the namespaces of Within.
func (c *Client) Records(ctx context.Context) ([]manifest.Record, error) {
	records, err := c.records(ctx, "", labels.Set{"owner": "helm"})
	if err != nil {
		return c.recordsWithin(ctx, err)
	}
	return records, nil
}

// Revisions lists the revisions of one release, the oldest first.
func (c *Client) Revisions(ctx context.Context, namespace, name string) ([]manifest.Record, error) {
	records, err := c.records(ctx, namespace, labels.Set{"owner": "helm", "name": name})
	if err != nil {
		return nil, fmt.Errorf("listing the records of release %s: %w", manifest.Key(namespace, name), listError(err))
	}
	return records, nil
}

// records lists records by their labels, sorted by release and revision. The error is the API server's own.
func (c *Client) records(ctx context.Context, namespace string, selector labels.Set) ([]manifest.Record, error) {
	list, err := c.metadata.Resource(secrets).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	records := make([]manifest.Record, 0, len(list.Items))
	for _, item := range list.Items {
		revision, err := strconv.Atoi(item.Labels["version"])
		if err != nil || item.Labels["name"] == "" {
			continue
		}
		records = append(records, manifest.Record{
			Name:      item.Labels["name"],
			Namespace: item.Namespace,
			Revision:  revision,
			Status:    manifest.Status(item.Labels["status"]),
			Labels:    ownLabels(item.Labels),
			Modified:  modified(item.Labels, item.CreationTimestamp.Time),
			Seen:      item.ResourceVersion,
		})
	}
	slices.SortFunc(records, func(a, b manifest.Record) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Revision, b.Revision))
	})
	return records, nil
}

// modified is the time of the last write, as Helm's labels have it in seconds.
func modified(l map[string]string, created time.Time) time.Time {
	for _, key := range []string{"modifiedAt", "createdAt"} {
		if s, err := strconv.ParseInt(l[key], 10, 64); err == nil {
			return time.Unix(s, 0)
		}
	}
	return created
}

// ownLabels are the labels that are not Helm's own.
func ownLabels(all map[string]string) map[string]string {
	own := maps.Clone(all)
	for _, system := range driver.GetSystemLabels() {
		delete(own, system)
	}
	return own
}

// Stored reads one revision of a release.
func (c *Client) Stored(ctx context.Context, namespace, name string, revision int) (manifest.Stored, error) {
	doing := func(err error) error {
		return fmt.Errorf("reading revision %d of release %s: %w", revision, manifest.Key(namespace, name), err)
	}
	// Query and not Get, which panics on a record that can't be decoded.
	bound := &boundSecrets{SecretInterface: c.core.Secrets(namespace), ctx: ctx}
	found, err := driver.NewSecrets(bound).Query(map[string]string{
		"owner": "helm", "name": name, "version": strconv.Itoa(revision),
	})
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return manifest.Stored{}, doing(errors.New("it is not there any more"))
	}
	if err != nil {
		return manifest.Stored{}, doing(listError(err))
	}
	if len(found) != 1 {
		return manifest.Stored{}, doing(errors.New("the record can't be decoded"))
	}
	stored, err := fromHelm(found[0])
	if err != nil {
		return manifest.Stored{}, doing(err)
	}
	stored.Seen = bound.seen
	return stored, nil
}

// CreateRecord makes the record of a new revision. It fails where the revision is there already: creating is the lock.
func (c *Client) CreateRecord(ctx context.Context, s manifest.Stored) error {
	rel, err := toHelm(s)
	if err == nil {
		bound := &boundSecrets{SecretInterface: c.core.Secrets(s.Namespace), ctx: ctx}
		err = driver.NewSecrets(bound).Create(recordName(s.Name, s.Revision), rel)
	}
	if errors.Is(err, driver.ErrReleaseExists) {
		return fmt.Errorf("revision %d of release %s is there already: someone else works on the release", s.Revision, s.Key())
	}
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("creating the record of release %s: its namespace is not there: set createNamespace on the release, or make it in an earlier runlevel", s.Key())
	}
	if large := new(tooLargeError); errors.As(err, large) {
		return tooLarge(s, int(*large))
	}
	if err != nil {
		return fmt.Errorf("creating the record of release %s, revision %d: %w", s.Key(), s.Revision, recordError(s, err))
	}
	return nil
}

// UpdateRecord writes the record of a revision anew. The error is a *manifest.Refusal where the API server declined.
func (c *Client) UpdateRecord(ctx context.Context, s manifest.Stored) error {
	rel, err := toHelm(s)
	if err == nil {
		bound := &boundSecrets{SecretInterface: c.core.Secrets(s.Namespace), ctx: ctx, seen: s.Seen}
		err = driver.NewSecrets(bound).Update(recordName(s.Name, s.Revision), rel)
	}
	if large := new(tooLargeError); errors.As(err, large) {
		return tooLarge(s, int(*large))
	}
	if err != nil {
		return fmt.Errorf("updating the record of release %s, revision %d: %w", s.Key(), s.Revision, recordError(s, err))
	}
	return nil
}

// DeleteRecord removes the record of a revision; one that is not there is fine.
func (c *Client) DeleteRecord(ctx context.Context, namespace, name string, revision int) error {
	err := c.core.Secrets(namespace).Delete(ctx, recordName(name, revision), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting the record of release %s, revision %d: %w", manifest.Key(namespace, name), revision, secretError(err))
	}
	return nil
}

// recordName is the name of the Secret of a revision (helm.sh/helm/v3/pkg/storage.makeKey).
func recordName(name string, revision int) string {
	return fmt.Sprintf("sh.helm.release.v1.%s.v%d", name, revision)
}

// boundSecrets is the Secrets of a namespace for one call of Helm's driver. It puts the caller's context in place of the
// background context that the driver passes, and keeps the resource version, of which the driver knows nothing.
type boundSecrets struct {
	corev1.SecretInterface
	ctx  context.Context
	seen string
}

func (b *boundSecrets) Get(_ context.Context, name string, o metav1.GetOptions) (*v1.Secret, error) {
	return b.SecretInterface.Get(b.ctx, name, o)
}

func (b *boundSecrets) List(_ context.Context, o metav1.ListOptions) (*v1.SecretList, error) {
	list, err := b.SecretInterface.List(b.ctx, o)
	if err == nil && len(list.Items) == 1 {
		b.seen = list.Items[0].ResourceVersion
	}
	return list, err
}

func (b *boundSecrets) Create(_ context.Context, s *v1.Secret, o metav1.CreateOptions) (*v1.Secret, error) {
	if size := sizeOf(s); size > maxRecord {
		return nil, tooLargeError(size)
	}
	return b.SecretInterface.Create(b.ctx, s, o)
}

func (b *boundSecrets) Update(_ context.Context, s *v1.Secret, o metav1.UpdateOptions) (*v1.Secret, error) {
	s.ResourceVersion = b.seen
	if size := sizeOf(s); size > maxRecord {
		return nil, tooLargeError(size)
	}
	return b.SecretInterface.Update(b.ctx, s, o)
}

// toHelm makes Helm's release of a stored one. Of the chart it keeps what `helm list`, `get` and `upgrade --reuse-values`
// need: metadata and default values.
func toHelm(s manifest.Stored) (*release.Release, error) {
	metadata := &chart.Metadata{}
	if len(s.Chart.Metadata) > 0 {
		if err := json.Unmarshal(s.Chart.Metadata, metadata); err != nil {
			return nil, fmt.Errorf("reading the chart's metadata: %w", err)
		}
	} else {
		metadata.Name, metadata.Version = s.Chart.Name, s.Chart.Version
	}
	hooks := make([]*release.Hook, 0, len(s.Hooks))
	for i, h := range s.Hooks {
		hook := &release.Hook{Name: h.Name, Kind: h.Kind, Path: h.Source, Manifest: h.Text, Weight: h.Weight}
		for _, e := range h.Events {
			hook.Events = append(hook.Events, release.HookEvent(e))
		}
		for _, p := range h.DeletePolicies {
			hook.DeletePolicies = append(hook.DeletePolicies, release.HookDeletePolicy(p))
		}
		for _, p := range h.LogPolicies() {
			hook.OutputLogPolicies = append(hook.OutputLogPolicies, release.HookOutputLogPolicy(p))
		}
		if run, ok := s.Runs[i]; ok {
			hook.LastRun = release.HookExecution{
				StartedAt:   helmtime.Time{Time: run.Started},
				CompletedAt: helmtime.Time{Time: run.Completed},
				Phase:       release.HookPhase(run.Phase),
			}
		}
		hooks = append(hooks, hook)
	}
	return &release.Release{
		Name:      s.Name,
		Namespace: s.Namespace,
		Version:   s.Revision,
		Info: &release.Info{
			FirstDeployed: helmtime.Time{Time: s.FirstDeployed},
			LastDeployed:  helmtime.Time{Time: s.LastDeployed},
			Status:        release.Status(s.Status),
			Description:   s.Description,
			Notes:         s.Notes,
		},
		Chart:    &chart.Chart{Metadata: metadata, Values: s.Chart.Values},
		Config:   s.Values,
		Manifest: s.Text,
		Hooks:    hooks,
		Labels:   s.Labels,
	}, nil
}

// fromHelm reads a release that Helm or otomi stored. Documents of its manifest that are no objects are passed over.
func fromHelm(r *release.Release) (manifest.Stored, error) {
	s := manifest.Stored{
		Release: manifest.Release{
			Name:      r.Name,
			Namespace: r.Namespace,
			Revision:  r.Version,
			Values:    r.Config,
			Text:      r.Manifest,
			Objects:   documents(r.Manifest),
		},
		Labels: ownLabels(r.Labels),
		Runs:   map[int]manifest.HookRun{},
	}
	if r.Info != nil {
		s.Status = manifest.Status(r.Info.Status)
		s.Description = r.Info.Description
		s.FirstDeployed = r.Info.FirstDeployed.Time
		s.LastDeployed = r.Info.LastDeployed.Time
		s.Notes = r.Info.Notes
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		metadata, err := json.Marshal(r.Chart.Metadata)
		if err != nil {
			return manifest.Stored{}, fmt.Errorf("reading the chart's metadata: %w", err)
		}
		s.Chart = manifest.Chart{
			Name:     r.Chart.Metadata.Name,
			Version:  r.Chart.Metadata.Version,
			Metadata: metadata,
			Values:   r.Chart.Values,
		}
	}
	for _, h := range r.Hooks {
		hook := manifest.Hook{Weight: h.Weight}
		if o, err := document(h.Manifest, h.Path); err == nil {
			hook.Object = o
		} else {
			// Kept for the record's sake; without a version it can't be run.
			hook.Object = manifest.Object{ID: manifest.ID{Kind: h.Kind, Name: h.Name}, Source: h.Path, Text: h.Manifest}
		}
		for _, e := range h.Events {
			hook.Events = append(hook.Events, manifest.Event(e))
		}
		for _, p := range h.DeletePolicies {
			hook.DeletePolicies = append(hook.DeletePolicies, manifest.DeletePolicy(p))
		}
		if h.LastRun.Phase != "" {
			s.Runs[len(s.Hooks)] = manifest.HookRun{
				Started: h.LastRun.StartedAt.Time, Completed: h.LastRun.CompletedAt.Time, Phase: string(h.LastRun.Phase),
			}
		}
		s.Hooks = append(s.Hooks, hook)
	}
	return s, nil
}

// documents reads the objects of a manifest in its order.
func documents(text string) []manifest.Object {
	split := releaseutil.SplitManifests(text)
	keys := slices.Collect(maps.Keys(split))
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var objects []manifest.Object
	for _, key := range keys {
		doc := split[key]
		source := ""
		if rest, ok := strings.CutPrefix(doc, "# Source: "); ok {
			source, _, _ = strings.Cut(rest, "\n")
		}
		if o, err := document(doc, strings.TrimSpace(source)); err == nil {
			objects = append(objects, o)
		}
	}
	return objects
}

// document reads one object.
func document(text, source string) (manifest.Object, error) {
	raw, err := utilyaml.ToJSON([]byte(text))
	if err != nil {
		return manifest.Object{}, err
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		return manifest.Object{}, err
	}
	return manifest.New(data, text, source)
}
