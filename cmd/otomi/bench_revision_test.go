package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"
)

// BenchmarkDiffRevisions is what the pull-request view of a fleet costs: a change of a value that all clusters share and of one that
// three have of their own, with clusters of 20 releases, process by process and without a cache.
func BenchmarkDiffRevisions(b *testing.B) {
	otomi := os.Getenv("OTOMI_BIN")
	if otomi == "" {
		b.Skip("make bench builds the binary and sets OTOMI_BIN")
	}
	for _, clusters := range []int{20, 200} {
		dir := newReleases(20, 5).write(b)
		write := func(name, text string) {
			path := filepath.Join(dir, name)
			require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(b, os.WriteFile(path, []byte(text), 0o644))
		}
		var registry strings.Builder
		registry.WriteString("clouds:\n  aws:\n    domain: aws.example.com\n    clusters:\n")
		for i := range clusters {
			fmt.Fprintf(&registry, "      c%03d: {}\n", i)
			write(fmt.Sprintf("env/clouds/aws/c%03d/own.yaml", i), "{}\n")
		}
		write("env/clusters.yaml", registry.String())
		write("env/shared.yaml", "apps: {app0007: {replicas: 2}}\n")
		repo, err := git.PlainInit(dir, false)
		require.NoError(b, err)
		worktree, err := repo.Worktree()
		require.NoError(b, err)
		require.NoError(b, worktree.AddWithOptions(&git.AddOptions{All: true}))
		_, err = worktree.Commit("all", &git.CommitOptions{Author: &object.Signature{Name: "a", When: time.Unix(0, 0)}})
		require.NoError(b, err)
		write("env/shared.yaml", "apps: {app0007: {replicas: 7}}\n")
		for i := range 3 {
			write(fmt.Sprintf("env/clouds/aws/c%03d/own.yaml", i), "apps: {app0011: {replicas: 9}}\n")
		}
		b.Run(fmt.Sprintf("%d-clusters", clusters), func(b *testing.B) {
			for u := (usage{}); b.Loop(); u.report(b) {
				u.run(b, dir, otomi, "diff", "--all", "--against", "HEAD", "--structural", "--no-cache")
			}
		})
	}
}
