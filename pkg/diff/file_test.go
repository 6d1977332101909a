package diff

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/manifest"
)

// filed is a plan of everything that a file has.
func filed() FilePlace {
	id := func(kind, name string) manifest.ID { return manifest.ID{Kind: kind, Namespace: "apps", Name: name} }
	release := Release{
		Name: "web", Namespace: "apps", Level: "10-apps", Chart: "web-1.2.0", Action: Upgrade, Reason: "its chart or values changed",
		Revision: 4, Digest: "wanted", Seen: "records", Record: Record{Revision: 3, Status: manifest.Deployed, Seen: "77"},
		Objects: []Change{
			{ID: id("ConfigMap", "changed"), Version: "v1", Action: Update, Seen: "5", UID: "a", Live: "one"},
			{ID: id("ConfigMap", "new"), Version: "v1", Action: Create, Seen: manifest.Absent, Unknown: "its namespace"},
			{ID: id("Job", "anew"), Version: "v1", Action: Replace, Seen: "6", UID: "b", Live: "two", Immutable: []string{"spec.template"}},
			{ID: id("ConfigMap", "old"), Version: "v1", Action: Delete, Seen: "7", UID: "c"},
		},
		Hooks: []Hook{{ID: id("Job", "migrate"), Events: []manifest.Event{manifest.PreUpgrade}, Weight: -5}},
	}
	release.Wanted.Chart.Digest = "abc"
	same := Release{Name: "same", Namespace: "apps", Level: "10-apps", Chart: "web-1.2.0", Action: Same, Seen: "records"}
	same.Wanted.Chart.Digest = "abc"
	return FilePlace{
		Server: "https://one", Recorded: "aws/demo", Inventory: "repo",
		Plan: Plan{Cluster: "aws/demo", Context: "demo", Levels: []Level{{Name: "10-apps", Releases: []Release{release, same}}}},
	}
}

func fileOf(t *testing.T, change func(*FilePlace, *FileOptions)) File {
	t.Helper()
	place := filed()
	o := FileOptions{
		Otomi: "1.2.3", Made: time.Unix(1_700_000_000, 0), Salt: bytes.Repeat([]byte{7}, 16), Iterations: 10, Commit: strings.Repeat("a", 40),
		Flags: []FileFlag{{Name: "cluster", Values: []string{"aws/demo"}}},
		Inputs: []FileText{
			{Name: "env/teams.yaml", Of: OfValues, Text: []byte("a: 1\n")},
			{Name: "env/secrets.teams.yaml", Of: OfValues, Text: []byte("p: 4711\n"), Secret: true},
			{Name: "stack/runlevels/10-apps.yaml", Of: OfStack, Text: []byte("releases: []\n")},
		},
	}
	if change != nil {
		change(&place, &o)
	}
	f, err := NewFile(t.Context(), []FilePlace{place}, o)
	require.NoError(t, err)
	return f
}

func TestAPlanFileIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	f := fileOf(t, nil)
	back, err := ParseFile(f.Encode())
	require.NoError(t, err)
	require.Equal(t, string(f.Encode()), string(back.Encode()))
	require.Empty(t, back.Differences(fileOf(t, nil)))
	require.True(t, strings.HasPrefix(f.Inputs[1].Digest, stretchedDigest), "%v", f.Inputs)
	require.True(t, strings.HasPrefix(f.Inputs[2].Digest, plainDigest), "%v", f.Inputs)
	require.NotContains(t, string(f.Encode()), "4711")
}

func TestAPlanFileFitsItsSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "plan.schema.json"))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat = true
	require.NoError(t, compiler.AddResource("plan.schema.json", bytes.NewReader(text)))
	compiled, err := compiler.Compile("plan.schema.json")
	require.NoError(t, err)
	var document any
	require.NoError(t, json.Unmarshal(fileOf(t, nil).Encode(), &document))
	require.NoError(t, compiled.Validate(document))
}

func TestAPlanFileThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	text := string(fileOf(t, nil).Encode())
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"empty":                 {"", "no plan file"},
		"other JSON":            {`{"kind": "List"}`, "no plan file"},
		"a list":                {`[]`, "no plan file"},
		"YAML":                  {"version: 1\n", "no plan file"},
		"torn":                  {text[:len(text)/2], "ends too early"},
		"edited":                {strings.Replace(text, `"create"`, `"delete"`, 1), "seal"},
		"another flag":          {strings.Replace(text, "aws/demo", "aws/prod", 1), "seal"},
		"a key more":            {strings.Replace(text, `"salt"`, `"extra": 1, "salt"`, 1), "seal"},
		"written otherwise":     {strings.ReplaceAll(text, "\n", ""), "seal"},
		"two documents":         {text + text, "too early"},
		"a later format":        {strings.Replace(text, `"formatVersion": 1`, `"formatVersion": 2`, 1), "formatVersion 2, made by otomi 1.2.3"},
		"a later one, extended": {`{"kind": "otomi plan", "formatVersion": 3, "otomi": "9", "x": {}}`, "formatVersion 3, made by otomi 9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseFile([]byte(c.text))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestWhatMovedIsNamed(t *testing.T) {
	t.Parallel()
	release := func(p *FilePlace) *Release { return &p.Plan.Levels[0].Releases[0] }
	for name, c := range map[string]struct {
		change func(*FilePlace, *FileOptions)
		want   []Difference
	}{
		"a file, in another commit": {
			func(_ *FilePlace, o *FileOptions) {
				o.Inputs[0].Text, o.Commit = []byte("a: 2\n"), strings.Repeat("b", 40)
			},
			[]Difference{{InValues, "env/teams.yaml changed since (commit aaaaaaaaaaaa..bbbbbbbbbbbb)"}},
		},
		"a file with a secret": {
			func(_ *FilePlace, o *FileOptions) { o.Inputs[1].Text = []byte("p: 4712\n") },
			[]Difference{{InValues, "env/secrets.teams.yaml changed since (not committed)"}},
		},
		"only the commit": {func(_ *FilePlace, o *FileOptions) { o.Commit = strings.Repeat("b", 40) }, nil},
		"a runlevel is gone": {
			func(_ *FilePlace, o *FileOptions) { o.Inputs, o.Commit = o.Inputs[:2], "" },
			[]Difference{{InStack, "stack/runlevels/10-apps.yaml is gone"}},
		},
		"a chart, and what follows": {
			func(p *FilePlace, _ *FileOptions) {
				for i := range p.Plan.Levels[0].Releases {
					p.Plan.Levels[0].Releases[i].Wanted.Chart.Digest = "def"
				}
				release(p).Digest = "another"
			},
			[]Difference{{InCharts, "chart web-1.2.0: digest differs"}},
		},
		"another version": {
			func(p *FilePlace, _ *FileOptions) {
				release(p).Chart, release(p).Wanted.Chart.Digest = "web-1.3.0", "def"
			},
			[]Difference{{InCharts, "release apps/web: its chart is web-1.3.0 now, and was web-1.2.0"}},
		},
		"what is rendered": {
			func(p *FilePlace, _ *FileOptions) { release(p).Digest = "another" },
			[]Difference{{InReleases, "release apps/web: what is rendered of it differs"}},
		},
		"a record": {
			func(p *FilePlace, _ *FileOptions) {
				release(p).Seen, release(p).Record = "more", Record{Revision: 4, Status: manifest.PendingUpgrade}
			},
			[]Difference{{InReleases, "release apps/web: revision 4 was made since, and is pending-upgrade"}},
		},
		"a status of an object": {func(p *FilePlace, _ *FileOptions) { release(p).Objects[0].Seen = "50" }, nil},
		"an object": {
			func(p *FilePlace, _ *FileOptions) {
				o := &release(p).Objects[0]
				o.Seen, o.Live, o.By, o.At = "50", "another", "kubectl-edit", "2026-11-20T20:00:00Z"
			},
			[]Difference{{InObjects, "ConfigMap apps/changed: changed by kubectl-edit at 2026-11-20T20:00:00Z"}},
		},
		"an object that came": {
			func(p *FilePlace, _ *FileOptions) {
				o := &release(p).Objects[1]
				o.Action, o.Seen, o.UID, o.Live, o.By = Adopt, "50", "x", "x", "somebody"
			},
			[]Difference{{InObjects, "ConfigMap apps/new: created since by somebody"}},
		},
		"an object that went": {
			func(p *FilePlace, _ *FileOptions) {
				o := &release(p).Objects[0]
				o.Action, o.Seen, o.UID, o.Live = Create, manifest.Absent, "", ""
			},
			[]Difference{{InObjects, "ConfigMap apps/changed: deleted since"}},
		},
		"what is done to an object": {
			func(p *FilePlace, _ *FileOptions) {
				release(p).Objects[2].Action, release(p).Objects[2].Immutable = Update, nil
			},
			[]Difference{{InObjects, "Job apps/anew: it was to be replaced, and is to be changed now"}},
		},
		"another cluster": {
			func(p *FilePlace, _ *FileOptions) { p.Recorded, p.Server = "aws/prod", "https://two" },
			[]Difference{{InCluster, "aws/demo: the plan is for a cluster that calls itself aws/demo (repo), and this one is aws/prod (repo)"}},
		},
		"another way to the same cluster": {func(p *FilePlace, _ *FileOptions) { p.Server = "https://two" }, nil},
		"a hook": {
			func(p *FilePlace, _ *FileOptions) { release(p).Hooks = nil },
			[]Difference{{InReleases, "release apps/web: other hooks would run"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, fileOf(t, nil).Differences(fileOf(t, c.change)))
		})
	}
}

func TestFieldsForWhichAnObjectIsReplaced(t *testing.T) {
	t.Parallel()
	spec := func(storage, image string) map[string]any {
		return map[string]any{"spec": map[string]any{"volumeClaimTemplates": storage, "template": image}}
	}
	statefulSet := &manifest.Refusal{Fields: []string{"spec"}, Message: "spec: Forbidden: updates for fields other than 'replicas', 'template' are forbidden"}
	require.Equal(t, []string{"spec.volumeClaimTemplates"}, immutable(statefulSet, spec("1Gi", "a"), spec("2Gi", "b")))
	require.Equal(t, []string{"spec"}, immutable(statefulSet, spec("1Gi", "a"), spec("1Gi", "a")))
	require.Equal(t, []string{"spec.selector"}, immutable(&manifest.Refusal{Fields: []string{"spec.selector"}}, spec("1Gi", "a"), spec("1Gi", "b")))
}
