package render_test

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/cache"
	"github.com/redkubes/otomi/pkg/chart"
	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
)

// counted is a cache that counts what it has and what it is given.
type counted struct {
	*cache.Cache
	hits, puts int
}

func newCounted(t testing.TB) *counted {
	t.Helper()
	c, err := cache.Open(filepath.Join(t.TempDir(), "render"), cache.Options{})
	require.NoError(t, err)
	return &counted{Cache: c}
}

func (c *counted) Get(key string) ([]byte, bool) {
	data, ok := c.Cache.Get(key)
	if ok {
		c.hits++
	}
	return data, ok
}

func (c *counted) Put(key string, data []byte) error {
	c.puts++
	return c.Cache.Put(key, data)
}

// TestWhatTheCacheHasIsWhatWouldBeRendered reads every sample of the parity suite back, all fields of it.
func TestWhatTheCacheHasIsWhatWouldBeRendered(t *testing.T) {
	t.Parallel()
	for _, name := range samples(t) {
		t.Run(baseName(name), func(t *testing.T) {
			t.Parallel()
			s := readSample(t, name)
			if s.chart == nil || s.problems.HasErrors() {
				return
			}
			kept := newCounted(t)
			cold := render.NewCached(kept, "1")
			want, wantDiags, err := cold.Render(t.Context(), s.request(), s.capabilities())
			require.NoError(t, err)
			if wantDiags.HasErrors() {
				require.Zero(t, kept.puts, "a release with errors is not kept")
				return
			}
			warm := render.NewCached(kept, "1")
			got, gotDiags, err := warm.Render(t.Context(), s.request(), s.capabilities())
			require.NoError(t, err)
			if impure(want) {
				require.Zero(t, kept.puts)
				return
			}
			require.Equal(t, 1, kept.puts)
			require.Equal(t, 1, kept.hits)
			require.Equal(t, want, got)
			require.True(t, reflect.DeepEqual(want, got), "also where an empty list and none differ")
			require.Equal(t, wantDiags, gotDiags)
			for _, d := range gotDiags {
				require.Equal(t, string(cold.Sources()[d.Range.File]), string(warm.Sources()[d.Range.File]))
			}
			require.Equal(t, render.Digest(want), render.Digest(got))
		})
	}
}

func impure(r manifest.Release) bool {
	return slices.ContainsFunc(r.Impure, func(c manifest.ImpureCall) bool { return !c.Unordered })
}

const plainTemplate = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: {{ .Values.a | quote }}}\n"

