package diff

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

func read(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &out))
	return out
}

func TestMisfits(t *testing.T) {
	t.Parallel()
	spec := func(schema string) string {
		return `{"type":"object","properties":{"spec":` + schema + `}}`
	}
	for name, c := range map[string]struct{ schema, spec, want string }{
		"fits":                    {`{"type":"object","properties":{"a":{"type":"string"}}}`, `{"a":"x"}`, ""},
		"unknown field":           {`{"type":"object","properties":{"a":{"type":"string"}}}`, `{"a":"x","b":1}`, "spec.b would be dropped"},
		"unknown fields are kept": {`{"type":"object","x-kubernetes-preserve-unknown-fields":true}`, `{"b":1}`, ""},
		"a map":                   {`{"type":"object","additionalProperties":{"type":"string"}}`, `{"b":1}`, "spec.* would have to be of type string"},
		"another type":            {`{"type":"object","properties":{"a":{"type":"integer"}}}`, `{"a":"x"}`, "spec.a would have to be of type integer"},
		"an integer as a float":   {`{"type":"object","properties":{"a":{"type":"integer"}}}`, `{"a":3.0}`, ""},
		"new required":            {`{"type":"object","required":["c"]}`, `{}`, "spec.c would be required"},
		"required with default":   {`{"type":"object","required":["c"],"properties":{"c":{"type":"string","default":"d"}}}`, `{}`, ""},
		"enum":                    {`{"type":"object","properties":{"a":{"type":"string","enum":["x"]}}}`, `{"a":"secret"}`, "spec.a would have a value that is not allowed any more"},
		"enum of numbers":         {`{"type":"object","properties":{"a":{"type":"integer","enum":[3]}}}`, `{"a":3}`, ""},
		"pattern":                 {`{"type":"object","properties":{"a":{"type":"string","pattern":"^x$"}}}`, `{"a":"y"}`, "spec.a would not match the pattern"},
		"length in characters":    {`{"type":"object","properties":{"a":{"type":"string","maxLength":2}}}`, `{"a":"éé"}`, ""},
		"too long":                {`{"type":"object","properties":{"a":{"type":"string","maxLength":2}}}`, `{"a":"abc"}`, "spec.a would have to have 2 characters or less"},
		"least":                   {`{"type":"object","properties":{"a":{"type":"integer","minimum":2}}}`, `{"a":1}`, "spec.a would be below the least 2"},
		"excluded most":           {`{"type":"object","properties":{"a":{"type":"integer","maximum":2,"exclusiveMaximum":true}}}`, `{"a":2}`, "spec.a would be above the most 2"},
		"in a list":               {`{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{}}}}}`, `{"a":[{"b":1}]}`, "spec.a[].b would be dropped"},
		"too many items":          {`{"type":"object","properties":{"a":{"type":"array","maxItems":1}}}`, `{"a":[1,2]}`, "spec.a would have to have 1 items or less"},
		"int or string":           {`{"type":"object","properties":{"a":{"x-kubernetes-int-or-string":true}}}`, `{"a":"80%"}`, ""},
		"null":                    {`{"type":"object","properties":{"a":{"type":"integer"}}}`, `{"a":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			object := read(t, `{"apiVersion":"e/v1","kind":"K","metadata":{"name":"n"},"spec":`+c.spec+`}`)
			got := misfits(read(t, spec(c.schema)), object)
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Equal(t, []string{c.want}, got)
		})
	}
}

func TestWhatFitsNeitherSchemaIsNoNarrowing(t *testing.T) {
	t.Parallel()
	object := read(t, `{"metadata":{"name":"n"},"spec":{"old":1}}`)
	schema := read(t, `{"type":"object","properties":{"spec":{"type":"object","properties":{}}}}`)
	require.Empty(t, unfitting([]map[string]any{object}, 1, schema, schema))
	open := read(t, `{"type":"object","properties":{"spec":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`)
	require.Equal(t, "1 of the first 1 of 900 objects of the kind would not fit its new schema (n): spec.old would be dropped",
		unfitting([]map[string]any{object}, 900, open, schema))
}

// population is a Live that only lists.
type population struct {
	Live
	items []map[string]any
	asked []string
}

func (p *population) List(_ context.Context, o manifest.Object, _ int) ([]map[string]any, int, error) {
	p.asked = append(p.asked, o.APIVersion()+" "+o.Kind)
	return p.items, len(p.items), nil
}

func TestDefinitionIsJudgedByTheObjectsThatAreThere(t *testing.T) {
	t.Parallel()
	crd := func(scope, versions string) map[string]any {
		return read(t, `{"spec":{"group":"e.com","scope":"`+scope+`","names":{"kind":"W"},"versions":[`+versions+`]}}`)
	}
	version := func(name string, served, storage bool, schema string) string {
		text, err := json.Marshal(map[string]any{"name": name, "served": served, "storage": storage,
			"schema": map[string]any{"openAPIV3Schema": read(t, schema)}})
		require.NoError(t, err)
		return string(text)
	}
	const open, closed = `{"type":"object","x-kubernetes-preserve-unknown-fields":true}`, `{"type":"object","properties":{}}`
	mine := []map[string]any{read(t, `{"metadata":{"name":"a","namespace":"b"},"spec":{}}`)}
	both := version("v1", true, true, open) + "," + version("v2", true, false, open)
	for name, c := range map[string]struct {
		before, after map[string]any
		items         []map[string]any
		action        Action
		allow         bool
		asked         []string
		refused       string
		reason        string
		invalid       string
	}{
		"equal": {before: crd("Namespaced", both), after: crd("Namespaced", both), items: mine, action: Update},
		"wider": {
			before: crd("Namespaced", version("v1", true, true, closed)), after: crd("Namespaced", version("v1", true, true, open)),
			items: mine, action: Update, asked: []string{"e.com/v1 W"},
		},
		"a version goes, without objects": {
			before: crd("Namespaced", both), after: crd("Namespaced", version("v1", true, true, open)), action: Update,
			asked: []string{"e.com/v1 W"}, reason: "it no longer serves v2; no object of the kind is there",
		},
		"a version goes, with objects": {
			before: crd("Namespaced", both), after: crd("Namespaced", version("v1", true, true, open)), items: mine, action: Update,
			asked:   []string{"e.com/v1 W"},
			invalid: "it no longer serves v2, and 1 object is of kind W there. Change or delete those objects first, or go on all the same: --allow-crd-downgrade",
		},
		"allowed": {
			before: crd("Namespaced", both), after: crd("Namespaced", version("v1", true, true, open)), items: mine, action: Update,
			allow: true, asked: []string{"e.com/v1 W"}, reason: "it no longer serves v2, and 1 object is of kind W there",
		},
		"narrower": {
			before: crd("Namespaced", version("v1", true, true, open)), after: crd("Namespaced", version("v1", true, true, closed)),
			items: mine, action: Update, asked: []string{"e.com/v1 W"},
			invalid: "1 of 1 objects of the kind would not fit its new schema (b/a): spec would be dropped. Change or delete those objects first, or go on all the same: --allow-crd-downgrade",
		},
		"refused by the cluster": {
			before: crd("Namespaced", both), after: crd("Cluster", both), items: mine, action: Update, refused: "immutable",
			asked:   []string{"e.com/v1 W"},
			invalid: "immutable. its scope changes from Namespaced to Cluster, and 1 object is of kind W there. Nothing but deleting the definition, and every object with it, would allow that: change the chart back, or do that by hand",
		},
		"refused by the cluster, without objects": {
			before: crd("Namespaced", both), after: crd("Cluster", both), action: Update, refused: "immutable", asked: []string{"e.com/v1 W"},
			invalid: "immutable. No object of the kind is there: delete the definition by hand, and apply again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			live := &population{items: c.items}
			cmp := &comparison{live: live, o: Options{CRDDowngrade: c.allow}}
			change := Change{ID: manifest.ID{Kind: "CustomResourceDefinition"}, Action: c.action, Invalid: c.refused}
			require.NoError(t, cmp.judgeDefinition(context.Background(), c.before, c.after, &change))
			require.Equal(t, c.asked, live.asked)
			require.Equal(t, c.reason, change.Reason)
			require.Equal(t, c.invalid, change.Invalid)
		})
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	change := func(kind string, action Action) Change {
		return Change{ID: manifest.ID{Kind: kind, Name: "n"}, Action: action}
	}
	job := change("Job", Replace)
	job.Group = "batch"
	invalid := change("ConfigMap", Delete)
	invalid.Invalid = "no"
	plan := func(changes ...Change) Plan { return Plan{Levels: []Level{{Releases: []Release{{Objects: changes}}}}} }
	for name, c := range map[string]struct {
		budget   Budget
		changes  []Change
		n        int
		over     bool
		precious int
	}{
		"within":            {Budget{Objects: 2}, []Change{change("ConfigMap", Delete), change("Service", Replace), change("Pod", Update)}, 2, false, 0},
		"over":              {Budget{Objects: 1}, []Change{change("ConfigMap", Delete), change("Service", Replace)}, 2, true, 0},
		"any number":        {Budget{Objects: -1}, []Change{change("ConfigMap", Delete)}, 1, false, 0},
		"jobs do not count": {Budget{}, []Change{job}, 0, false, 0},
		"invalid":           {Budget{}, []Change{invalid}, 0, false, 0},
		"precious":          {Budget{Objects: 9}, []Change{change("Namespace", Delete), change("PersistentVolume", Replace)}, 2, false, 2},
		"allowed":           {Budget{Objects: 9, Kinds: []string{"Namespaces"}}, []Change{change("Namespace", Delete), change("PersistentVolume", Delete)}, 2, false, 1},
		"short":             {Budget{Objects: 9, Kinds: []string{"crds", "PVC"}}, []Change{change("CustomResourceDefinition", Delete), change("PersistentVolumeClaim", Delete)}, 2, false, 0},
		"all kinds":         {Budget{Objects: 9, Kinds: []string{"*"}}, []Change{change("Namespace", Delete)}, 1, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loss := c.budget.Lost(plan(c.changes...))
			require.Len(t, loss.Deletions, c.n)
			require.Equal(t, c.over, loss.Over)
			require.Len(t, loss.Precious, c.precious)
			require.Equal(t, c.over || c.precious > 0, loss.Any())
		})
	}
	word, ok := Budget{Kinds: []string{"pvc", "configmap"}}.Check()
	require.False(t, ok)
	require.Equal(t, "configmap", word)
}
