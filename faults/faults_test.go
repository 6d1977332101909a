// Package faults_test shows that otomi does what it promises when the world does not: a proxy between it and an API server breaks
// their talk in every way that networks and servers have, by seeded scripts, and one oracle that knows nothing of otomi judges
// what is left. See docs/reliability.md for what is run, and what came of it.
//
//	go test ./faults                       the short form, at most 3 minutes: what CI runs
//	go test ./faults -args -all            all of it (make faults)
//	    -shard 0/4                         a quarter of the trials
//	    -seed 7                            other faults
//	    -workers 4                         how many trials go side by side
//	    -trials 200                        how many trials of each seeded kind
package faults_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	all     = flag.Bool("all", false, "run all of the fault suite, not only its short form")
	shard   = flag.String("shard", "0/1", "which part of the trials to run: I/N")
	seed    = flag.Uint64("seed", 1, "of the faults")
	workers = flag.Int("workers", 4, "trials side by side")
	trials  = flag.Int("trials", 0, "trials of each seeded kind; 0 is 100 of all, and a few of the short form")
	lease   = flag.String("lease", "", "how long a Lease holds; empty is 1s, and 10s where it is the network that is tried")
	keep    = flag.String("table", "", "write the table of figures to this file, too")
)

// canary begins every secret.
const canary = "cnry7QxWv"

// suite is what all tests share. It is made once, in TestMain, and not changed.
var suite struct {
	// dir is for this run alone.
	dir string
	// otomi is the binary; buildError why there is none.
	otomi      string
	buildError error
	// lease are the flags of apply that make its Lease short.
	lease []string
	table table
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	suite.dir = dir
	suite.otomi, suite.buildError = build(dir)
	if suite.buildError == nil {
		suite.lease = []string{"--lease-duration", cmp.Or(*lease, "1s")}
	}
	code := m.Run()
	text := suite.table.String()
	fmt.Print(text)
	if *keep != "" && text != "" {
		if err := os.WriteFile(*keep, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// build builds otomi as it is shipped, without the race detector of the tests.
func build(dir string) (string, error) {
	if bin := os.Getenv("OTOMI_FAULTS_BIN"); bin != "" {
		return bin, nil
	}
	bin := filepath.Join(dir, "otomi")
	cmd := exec.Command("go", "build", "-o", bin, "../cmd/otomi")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building otomi: %w\n%s", err, out)
	}
	return bin, nil
}

// mine reports whether a trial is of this shard.
func mine(t testing.TB, trial int) bool {
	t.Helper()
	var i, n int
	_, err := fmt.Sscanf(*shard, "%d/%d", &i, &n)
	require.NoError(t, err, "-shard is I/N")
	return trial%n == i
}

// count is how many trials a seeded test makes.
func count(short, long int) int {
	switch {
	case *trials > 0:
		return *trials
	case *all:
		return long
	}
	return short
}

// each runs the trials of this shard, some side by side, and fails with the first few that went wrong.
func each(t *testing.T, n int, trial func(i int) error) {
	t.Helper()
	var (
		mu    sync.Mutex
		wrong []string
		group sync.WaitGroup
	)
	room := make(chan struct{}, *workers)
	for i := range n {
		if !mine(t, i) {
			continue
		}
		room <- struct{}{}
		mu.Lock()
		enough := len(wrong) >= 10
		mu.Unlock()
		if enough {
			<-room
			break
		}
		group.Go(func() {
			defer func() { <-room }()
			if err := trial(i); err != nil {
				mu.Lock()
				wrong = append(wrong, fmt.Sprintf("trial %d: %v", i, err))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(wrong)
	if len(wrong) > 0 {
		t.Errorf("%d trials went wrong (it stops at 10):\n\n%s", len(wrong), strings.Join(wrong, "\n\n"))
	}
}

// child is a run of otomi.
type child struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// result is how a run ended.
type result struct {
	// code is the exit code; -1 where the run was killed.
	code int
	out  string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n%s", r.code, strings.TrimSpace(r.out))
}

// start starts otomi on a values repository against the cluster of a kubeconfig.
func start(kubeconfig, repo string, env []string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(suite.otomi, append(args, "--repo", repo)...)}
	c.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + suite.dir, "XDG_CACHE_HOME=" + filepath.Join(suite.dir, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(suite.dir, "config"), "KUBECONFIG=" + kubeconfig, "NO_COLOR=1",
	}, env...)
	c.cmd.Dir = suite.dir
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	return c, c.cmd.Start()
}

// kill ends the run as a machine does that loses its power.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// wait waits for the end of a run, and kills one that has none.
func (c *child) wait() (result, error) {
	timer := time.AfterFunc(5*time.Minute, c.kill)
	err := c.cmd.Wait()
	if !timer.Stop() {
		return result{}, fmt.Errorf("otomi did not end within 5 minutes:\n%s", c.out.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{}, err
	}
	return result{code: c.cmd.ProcessState.ExitCode(), out: c.out.String()}, nil
}

// applyArgs are those of an apply. Of flags that are given twice the last one counts.
func applyArgs(more ...string) []string {
	return slices.Concat([]string{"apply", "--yes"}, suite.lease, more)
}

// patient are the flags of an apply whose Lease leaves it time for another try: what one of a second does not.
func patient() []string { return []string{"--lease-duration", cmp.Or(*lease, "10s")} }

// direct is a transport that calls a server in this process.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := newRecorder()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	d.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

// background is a context with a limit that no test comes near.
func background(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	t.Cleanup(cancel)
	return ctx
}