func TestWhateverARenderingDependsOnIsInTheKey(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/cm.yaml": plainTemplate, "values.yaml": "a: 1\n"})
	same := newChart(t, map[string]string{"templates/cm.yaml": plainTemplate, "values.yaml": "a: 1\n"})
	other := newChart(t, map[string]string{"templates/cm.yaml": plainTemplate, "values.yaml": "a: 2\n"})
	order := *c
	order.Files = slices.Clone(c.Files)
	slices.Reverse(order.Files)
	type input struct {
		req     render.Request
		caps    render.Capabilities
		version string
	}
	base := func() input {
		return input{render.Request{Release: newRelease(map[string]any{"b": 1.0}), Chart: c}, capabilities(), "1"}
	}
	for name, test := range map[string]struct {
		change func(*input)
		hit    bool
	}{
		"nothing":                      {func(*input) {}, true},
		"the same chart, read again":   {func(i *input) { i.req.Chart = same }, true},
		"revision 1 said":              {func(i *input) { i.req.Revision = 1 }, true},
		"the place of the release":     {func(i *input) { i.req.Release.Range.Start.Line++ }, true},
		"what nothing is rendered of":  {func(i *input) { i.req.Release.Group, i.req.Release.Wait = 3, true }, true},
		"the program":                  {func(i *input) { i.version = "2" }, false},
		"a file of the chart":          {func(i *input) { i.req.Chart = other }, false},
		"the order of its files":       {func(i *input) { i.req.Chart = &order }, false},
		"the name":                     {func(i *input) { i.req.Release.Name = "api" }, false},
		"the namespace":                {func(i *input) { i.req.Release.Namespace = "beta" }, false},
		"name running into namespace":  {func(i *input) { i.req.Release.Name, i.req.Release.Namespace = "weba", "lpha" }, false},
		"a value":                      {func(i *input) { i.req.Release.Values = map[string]any{"b": 2.0} }, false},
		"the type of a value":          {func(i *input) { i.req.Release.Values = map[string]any{"b": int64(1)} }, false},
		"a string for a number":        {func(i *input) { i.req.Release.Values = map[string]any{"b": "1"} }, false},
		"a null more":                  {func(i *input) { i.req.Release.Values = map[string]any{"b": 1.0, "a": nil} }, false},
		"an empty list for none":       {func(i *input) { i.req.Release.Values = map[string]any{"b": []any{}} }, false},
		"no values":                    {func(i *input) { i.req.Release.Values = nil }, false},
		"the revision":                 {func(i *input) { i.req.Revision = 2 }, false},
		"an upgrade":                   {func(i *input) { i.req.Upgrade = true }, false},
		"the Kubernetes version":       {func(i *input) { i.caps.KubeVersion = "1.33" }, false},
		"the newest one":               {func(i *input) { i.caps.KubeVersion = "" }, false},
		"an API version more":          {func(i *input) { i.caps.APIVersions = append(i.caps.APIVersions, "x/v1") }, false},
		"the order of the API version": {func(i *input) { slices.Reverse(i.caps.APIVersions) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := newCounted(t)
			i := base()
			_, ds, err := render.NewCached(kept, i.version).Render(t.Context(), i.req, i.caps)
			require.NoError(t, err)
			require.Empty(t, ds)
			test.change(&i)
			got, _, err := render.NewCached(kept, i.version).Render(t.Context(), i.req, i.caps)
			require.NoError(t, err)
			require.Equal(t, test.hit, kept.hits == 1)
			want, _, err := render.New().Render(t.Context(), i.req, i.caps)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

// TestEveryFieldOfARequestIsKnownToTheKey fails where a field comes that the key of the cache was not made for: put it into
// key, into places where only diagnostics depend on it, or here, where nothing that is rendered does.
func TestEveryFieldOfARequestIsKnownToTheKey(t *testing.T) {
	t.Parallel()
	for _, known := range []struct {
		of     any
		fields []string
	}{
		{render.Request{}, []string{"Release", "Chart", "Revision", "Upgrade", "Origin"}},
		{render.Capabilities{}, []string{"KubeVersion", "APIVersions"}},
		{chart.Chart{}, []string{"Name", "Version", "AppVersion", "KubeVersion", "Digest", "Metadata", "Files", "Origin", "Display", "shown", "Range"}},
		{manifest.Release{}, []string{
			"Name", "Namespace", "Revision", "Upgrade", "Chart", "Values", "Text", "Objects", "Hooks", "CRDs", "Notes", "Impure",
		}},
		{manifest.Chart{}, []string{"Name", "Version", "Digest", "Metadata", "Values"}},
		// The last four are set where an object is written or deleted, never where it is rendered.
		{manifest.Object{}, []string{"ID", "Version", "Source", "Text", "Data", "Cascade", "Seen", "UID", "Shared"}},
		{manifest.ID{}, []string{"Group", "Kind", "Namespace", "Name"}},
		{manifest.Hook{}, []string{"Object", "Events", "Weight", "DeletePolicies"}},
		{manifest.ImpureCall{}, []string{"Function", "Template", "Line", "Unordered"}},
		{diag.Diagnostic{}, []string{"Severity", "Code", "Detail", "Path", "Range", "Notes", "Clusters", "Secret"}},
		{diag.Note{}, []string{"Message", "Range"}},
		{diag.Range{}, []string{"File", "Start", "End"}},
	} {
		typ := reflect.TypeOf(known.of)
		var fields []string
		for i := range typ.NumField() {
			fields = append(fields, typ.Field(i).Name)
		}
		require.ElementsMatchf(t, known.fields, fields, "%s has other fields: see package render, cache.go and kept.go", typ)
	}
}

func TestWarningsComeFromTheCacheWithTheirTexts(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/job.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}, annotations: {helm.sh/hook: sometimes}}\n"})
	kept := newCounted(t)
	req := render.Request{Release: newRelease(nil), Chart: c}
	cold := render.NewCached(kept, "1")
	_, want, err := cold.Render(t.Context(), req, capabilities())
	require.NoError(t, err)
	require.Len(t, want, 1)
	warm := render.NewCached(kept, "1")
	_, got, err := warm.Render(t.Context(), req, capabilities())
	require.NoError(t, err)
	require.Equal(t, 1, kept.hits)
	require.Equal(t, want, got)
	require.NotEmpty(t, warm.Sources()[got[0].Range.File])
	require.Equal(t, cold.Sources()[got[0].Range.File], warm.Sources()[got[0].Range.File])
	// The state file has another line now: the warning may not name the old one.
	req.Release.Range.Start.Line++
	_, want, err = render.New().Render(t.Context(), req, capabilities())
	require.NoError(t, err)
	_, got, err = render.NewCached(kept, "1").Render(t.Context(), req, capabilities())
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestAReleaseThatChanceMadeIsNotKept(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"randAlphaNum 8", "now", "uuidv4", `genCA "x" 1 | toString`} {
		c := newChart(t, map[string]string{"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: {{ " + call + " | quote }}}\n"})
		kept := newCounted(t)
		_, ds, err := render.NewCached(kept, "1").Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
		require.NoError(t, err)
		require.Empty(t, ds)
		require.Zero(t, kept.puts, call)
	}
}

// broken is a cache that can't be written, and has what nothing wrote.
type broken struct{ puts int }

var errFull = errors.New("no space left on device")

func (b *broken) Get(string) ([]byte, bool) { return []byte("\x80"), true }

func (b *broken) Put(string, []byte) error {
	b.puts++
	return errFull
}

func TestACacheThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	c := newChart(t, map[string]string{"templates/cm.yaml": plainTemplate})
	want, _, err := render.New().Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
	require.NoError(t, err)
	b := &broken{}
	r := render.NewCached(b, "1")
	for range 3 {
		got, ds, err := r.Render(t.Context(), render.Request{Release: newRelease(nil), Chart: c}, capabilities())
		require.NoError(t, err)
		require.Empty(t, ds)
		require.Equal(t, want, got)
	}
	require.ErrorIs(t, r.CacheFailure(), errFull)
	require.Equal(t, 1, b.puts, "after the first failure it is left alone")
}
