package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/redkubes/otomi"

// room says what one package may import: other rooms, and the libraries that are confined to it. Everything of the
// standard library is free, except what doors lists. The drawing is in docs/architecture.md.
type room struct {
	// rooms are the rooms of this module that it may import.
	rooms []string
	// libraries are the prefixes of third-party import paths that it may import.
	libraries []string
	// door says that the room may touch the world: files, processes, the network.
	door bool
}

var (
	nouns  = []string{"diag", "value", "manifest", "yaml", "template", "parallel"}
	stages = []string{"source", "layer", "merge", "schema", "lint", "runlevel", "hook", "render", "openapi", "transform", "diff", "apply"}
)

// leftOf returns the nouns and the stages left of a stage: what it may import.
func leftOf(stage string) []string {
	return slices.Concat(nouns, stages[:slices.Index(stages, stage)])
}

var rooms = map[string]room{
	"pkg/diag":     {},
	"pkg/parallel": {libraries: []string{"golang.org/x/sync"}},
	"pkg/value":    {rooms: []string{"diag"}},
	"pkg/manifest": {rooms: []string{"diag", "value"}, libraries: []string{"k8s.io/apimachinery"}},
	"pkg/yaml": {
		rooms:     []string{"diag", "value", "manifest"},
		libraries: []string{"sigs.k8s.io/yaml", "go.yaml.in/yaml/v3"},
	},
	"pkg/template": {
		rooms:     []string{"diag", "value", "manifest", "yaml"},
		libraries: []string{"github.com/Masterminds/sprig/v3"},
	},

	// A noun of state files alone.
	"pkg/hcl": {
		rooms: []string{"diag"},
		libraries: []string{
			"github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty", "github.com/zclconf/go-cty-yaml", "github.com/hashicorp/go-cty-funcs",
		},
	},

	"pkg/source": {rooms: leftOf("source"), libraries: []string{"github.com/go-git/go-git/v5"}, door: true},
	"pkg/layer":  {rooms: leftOf("layer"), libraries: []string{"github.com/Masterminds/semver/v3"}},
	"pkg/merge":  {rooms: leftOf("merge"), libraries: []string{"github.com/imdario/mergo"}},
	"pkg/schema": {rooms: leftOf("schema"), libraries: []string{"github.com/santhosh-tekuri/jsonschema/v5"}},
	"pkg/lint":   {rooms: leftOf("lint")},
	"pkg/runlevel": {
		rooms:     append(leftOf("runlevel"), "hcl"),
		libraries: []string{"github.com/Masterminds/semver/v3", "helm.sh/helm/v3/pkg/strvals", "k8s.io/apimachinery/pkg/util/validation"},
	},
	// A release is rendered from a chart: the one door that a stage knows by its type, since a chart is a file tree and
	// a digest by then.
	"pkg/render": {
		rooms: append(leftOf("render"), "chart"),
		libraries: []string{
			"helm.sh/helm/v3/pkg/chart", "helm.sh/helm/v3/pkg/chartutil", "github.com/BurntSushi/toml", "github.com/gobwas/glob",
			"helm.sh/helm/v3/pkg/release", "helm.sh/helm/v3/pkg/releaseutil",
		},
	},
	"pkg/openapi": {rooms: leftOf("openapi"), libraries: []string{"k8s.io/apimachinery/pkg/api/resource"}},

	"pkg/hook": {rooms: leftOf("hook")},
	"pkg/transform": {
		rooms:     append(leftOf("transform"), "chart"),
		libraries: []string{"sigs.k8s.io/kustomize"},
	},
	"pkg/diff":  {rooms: leftOf("diff")},
	"pkg/apply": {rooms: leftOf("apply")},

	"pkg/chart": {
		rooms: append(slices.Clone(nouns), "source"),
		libraries: []string{
			"helm.sh/helm/v3/pkg/chart", "helm.sh/helm/v3/pkg/ignore", "github.com/Masterminds/semver/v3",
			"oras.land/oras-go/v2", "github.com/opencontainers/image-spec", "github.com/go-git/go-git/v5",
			"github.com/ProtonMail/go-crypto/openpgp",
		},
		door: true,
	},
	"pkg/cluster": {
		rooms: nouns,
		libraries: []string{
			"helm.sh/helm/v3/pkg/chart", "helm.sh/helm/v3/pkg/release", "helm.sh/helm/v3/pkg/releaseutil",
			"helm.sh/helm/v3/pkg/storage",
			"helm.sh/helm/v3/pkg/time", "k8s.io", "sigs.k8s.io/structured-merge-diff",
			"github.com/fluxcd/cli-utils/pkg/kstatus",
		},
		door: true,
	},
	"pkg/exec":     {rooms: nouns, door: true},
	"pkg/scaffold": {rooms: nouns, door: true},
	"pkg/cache":    {door: true},
	"pkg/report": {
		rooms:     slices.Concat(nouns, stages),
		libraries: []string{"github.com/aymanbagabas/go-udiff"},
		door:      true,
	},
	"pkg/pipeline": {
		rooms: slices.Concat(nouns, stages, []string{"chart", "cluster", "cache", "exec"}),
	},
	"cmd/otomi": {
		rooms: []string{"diag", "source", "pipeline", "report", "scaffold"},
		libraries: []string{
			"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/spf13/viper", "golang.org/x/term",
			"golang.org/x/net/http/httpproxy",
			"k8s.io/klog/v2",
		},
		door: true,
	},
	"charts":    {},
	"runlevels": {},
	"schema":    {},
	// The schemas of Kubernetes' kinds, recorded by testdata/record.
	"kubernetes": {},
}

