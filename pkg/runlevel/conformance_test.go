package runlevel_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/exec"
	"github.com/redkubes/otomi/pkg/runlevel"
	"github.com/redkubes/otomi/pkg/source"
	"github.com/redkubes/otomi/pkg/template"
)

// conformance is where the cases for readers of helmfile state files are: beside the repository.
const conformance = "../../../shared/conformance"

type conformanceCase struct {
	Kind     string         `json:"kind"`
	Tree     string         `json:"tree"`
	Requires []string       `json:"requires"`
	Charts   []string       `json:"charts"`
	Setup    []any          `json:"setup"`
	Subst    map[string]any `json:"subst"`
	Steps    []struct {
		Args    []string          `json:"args"`
		Env     map[string]string `json:"env"`
		Compare string            `json:"compare"`
		Cwd     string            `json:"cwd"`
	} `json:"steps"`
}

type conformanceResult struct {
	Exit int             `json:"exit"`
	Out  json.RawMessage `json:"out"`
}

// TestConformance evaluates the cases without rendering a chart: whether they fail, which releases they have, in which order, with
// which values where the chart prints them. The runner beside the cases checks the rest on the binary.
func TestConformance(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob(conformance + "/cases/*/*/case.json")
	require.NoError(t, err)
	if len(cases) == 0 {
		t.Skip("the shared cases are not beside this checkout: there is no " + conformance)
	}
	ran := 0
	for _, name := range cases {
		dir := filepath.Dir(name)
		var c conformanceCase
		readJSON(t, name, &c)
		// What only rendering or a flag of the verb decides.
		about := []string{"rel-render-error-nonzero", "rel-hook-failure", "rel-hooks-disabled-env", "rel-chart-flag", "fn-exec"}
		if c.Tree != "" || len(c.Setup) > 0 || len(c.Requires) > 0 && !slices.Contains(c.Requires, "vals") || slices.Contains(about, filepath.Base(dir)) {
			continue
		}
		ran++
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			var want []conformanceResult
			readJSON(t, filepath.Join(dir, "expected.json"), &want)
			work := t.TempDir()
			require.NoError(t, os.CopyFS(work, os.DirFS(filepath.Join(dir, "files"))))
			for i, step := range c.Steps {
				in, verb, file := commandLine(t, step.Args)
				in.Allow = template.Permissions{Exec: true, AnyEnv: true, Env: step.Env}
				if step.Env["HELMFILE_DISABLE_INSECURE_FEATURES"] == "true" {
					in.Allow.Off = "HELMFILE_DISABLE_INSECURE_FEATURES"
				}
				in.RenderYAML = step.Env["HELMFILE_RENDER_YAML"] == "true"
				in.ExplicitSelectors = step.Env["HELMFILE_EXPERIMENTAL"] != ""
				in.Programs = exec.Runner{Dir: work, Env: os.Environ()}
				host, err := source.OpenHost(work, work, true)
				require.NoError(t, err)
				in.FS = host
				files, ds := runlevel.Discover(host, file, "")
				in.Files = files
				var ev runlevel.Evaluation
				if !ds.HasErrors() {
					ev, ds = runlevel.Evaluate(t.Context(), in)
				}
				matched := slices.ContainsFunc(ev.Levels, func(l runlevel.Level) bool { return len(l.Releases) > 0 })
				failed := ds.HasErrors() || !matched && verb != "print-env" && !slices.Contains(step.Args, "--allow-no-matching-release")
				require.Equal(t, want[i].Exit != 0, failed, "step %d: %v", i, ds)
				if failed || !slices.Equal(c.Charts, nil) && !slices.Equal(c.Charts, []string{"dump"}) {
					continue
				}
				compare(t, verb, step.Compare, ev, want[i].Out)
			}
		})
	}
	require.Greater(t, ran, 80)
}

func readJSON(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, to))
}

// commandLine reads helmfile's command line as far as evaluation is concerned.
func commandLine(t *testing.T, args []string) (in runlevel.Input, verb, file string) {
	t.Helper()
	in.Environment = ""
	for i := 0; i < len(args); i++ {
		next := func() string { i++; return args[i] }
		switch args[i] {
		case "-f":
			file = strings.TrimSuffix(next(), "/")
		case "-e":
			in.Environment = next()
		case "-n":
			in.Namespace = next()
		case "-l":
			in.Selectors = append(in.Selectors, next())
		case "--state-values-file":
			in.ValuesFiles = append(in.ValuesFiles, next())
		case "--state-values-set":
			in.Set = append(in.Set, next())
		case "--values":
			in.ReleaseValuesFiles = append(in.ReleaseValuesFiles, next())
		case "--set":
			in.ReleaseSet = append(in.ReleaseSet, next())
		case "--include-needs":
			in.IncludeNeeds = true
		case "--enforce-needs-are-installed":
			in.EnforceNeeds = true
		case "--output", "--output-dir-template", "--kube-version", "--show-only", "--args":
			next()
		default:
			if !strings.HasPrefix(args[i], "-") {
				verb = args[i]
			}
		}
	}
	in.WithoutValues = verb == "list" || verb == "build" || verb == "print-env" || verb == "show-dag"
	in.WithoutOrder = verb == "list" || verb == "build" || verb == "print-env"
	return in, verb, file
}

// compare compares releases with what was printed of them.
func compare(t *testing.T, verb, how string, ev runlevel.Evaluation, out json.RawMessage) {
	t.Helper()
	type object struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Data     struct{ Values map[string]any }
	}
	var got []any
	for _, l := range ev.Levels {
		for _, r := range l.Releases {
			if r.Installed {
				got = append(got, []any{r.Namespace, r.Name, r.Values})
			}
		}
	}
	switch {
	case verb == "template" && how == "manifests":
		var objects []object
		require.NoError(t, json.Unmarshal(out, &objects))
		var want []any
		for _, o := range objects {
			if o.Kind == "ConfigMap" && o.Data.Values != nil {
				want = append(want, []any{o.Metadata.Namespace, o.Metadata.Name, o.Data.Values})
			}
		}
		if len(want) == len(objects) {
			require.ElementsMatch(t, plainJSON(t, want), plainJSON(t, got))
		}
	case verb == "template" && how == "order":
		var want, names []string
		require.NoError(t, json.Unmarshal(out, &want))
		for _, g := range got {
			names = append(names, "v1|ConfigMap|"+g.([]any)[0].(string)+"|"+g.([]any)[1].(string))
		}
		require.Equal(t, want, names)
	case verb == "print-env" && how == "yaml":
		var documents []json.RawMessage
		require.NoError(t, json.Unmarshal(out, &documents))
		var many []struct{ Values map[string]any }
		if json.Unmarshal(documents[0], &many) != nil {
			require.NoError(t, json.Unmarshal(out, &many))
		}
		require.Equal(t, plainJSON(t, many[0].Values), plainJSON(t, ev.States[0].Values))
	}
}

// plainJSON makes numbers of all kinds alike.
func plainJSON[T any](t *testing.T, v T) T {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	out := reflect.New(reflect.TypeFor[T]())
	require.NoError(t, json.Unmarshal(text, out.Interface()))
	return out.Elem().Interface().(T)
}
