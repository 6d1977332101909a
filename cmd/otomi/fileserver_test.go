package main

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-billy/v5/util"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
	"github.com/go-git/go-git/v5/storage/memory"
	"github.com/rogpeppe/go-internal/testscript"
)

// fileServer is the command of scripts that serves files over plain HTTP at the loopback:
//
//	file-server VARIABLE FOLDER [USER PASSWORD]    the files of the folder
//
// It is stopped, and its requests are counted, by chart-repo.
func (c *chartServers) fileServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: file-server VARIABLE FOLDER [USER PASSWORD]")
	}
	root := ts.MkAbs(args[1])
	s := &chartServer{files: map[string][]byte{}}
	ts.Check(filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		s.files["/"+filepath.ToSlash(name[len(root)+1:])] = text
		return err
	}))
	s.Server = httptest.NewServer(guarded(http.HandlerFunc(s.serve), args[2:]))
	c.add(ts, args[0], s)
}

// gitServer is the command of scripts that serves a git repository, /repo.git, over plain HTTP at the loopback:
//
//	git-server VARIABLE FOLDER [USER PASSWORD]    each folder of FOLDER is a commit with its name as a tag, the last one HEAD
func (c *chartServers) gitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: git-server VARIABLE FOLDER [USER PASSWORD]")
	}
	store := memory.NewStorage()
	revisions, err := os.ReadDir(ts.MkAbs(args[1]))
	ts.Check(err)
	for _, r := range revisions {
		files := memfs.New()
		repository, err := git.Open(store, files)
		if err != nil {
			repository, err = git.Init(store, files)
		}
		ts.Check(err)
		root := filepath.Join(ts.MkAbs(args[1]), r.Name())
		ts.Check(filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			return util.WriteFile(files, filepath.ToSlash(name[len(root)+1:]), text, 0o644)
		}))
		w, err := repository.Worktree()
		ts.Check(err)
		ts.Check(w.AddWithOptions(&git.AddOptions{All: true}))
		who := &object.Signature{Name: "a", Email: "a@example.com", When: time.Unix(1, 0)}
		commit, err := w.Commit(r.Name(), &git.CommitOptions{Author: who, Committer: who})
		ts.Check(err)
		_, err = repository.CreateTag(r.Name(), commit, nil)
		ts.Check(err)
		ts.Setenv("COMMIT_"+r.Name(), commit.String())
	}
	s := &chartServer{}
	handler := gitRepository{store}
	s.Server = httptest.NewServer(guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		s.mu.Unlock()
		handler.ServeHTTP(w, r)
	}), args[2:]))
	c.add(ts, args[0], s)
}

// gitRepository serves /repo.git by git's own protocol.
type gitRepository struct{ store storer.Storer }

func (g gitRepository) Load(*transport.Endpoint) (storer.Storer, error) { return g.store, nil }

func (g gitRepository) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session, err := server.NewServer(g).NewUploadPackSession(&transport.Endpoint{}, nil)
	if err == nil {
		switch r.Method + " " + r.URL.Path {
		case "GET /repo.git/info/refs":
			var refs *packp.AdvRefs
			if refs, err = session.AdvertisedReferencesContext(r.Context()); err == nil {
				refs.Prefix = [][]byte{[]byte("# service=git-upload-pack"), pktline.Flush}
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
				err = refs.Encode(w)
			}
		case "POST /repo.git/git-upload-pack":
			req := packp.NewUploadPackRequest()
			if err = req.Decode(r.Body); err == nil {
				var answer *packp.UploadPackResponse
				if answer, err = session.UploadPack(r.Context(), req); err == nil {
					w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
					err = answer.Encode(w)
				}
			}
		default:
			http.NotFound(w, r)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
	}
}
