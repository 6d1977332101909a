package main

import (
	"errors"
	"time"

	"github.com/go-git/go-git/v5"
	gitobject "github.com/go-git/go-git/v5/plumbing/object"
	"github.com/rogpeppe/go-internal/testscript"
)

// commit AUTHOR DATE FILE... commits files of the script's directory, which becomes a git repository with the first
// commit. Hashes depend on nothing else.
func commit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: commit AUTHOR DATE FILE...")
	}
	when, err := time.Parse(time.RFC3339, args[1])
	ts.Check(err)
	repo, err := git.PlainOpen(ts.MkAbs("."))
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.PlainInit(ts.MkAbs("."), false)
	}
	ts.Check(err)
	worktree, err := repo.Worktree()
	ts.Check(err)
	for _, file := range args[2:] {
		_, err := worktree.Add(file)
		ts.Check(err)
	}
	who := &gitobject.Signature{Name: args[0], Email: args[0] + "@example.com", When: when}
	_, err = worktree.Commit("change", &git.CommitOptions{Author: who, Committer: who})
	ts.Check(err)
}
