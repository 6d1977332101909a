package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/redkubes/otomi/faults/oracle"
)

// playground is a control plane of a test's own.
type playground struct {
	dir        string
	kubeconfig string
	args       []string
	cmd        *exec.Cmd
	stdin      io.Closer
}

// startPlayground starts one, or skips the test.
func startPlayground(t testing.TB, args ...string) *playground {
	t.Helper()
	p := preparePlayground(t, args...)
	require.NoError(t, p.begin())
	return p
}

// preparePlayground makes the folder of one that is not started, or skips the test.
func preparePlayground(t testing.TB, args ...string) *playground {
	t.Helper()
	if os.Getenv("OTOMI_PLAYGROUND") == "" {
		t.Skip("needs a control plane: make test and make faults set OTOMI_PLAYGROUND")
	}
	dir, err := os.MkdirTemp("", "pg") // a short path, for its sockets
	require.NoError(t, err)
	p := &playground{dir: dir, args: args}
	t.Cleanup(func() {
		if p.cmd != nil {
			p.end()
		}
		_ = os.RemoveAll(dir)
	})
	return p
}

// begin starts the process, also after end: what was in the cluster still is.
func (p *playground) begin() error {
	args := append([]string{"up", "--foreground", "--exit-with-parent", "--dir", p.dir}, p.args...)
	p.cmd = exec.Command(os.Getenv("OTOMI_PLAYGROUND"), args...)
	var talk strings.Builder
	p.cmd.Stderr = &talk
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.end()
		return fmt.Errorf("the playground did not start: %w\n%s", err, talk.String())
	}
	p.kubeconfig = strings.TrimSpace(line)
	return nil
}

// end ends the process in order; kill as a machine that loses its power.
func (p *playground) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

func (p *playground) kill() {
	_ = p.cmd.Process.Kill()
	p.end()
}

// site is the playground with a proxy before it and the oracle beside it.
func (p *playground) site(t testing.TB) *site {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	require.NoError(t, err)
	config.QPS = -1
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	target, err := url.Parse(config.Host)
	require.NoError(t, err)
	next := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			// As if there were no proxy: no answer.
			hangUp(w, r, err)
		},
	}
	s, err := newSite(next, oracle.Oracle{Server: config.Host, Client: &http.Client{Transport: transport}}, nil)
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}

// hangUp ends a request without an answer.
func hangUp(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }

// playgroundSite is a playground of the test's own.
func playgroundSite(t testing.TB) *site { return startPlayground(t).site(t) }
