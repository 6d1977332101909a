package cluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/redkubes/otomi/pkg/manifest"
)

// List reads at most limit objects of the kind and version of o, in all namespaces, with one request, and says how many there
// are. A kind that the cluster does not serve has none.
func (c *Client) List(ctx context.Context, o manifest.Object, limit int) ([]map[string]any, int, error) {
	m, found, err := c.mapping(schema.GroupKind{Group: o.Group, Kind: o.Kind}, o.Version)
	if err != nil || !found {
		return nil, 0, err
	}
	list, err := c.dynamic.Resource(m.Resource).List(ctx, metav1.ListOptions{Limit: int64(limit)})
	if err != nil {
		return nil, 0, fmt.Errorf("listing the %s of the cluster: %w", m.Resource.Resource, listError(err))
	}
	items := make([]map[string]any, len(list.Items))
	for i := range list.Items {
		items[i] = list.Items[i].Object
	}
	total := len(items)
	if more := list.GetRemainingItemCount(); more != nil {
		total += int(*more)
	} else if list.GetContinue() != "" {
		total++
	}
	return items, total, nil
}