// world lists the packages of the standard library that only doors may import, and those that only one room may.
var world = map[string]string{
	"os":        "",
	"os/exec":   "pkg/exec",
	"os/signal": "cmd/otomi",
	"net":       "",
	"net/http":  "",
	"flag":      "cmd/otomi",
	"log":       "cmd/otomi",
	"log/slog":  "",
	"io/ioutil": "nobody",
}

// environment lists the calls that only cmd may make.
var environment = []string{
	"os.Getenv", "os.LookupEnv", "os.Environ", "os.Setenv", "os.Exit", "os.Getwd", "os.Chdir", "os.Args",
	"os.Stdout", "os.Stderr", "os.Stdin", "fmt.Print(", "fmt.Println(", "fmt.Printf(", "func init()",
}

func TestEveryImportIsAllowedInItsRoom(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	seen := map[string]bool{}
	forEachFile(t, root, func(file string) {
		name := path.Dir(file)
		r, known := rooms[name]
		require.Truef(t, known, "%s: a package that is no room: add it to the table and to docs/architecture.md", file)
		seen[name] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			if reason := refuse(name, r, strings.Trim(spec.Path.Value, `"`)); reason != "" {
				t.Errorf("%s imports %s: %s", file, spec.Path.Value, reason)
			}
		}
	})
	for name := range rooms {
		require.Truef(t, seen[name], "%s is in the table of rooms and has no files", name)
	}
}

func TestOnlyCmdReadsTheEnvironmentAndExits(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	forEachFile(t, root, func(file string) {
		text, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		for _, call := range environment {
			if call != "func init()" && strings.HasPrefix(file, "cmd/otomi/") {
				continue
			}
			for i, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				if strings.Contains(code, call) {
					t.Errorf("%s:%d: %s belongs to cmd/otomi (or nowhere)", file, i+1, call)
				}
			}
		}
	})
}

// refuse says why room name may not import path, or returns "".
func refuse(name string, r room, imported string) string {
	if imported == "embed" || imported == "io/fs" {
		return ""
	}
	if inner, ok := strings.CutPrefix(imported, module+"/"); ok {
		if slices.Contains(r.rooms, strings.TrimPrefix(inner, "pkg/")) {
			return ""
		}
		if name == "cmd/otomi" && slices.Contains([]string{"charts", "runlevels", "schema", "kubernetes"}, inner) {
			return ""
		}
		return "imports point down or left, never right or up"
	}
	if owner, ok := world[imported]; ok {
		if owner == "" && r.door || owner == name {
			return ""
		}
		return "only doors touch the world"
	}
	if !strings.Contains(strings.Split(imported, "/")[0], ".") {
		return ""
	}
	for _, library := range r.libraries {
		if imported == library || strings.HasPrefix(imported, library+"/") {
			return ""
		}
	}
	return "the library lives in another room"
}

// forEachFile calls visit with every Go file of the module that is no test, by its path from the module's root.
func forEachFile(t *testing.T, root string, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || rel == "cmd/playground" || rel == "faults") {
			return fs.SkipDir
		}
		if strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, "_test.go") {
			visit(rel)
		}
		return nil
	})
	require.NoError(t, err)
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	return root
}
