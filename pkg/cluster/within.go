package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/redkubes/otomi/pkg/manifest"
)

// Within names the namespaces that a run is about, beside those named before: who may not list Secrets in all namespaces is asked
// for the release records of these alone.
func (c *Client) Within(namespaces []string) {
	c.withinMu.Lock()
	defer c.withinMu.Unlock()
	c.within = append(c.within, namespaces...)
	slices.Sort(c.within)
	c.within = slices.Compact(c.within)
}

// recordsWithin lists the records of the namespaces that the run is about. What is elsewhere is not known then, which the user is
// told.
func (c *Client) recordsWithin(ctx context.Context, forbidden error) ([]manifest.Record, error) {
	c.withinMu.Lock()
	namespaces := slices.Clone(c.within)
	c.withinMu.Unlock()
	if len(namespaces) == 0 || !apierrors.IsForbidden(forbidden) {
		return nil, fmt.Errorf("listing the release records of all namespaces: %w", listError(forbidden))
	}
	var all []manifest.Record
	for _, namespace := range namespaces {
		records, err := c.records(ctx, namespace, labels.Set{"owner": "helm"})
		if err != nil {
			return nil, fmt.Errorf("listing the release records of namespace %s: %w", namespace, listError(err))
		}
		all = append(all, records...)
	}
	c.warnings.HandleWarningHeader(299, "", fmt.Sprintf(
		"the user may not list Secrets in all namespaces; releases were looked for in %s alone, and those that left are not found elsewhere",
		strings.Join(namespaces, ", ")))
	return all, nil
}
