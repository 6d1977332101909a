package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/term"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// world is all that the process gives a command. Nothing else in the program reads it.
type world struct {
	args []string
	env  func(string) string
	// environ is the whole of it, NAME=VALUE each; nil where there is none.
	environ func() []string
	dir     string
	// host is the name of the machine, or "".
	host   string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// Which of them are terminals: a person may be asked, and colours are wanted unless the environment forbids them.
	stdinTerminal, stdoutTerminal, stderrTerminal bool
}

// process returns the world of this process.
func process() world {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return world{
		host:           host,
		args:           os.Args[1:],
		env:            os.Getenv,
		environ:        os.Environ,
		dir:            dir,
		stdin:          os.Stdin,
		stdout:         os.Stdout,
		stderr:         os.Stderr,
		stdinTerminal:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTerminal: term.IsTerminal(int(os.Stderr.Fd())),
	}
}

// variables returns the environment by its names.
func (w world) variables() map[string]string {
	out := map[string]string{}
	if w.environ == nil {
		return out
	}
	for _, text := range w.environ() {
		if name, value, ok := strings.Cut(text, "="); ok && name != "" {
			out[name] = value
		}
	}
	return out
}

// inCI reports whether the run is a step of a CI system, where nobody answers and nothing is coloured.
func (w world) inCI() bool { return w.env("CI") != "" }

// kubeconfig returns the kubeconfig files in the order kubectl reads them: KUBECONFIG, else ~/.kube/config.
func (w world) kubeconfig() []string {
	var files []string
	for _, file := range filepath.SplitList(w.env("KUBECONFIG")) {
		if file != "" {
			files = append(files, file)
		}
	}
	if len(files) > 0 {
		return files
	}
	if home := w.env("HOME"); home != "" {
		return []string{filepath.Join(home, ".kube", "config")}
	}
	return nil
}

// configDir is where a program of this name keeps the user's configuration, or "".
func (w world) configDir(name string) string {
	if base := w.env("XDG_CONFIG_HOME"); base != "" {
		return filepath.Join(base, name)
	}
	if home := w.env("HOME"); home != "" {
		return filepath.Join(home, ".config", name)
	}
	return ""
}

// registryFile is the file that `otomi registry login` writes.
func (w world) registryFile() string {
	if dir := w.configDir("otomi"); dir != "" {
		return filepath.Join(dir, "registry.json")
	}
	return ""
}

// registryFiles are the files that may know the credentials of a host, the first that does winning: ours, then Helm's
// (pkg/helmpath), then Docker's.
func (w world) registryFiles() []string {
	var files []string
	add := func(dir string, names ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, names...)...))
		}
	}
	add(w.registryFile())
	home := w.env("HOME")
	switch {
	case w.env("HELM_REGISTRY_CONFIG") != "":
		add(w.env("HELM_REGISTRY_CONFIG"))
	case w.env("HELM_CONFIG_HOME") != "":
		add(w.env("HELM_CONFIG_HOME"), "registry", "config.json")
	default:
		add(w.configDir("helm"), "registry", "config.json")
		if home != "" {
			add(home, "Library", "Preferences", "helm", "registry", "config.json")
		}
	}
	if dir := w.env("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else if home != "" {
		add(home, ".docker", "config.json")
	}
	return files
}

// remote is how charts are fetched: with the credentials and proxies that the user's other programs use.
func (w world) remote() pipeline.RemoteOptions {
	proxy := httpproxy.Config{
		HTTPProxy: w.either("HTTP_PROXY", "http_proxy"), HTTPSProxy: w.either("HTTPS_PROXY", "https_proxy"),
		NoProxy: w.either("NO_PROXY", "no_proxy"),
		// A CGI program must not trust HTTP_PROXY, which a request can set.
		CGI: w.env("REQUEST_METHOD") != "",
	}
	find := proxy.ProxyFunc()
	return pipeline.RemoteOptions{
		Credentials: w.registryFiles(),
		UserAgent:   "otomi/" + version,
		Proxy:       func(r *http.Request) (*url.URL, error) { return find(r.URL) },
	}
}

// either returns the first of the variables that is set.
func (w world) either(names ...string) string {
	for _, name := range names {
		if value := w.env(name); value != "" {
			return value
		}
	}
	return ""
}

// settingsFile is the file of the user's settings.
func (w world) settingsFile() string {
	if dir := w.configDir("otomi"); dir != "" {
		return filepath.Join(dir, "config.yaml")
	}
	return ""
}
