package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
	helmregistry "helm.sh/helm/v3/pkg/registry"
	"sigs.k8s.io/yaml"
)

// chartServers are the servers that a script started, by the variable that holds their address.
type chartServers struct {
	mu    sync.Mutex
	known map[string]*chartServer
}

type chartServer struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []string
}

// chartRepo is the command of scripts that serves charts over plain HTTP at the loopback:
//
//	chart-repo serve VARIABLE FOLDER [USER PASSWORD]    pack each chart of the folder; the address, HOST:PORT, is in VARIABLE
//	chart-repo replace VARIABLE FILE TEXT               let a file have another content than the index says
//	chart-repo stop VARIABLE
//	chart-repo requests VARIABLE N                      fail unless there were N requests so far
func (c *chartServers) chartRepo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: chart-repo serve|replace|stop|requests VARIABLE …")
	}
	variable := args[1]
	if args[0] == "serve" {
		s := &chartServer{files: indexed(ts, ts.MkAbs(args[2]))}
		s.Server = httptest.NewServer(guarded(http.HandlerFunc(s.serve), args[3:]))
		c.add(ts, variable, s)
		return
	}
	s := c.find(ts, variable)
	switch args[0] {
	case "replace":
		s.mu.Lock()
		s.files["/"+args[2]] = []byte(args[3])
		s.mu.Unlock()
	case "stop":
		s.Close()
	case "requests":
		s.mu.Lock()
		defer s.mu.Unlock()
		if fmt.Sprint(len(s.requests)) != args[2] {
			ts.Fatalf("%d requests: %s", len(s.requests), strings.Join(s.requests, ", "))
		}
	}
}

// ociRegistry is the command of scripts that serves charts from an OCI registry over plain HTTP at the loopback:
//
//	oci-registry serve VARIABLE FOLDER [USER PASSWORD]    push each chart of the folder to charts/NAME
//	oci-registry stop VARIABLE
func (c *chartServers) ociRegistry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: oci-registry serve|stop VARIABLE …")
	}
	if args[0] == "stop" {
		c.find(ts, args[1]).Close()
		return
	}
	open := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	pushing := httptest.NewServer(open)
	defer pushing.Close()
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard),
		helmregistry.ClientOptCredentialsFile(ts.MkAbs(".no-credentials")))
	ts.Check(err)
	for _, chart := range packedCharts(ts, ts.MkAbs(args[2])) {
		ref := strings.TrimPrefix(pushing.URL, "http://") + "/charts/" + chart.name + ":" + chart.version
		_, err := client.Push(chart.archive, ref, helmregistry.PushOptCreationTime("2026-01-01T00:00:00Z"))
		ts.Check(err)
	}
	c.add(ts, args[1], &chartServer{Server: httptest.NewServer(guarded(open, args[3:]))})
}

func (c *chartServers) add(ts *testscript.TestScript, variable string, s *chartServer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[ts.Name()+" "+variable] = s
	ts.Setenv(variable, strings.TrimPrefix(s.URL, "http://"))
	ts.Defer(s.Close)
}

func (c *chartServers) find(ts *testscript.TestScript, variable string) *chartServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.known[ts.Name()+" "+variable]
	if s == nil {
		ts.Fatalf("no server %s was started", variable)
	}
	return s
}

func (s *chartServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.URL.Path)
	body, ok := s.files[r.URL.Path]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}

// guarded asks for a user and a password where they are given.
func guarded(next http.Handler, credentials []string) http.Handler {
	if len(credentials) < 2 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != credentials[0] || password != credentials[1] {
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// packedChart is a chart of a script.
type packedChart struct {
	name, version string
	archive       []byte
}

// indexed are the files of a chart repository: its charts and their index.
func indexed(ts *testscript.TestScript, dir string) map[string][]byte {
	files, entries := map[string][]byte{}, map[string][]map[string]any{}
	for _, chart := range packedCharts(ts, dir) {
		name := chart.name + "-" + chart.version + ".tgz"
		files["/"+name] = chart.archive
		sum := sha256.Sum256(chart.archive)
		entries[chart.name] = append(entries[chart.name], map[string]any{
			"apiVersion": "v2", "name": chart.name, "version": chart.version, "urls": []string{name}, "digest": hex.EncodeToString(sum[:]),
		})
	}
	index, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": entries})
	ts.Check(err)
	files["/index.yaml"] = index
	return files
}

// packedCharts packs the charts in the folders of dir, whose names may be anything.
func packedCharts(ts *testscript.TestScript, dir string) []packedChart {
	entries, err := os.ReadDir(dir)
	ts.Check(err)
	var out []packedChart
	for _, entry := range entries {
		var meta struct{ Name, Version string }
		text, err := os.ReadFile(filepath.Join(dir, entry.Name(), "Chart.yaml"))
		ts.Check(err)
		ts.Check(yaml.Unmarshal(text, &meta))
		archive, err := packDir(filepath.Join(dir, entry.Name()), meta.Name)
		ts.Check(err)
		out = append(out, packedChart{meta.Name, meta.Version, archive})
	}
	return out
}

// packDir packs a chart. The same files give the same bytes, whatever Go's compression does.
func packDir(dir, name string) ([]byte, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	for _, path := range names {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: name + "/" + filepath.ToSlash(rel), Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	err = errors.Join(w.Close(), z.Close())
	return b.Bytes(), err
}

// pack is the command of scripts that packs a chart: pack FOLDER FILE.tgz.
func pack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pack FOLDER FILE")
	}
	var meta struct{ Name string }
	text, err := os.ReadFile(filepath.Join(ts.MkAbs(args[0]), "Chart.yaml"))
	ts.Check(err)
	ts.Check(yaml.Unmarshal(text, &meta))
	archive, err := packDir(ts.MkAbs(args[0]), meta.Name)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), archive, 0o644))
}

// expand is the command of scripts that puts the variables into files: ${REPO}.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE…")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

// mask is the command of scripts that copies a file, or stdout or stderr, with the names of variables in place of their
// values, so that it can be compared: mask FROM TO VARIABLE…
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: mask FROM TO VARIABLE…")
	}
	text := ts.ReadFile(args[0])
	for _, variable := range args[2:] {
		if value := ts.Getenv(variable); value != "" {
			text = strings.ReplaceAll(text, value, variable)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}
