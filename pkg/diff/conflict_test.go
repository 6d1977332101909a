package diff

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatADryRunTookIsFoundInTheManagedFields(t *testing.T) {
	t.Parallel()
	object := func(entries string) map[string]any {
		return read(t, `{"metadata":{"managedFields":[`+entries+`]}}`)
	}
	entry := func(manager, operation, subresource, fields string) string {
		return `{"manager":"` + manager + `","operation":"` + operation + `","apiVersion":"v1","subresource":"` + subresource + `","fieldsV1":` + fields + `}`
	}
	const replicas, image = `{"f:spec":{"f:replicas":{}}}`, `{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}}}}}`
	ours := entry("otomi", "Apply", "", `{}`)
	for name, c := range map[string]struct {
		before, after string
		want          []Conflict
	}{
		"nothing":                      {ours, ours, nil},
		"ours":                         {entry("otomi", "Apply", "", replicas), ours, nil},
		"helm's":                       {ours + "," + entry("helm", "Update", "", replicas), ours, nil},
		"kubectl's, before our first":  {entry("kubectl-client-side-apply", "Update", "", replicas), ours, nil},
		"kubectl's, after our first":   {ours + "," + entry("kubectl-client-side-apply", "Update", "", replicas), ours, []Conflict{{Manager: "kubectl-client-side-apply", Fields: []string{"spec.replicas"}}}},
		"a status":                     {ours + "," + entry("controller", "Update", "status", replicas), ours, nil},
		"an autoscaler's":              {ours + "," + entry("hpa", "Update", "scale", replicas), ours, []Conflict{{Manager: "hpa", Fields: []string{"spec.replicas"}}}},
		"shared":                       {ours + "," + entry("hpa", "Update", "", replicas), ours + "," + entry("hpa", "Update", "", replicas), nil},
		"in an item":                   {ours + "," + entry("edit", "Update", "", image), ours + "," + entry("edit", "Update", "", `{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:name":{}}}}}`), []Conflict{{Manager: "edit", Fields: []string{"spec.containers[name=app].image"}}}},
		"who owns it is no such field": {ours + "," + entry("edit", "Update", "", `{"f:metadata":{"f:labels":{"f:app.kubernetes.io/managed-by":{}}}}`), ours, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, places := taken(object(c.before), object(c.after))
			require.Equal(t, c.want, got)
			n := 0
			for _, conflict := range got {
				n += len(conflict.Fields)
			}
			require.Len(t, places, n)
		})
	}
	require.Equal(t, "ports[port=80].nodePort", placeOf([]string{"f:ports", `k:{"port":80,"protocol":"TCP"}`, "f:nodePort"}).String())
	require.Equal(t, "takes a, b from x", Conflict{Manager: "x", Policy: Take, Fields: []string{"a", "b"}}.String())
}
