package cluster

import (
	"context"
	"fmt"
	"maps"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Identity says whose cluster a cluster is.
type Identity struct {
	// Cluster is its name in the registry, CLOUD/NAME; empty where nothing was recorded.
	Cluster string
	// Inventory is the id under which the releases of its values repository are recorded.
	Inventory string
}

// The keys of the ConfigMap that holds an Identity.
const (
	clusterKey   = "cluster"
	inventoryKey = "inventory"
)

// Identity reads whose cluster this is, from a namespace, empty meaning SystemNamespace. It is the zero Identity where nothing
// was recorded. The error is a *manifest.Refusal where the user may not read it.
func (c *Client) Identity(ctx context.Context, namespace string) (Identity, error) {
	id, namespace := identityID(namespace)
	live, err := c.core.ConfigMaps(namespace).Get(ctx, leaseName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, refused("reading whose cluster this is from", id, err)
	}
	return Identity{Cluster: live.Data[clusterKey], Inventory: live.Data[inventoryKey]}, nil
}

// Identify records whose cluster this is, where it was not said so yet. One that was recorded as another cluster stays that, and is
// returned, unless adopt. The namespace is there: the lease is in it.
func (c *Client) Identify(ctx context.Context, namespace string, is Identity, adopt bool) (Identity, error) {
	id, namespace := identityID(namespace)
	data := map[string]string{clusterKey: is.Cluster}
	if is.Inventory != "" {
		data[inventoryKey] = is.Inventory
	}
	client := c.core.ConfigMaps(namespace)
	for try := 1; ; try++ {
		live, err := client.Get(ctx, leaseName, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			_, err = client.Create(ctx, &v1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: leaseName}, Data: data,
			}, metav1.CreateOptions{FieldManager: FieldManager})
			if apierrors.IsAlreadyExists(err) {
				continue
			}
		case err == nil && is.Inventory == "" && live.Data[clusterKey] == is.Cluster, err == nil && maps.Equal(live.Data, data):
			return is, nil
		case err == nil && !adopt && live.Data[clusterKey] != "" && live.Data[clusterKey] != is.Cluster:
			return Identity{Cluster: live.Data[clusterKey], Inventory: live.Data[inventoryKey]}, nil
		case err == nil:
			live.Data = data
			_, err = client.Update(ctx, live, metav1.UpdateOptions{FieldManager: FieldManager})
			if apierrors.IsConflict(err) {
				continue
			}
		}
		if err != nil && fault(err) && try < attempts && pause(ctx, backoff(try)) == nil {
			continue
		}
		if err != nil {
			return Identity{}, fmt.Errorf("recording whose cluster this is: %w", refused("writing", id, err))
		}
		return is, nil
	}
}

func identityID(namespace string) (manifest.ID, string) {
	if namespace == "" {
		namespace = SystemNamespace
	}
	return manifest.ID{Kind: "ConfigMap", Namespace: namespace, Name: leaseName}, namespace
}
