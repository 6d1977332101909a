package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otomi": main})
}

// TestScript runs what a user can see: one script a behaviour, in testdata/script. OTOMI_UPDATE=1 rewrites what they
// compare with. Scripts that need a cluster say so in their first line and get a control plane of their own.
func TestScript(t *testing.T) {
	t.Parallel()
	servers := &chartServers{known: map[string]*chartServer{}}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		UpdateScripts:       os.Getenv("OTOMI_UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"commit":     commit,
			"playground": startPlayground,
			"kube":       kube,
			"audit":      audit,

			"chart-repo":   servers.chartRepo,
			"file-server":  servers.fileServer,
			"git-server":   servers.gitServer,
			"oci-registry": servers.ociRegistry,
			"pack":         pack,
			"hooks":        hooksRanAs,
			"expand":       expand,
			"mask":         mask,
		},
	})
}

// setup gives a script an environment that nothing of the machine leaks into.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
	env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "no-kubeconfig"))
	env.Setenv("CI", "")
	hooks, err := filepath.Abs(filepath.Join("..", "..", "testdata", "helmfile", "hooks"))
	if err != nil {
		return err
	}
	env.Setenv("HOOKS", hooks)
	env.Setenv("NO_COLOR", "")
	helm := os.Getenv("OTOMI_HELM")
	if helm == "" {
		return nil
	}
	// A folder with helm alone: beside the one that make builds stands an otomi, which is not the one to test.
	dir := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	env.Setenv("PATH", dir+string(os.PathListSeparator)+env.Getenv("PATH"))
	return os.Symlink(helm, filepath.Join(dir, "helm"))
}

// condition knows [playground] and [helm]: what `make test` builds and names in the environment.
func condition(name string) (bool, error) {
	switch name {
	case "playground":
		return os.Getenv("OTOMI_PLAYGROUND") != "", nil
	case "helm":
		return os.Getenv("OTOMI_HELM") != "", nil
	}
	return false, errUnknownCondition(name)
}

type errUnknownCondition string

func (e errUnknownCondition) Error() string { return "unknown condition " + string(e) }
