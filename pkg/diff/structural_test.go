package diff

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/kubernetes"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/openapi"
	"github.com/redkubes/otomi/pkg/yaml"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := yaml.Decode([]byte(text))
	require.NoError(t, err)
	return v.(map[string]any)
}

func checker(t *testing.T) *openapi.Checker {
	t.Helper()
	library, err := openapi.NewLibrary(kubernetes.FS)
	require.NoError(t, err)
	c, _, err := library.Checker("1.36", nil)
	require.NoError(t, err)
	return c
}

const pod = `
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: web
        image: a
        args: [x, w]
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
      - name: side
        image: s
`

func TestFieldsOfListsAreComparedByTheirKeys(t *testing.T) {
	t.Parallel()
	shape := checker(t).Shape("apps", "v1", "Deployment")
	for name, test := range map[string]struct {
		before, after string
		want          []string
	}{
		"nothing": {pod, pod, nil},
		"a reordered list with one changed variable": {pod, `
spec:
  replicas: 2
  template:
    spec:
      containers:
      - name: side
        image: s
      - name: web
        image: a
        args: [x, w]
        env:
        - {name: B, value: "3"}
        - {name: A, value: "1"}
`, []string{`change spec.template.spec.containers[name=web].env[name=B].value 2 3`}},
		"what comes and goes": {pod, `
spec:
  replicas: 3
  template:
    metadata: {annotations: {a.b/c: d}}
    spec:
      containers:
      - name: web
        image: b
        args: [x, z, w]
        env: [{name: A, value: "1"}]
`, []string{
			`change spec.replicas 2 3`,
			`create spec.template.metadata <nil> map[annotations:map[a.b/c:d]]`,
			`delete spec.template.spec.containers[name=side] map[image:s name:side] <nil>`,
			`change spec.template.spec.containers[name=web].args[1] w z`,
			`create spec.template.spec.containers[name=web].args[2] <nil> w`,
			`delete spec.template.spec.containers[name=web].env[name=B] map[name:B value:2] <nil>`,
			`change spec.template.spec.containers[name=web].image a b`,
		}},
		"two items of one name are told apart by their places": {
			`{spec: {template: {spec: {containers: [{name: a, image: x}, {name: a, image: w}]}}}}`,
			`{spec: {template: {spec: {containers: [{name: a, image: x}, {name: a, image: z}]}}}}`,
			[]string{`change spec.template.spec.containers[1].image w z`},
		},
		"ports have two keys, of which one may be absent": {
			`{spec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 80}, {containerPort: 80, protocol: UDP, name: q}]}]}}}}`,
			`{spec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 80, protocol: UDP, name: r}, {containerPort: 80}]}]}}}}`,
			[]string{`change spec.template.spec.containers[name=a].ports[containerPort=80,protocol=UDP].name q r`},
		},
		"a set has no order": {
			`{metadata: {finalizers: [a, b]}}`, `{metadata: {finalizers: [b, c]}}`,
			[]string{`delete metadata.finalizers[=a] a <nil>`, `create metadata.finalizers[=c] <nil> c`},
		},
		"a key with dots": {
			`{metadata: {annotations: {a.b/c: "1"}}}`, `{metadata: {annotations: {a.b/c: "2"}}}`, []string{`change metadata.annotations.a\.b/c 1 2`},
		},
		"a kind that changes": {`{spec: {a: [1]}}`, `{spec: {a: {b: 1}}}`, []string{`change spec.a [1] map[b:1]`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range Fields(object(t, test.before), object(t, test.after), shape) {
				got = append(got, string(f.Action)+" "+f.Path+" "+fmt.Sprint(f.Before)+" "+fmt.Sprint(f.After))
			}
			require.ElementsMatch(t, test.want, got)
		})
	}
}

func TestOnlyTheOrderOfNamedItemsDiffersAndThatIsSaid(t *testing.T) {
	t.Parallel()
	c := checker(t)
	change := Change{
		ID: manifest.ID{Group: "apps", Kind: "Deployment", Name: "x"}, Version: "v1", Action: Update,
		Before: object(t, `{spec: {template: {spec: {containers: [{name: a}, {name: b}]}}}}`),
		After:  object(t, `{spec: {template: {spec: {containers: [{name: b}, {name: a}]}}}}`),
	}
	got := detailed(change, func(id manifest.ID, version string) openapi.Shape { return c.Shape(id.Group, version, id.Kind) })
	require.Empty(t, got.Fields)
	require.Equal(t, got.After, got.Before)
	require.Contains(t, got.Reason, "order")
	require.NotEmpty(t, detailed(change, nil).Fields, "without a schema an item is what stands at its place")
}

func TestPlacesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"spec.replicas", `metadata.annotations.a\.b/c`, "spec.containers[name=web].image", "spec.ports[port=80,protocol=TCP].name",
		"metadata.finalizers[=a.b/c]", "a[0][1].b", "a[*].b", `a[name=x\]\,\=y].b`, `a\[0].b`,
	} {
		places, err := parsePlaces(text)
		require.NoError(t, err, text)
		require.Len(t, places, 1, text)
		require.Equal(t, text, places[0].String())
	}
	places, err := parsePlaces("spec.replicas, a[name=x,y=z].b,c")
	require.NoError(t, err)
	require.Equal(t, []string{"spec.replicas", "a[name=x,y=z].b", "c"}, pathsOf(places))
	for _, text := range []string{"", ",", "a..b", ".a", "a.", "a[", "a[x]", "a[-1]", "a[0]b", `a\`, "a,,b", "a[999999999]"} {
		_, err := parsePlaces(text)
		require.Error(t, err, text)
	}
}

func TestIgnoreRulesNameObjects(t *testing.T) {
	t.Parallel()
	web := manifest.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	for rule, want := range map[string]bool{
		"Deployment/web:spec.replicas": true, "deployment.apps/web:spec.replicas": true, "Deployment/shop/web:spec.replicas": true,
		"Deployment/w*:spec.replicas": true, "*/*:spec.replicas": true, "Deployment.extensions/web:a": false, "Deployment/api:a": false,
		"Deployment/other/web:a": false, "StatefulSet/web:a": false, "Deployment/web:spec.c[name=a:b].d": true,
	} {
		r, err := ParseIgnore(rule)
		require.NoError(t, err, rule)
		require.Equal(t, want, r.covers(web), rule)
	}
	colon := manifest.ID{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "system:x"}
	r, err := ParseIgnore("ClusterRole/system:x:rules")
	require.NoError(t, err)
	require.True(t, r.covers(colon))
	for _, rule := range []string{"", "Deployment", "Deployment:spec", "Deployment/web", "Deployment/web:", "a/b/c/d:e", "/web:a", "A/[:b"} {
		_, err := ParseIgnore(rule)
		require.Error(t, err, rule)
	}
}

func TestAnIgnoredFieldIsSentOnlyWhereItIsOursAndAsItIs(t *testing.T) {
	t.Parallel()
	wanted := `
metadata: {name: web, annotations: {x: "1", y: "1"}}
spec: {replicas: 2, template: {spec: {containers: [{name: web, image: a}]}}}`
	fields := func(manager, subresource, set string) string {
		return `{manager: ` + manager + `, operation: Apply, subresource: "` + subresource + `", fieldsV1: ` + set + `}`
	}
	live := func(entries string) map[string]any {
		return object(t, `
metadata: {name: web, annotations: {x: "9", y: "9", z: "9"}, managedFields: [`+entries+`]}
spec: {replicas: 5, template: {spec: {containers: [{name: side, image: s}, {name: web, image: b}]}}}`)
	}
	image := `"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}`
	for name, test := range map[string]struct {
		paths []string
		live  map[string]any
		want  string
	}{
		"another one's is left out": {
			[]string{"spec.replicas"}, live(fields("kube-controller-manager", "scale", `{"f:spec": {"f:replicas": {}}}`)),
			`{metadata: {name: web, annotations: {x: "1", y: "1"}}, spec: {template: {spec: {containers: [{name: web, image: a}]}}}}`,
		},
		"ours stays as it is, or it would go": {
			[]string{"spec.replicas"}, live(fields("otomi", "", `{"f:spec": {"f:replicas": {}}}`)),
			`{metadata: {name: web, annotations: {x: "1", y: "1"}}, spec: {replicas: 5, template: {spec: {containers: [{name: web, image: a}]}}}}`,
		},
		"helm's becomes ours": {
			[]string{"spec.replicas"}, live(fields("helm", "", `{"f:spec": {"f:replicas": {}}}`)),
			`{metadata: {name: web, annotations: {x: "1", y: "1"}}, spec: {replicas: 5, template: {spec: {containers: [{name: web, image: a}]}}}}`,
		},
		"an item by its name": {
			[]string{"spec.template.spec.containers[name=web].image"}, live(fields("otomi", "", `{"f:spec": {`+image+`}}`)),
			`{metadata: {name: web, annotations: {x: "1", y: "1"}}, spec: {replicas: 2, template: {spec: {containers: [{name: web, image: b}]}}}}`,
		},
		"every item, of another one": {
			[]string{"spec.template.spec.containers[*].image"}, live(fields("kubectl-set", "", `{"f:spec": {`+image+`}}`)),
			`{metadata: {name: web, annotations: {x: "1", y: "1"}}, spec: {replicas: 2, template: {spec: {containers: [{name: web}]}}}}`,
		},
		"a map of which a part is ours": {
			[]string{"metadata.annotations"}, live(fields("otomi", "", `{"f:metadata": {"f:annotations": {".": {}, "f:x": {}}}}`)),
			`{metadata: {name: web, annotations: {x: "9"}}, spec: {replicas: 2, template: {spec: {containers: [{name: web, image: a}]}}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := object(t, wanted)
			require.Equal(t, object(t, test.want), Unforced(before, test.live, test.paths))
			require.Equal(t, object(t, wanted), before, "the input stays as it is")
		})
	}
}

func TestADifferenceSaysWhoOwnsTheFieldNow(t *testing.T) {
	t.Parallel()
	live := object(t, `
metadata:
  name: web
  managedFields:
  - {manager: otomi, operation: Apply, time: "2026-11-20T10:00:00Z", fieldsV1: {"f:data": {"f:same": {}}}}
  - {manager: kubectl-edit, operation: Update, time: "2026-11-20T11:00:00Z", fieldsV1: {"f:data": {"f:colour": {}, "f:extra": {}}}}
data: {same: a, colour: blue, extra: b}`)
	recorded := object(t, `{data: {same: a, colour: red, gone: x}}`)
	fields := Fields(live, object(t, `{metadata: {name: web}, data: {same: a, colour: red, extra: c, gone: x, new: w}}`), openapi.Shape{})
	attributed(fields, live, recorded)
	got := map[string]Field{}
	for _, f := range fields {
		got[f.Path] = f
	}
	require.Equal(t, "kubectl-edit", got["data.colour"].By)
	require.Equal(t, "2026-11-20T11:00:00Z", got["data.colour"].At)
	require.True(t, got["data.colour"].Drift)
	require.Equal(t, "kubectl-edit", got["data.extra"].By)
	require.False(t, got["data.extra"].Drift, "it was not in the last apply")
	require.Equal(t, "kubectl-edit", got["data.gone"].By, "who wrote after us took it away")
	require.True(t, got["data.gone"].Drift)
	require.Empty(t, got["data.new"].By, "it is new")
}

func TestClustersThatChangeAlikeAreFolded(t *testing.T) {
	t.Parallel()
	release := func(name, text string) Evaluated {
		o, err := manifest.New(object(t, text), text, "c/templates/x.yaml")
		require.NoError(t, err)
		return Evaluated{Level: "10-apps", Release: manifest.Release{Name: name, Namespace: "apps", Objects: []manifest.Object{o}}}
	}
	config := func(cluster, colour string) string {
		return `{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {cluster: ` + cluster + `, colour: ` + colour + `}}`
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}} {
		var f Fold
		for _, i := range order {
			id := []string{"a/0", "a/1", "a/2", "a/3"}[i]
			before := []Evaluated{release("one", config(id, "red")), release("two", config(id, "red"))}
			after := []Evaluated{release("one", config(id, "blue")), release("two", config(id, "red"))}
			switch i {
			case 2:
				after[1] = release("two", config(id, "green"))
			case 3:
				after = before
			}
			f.Add(i, Revisions(id, before, after, Options{}))
		}
		all, same := f.Clusters()
		require.Equal(t, 4, all)
		require.Equal(t, []string{"a/3"}, same)
		blocks := f.Blocks()
		require.Len(t, blocks, 2)
		require.Equal(t, []string{"a/0", "a/1", "a/2"}, blocks[0].Clusters)
		require.Equal(t, "one", blocks[0].Plan.Levels[0].Releases[0].Name)
		require.Equal(t, "a/0", blocks[0].Plan.Levels[0].Releases[0].Objects[0].Before["data"].(map[string]any)["cluster"], "of the first, in any order")
		require.Equal(t, []string{"a/2"}, blocks[1].Clusters)
		require.Equal(t, "two", blocks[1].Plan.Levels[0].Releases[0].Name)
	}
}
