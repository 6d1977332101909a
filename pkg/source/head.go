package source

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
)

// Head is what git knows of a directory.
type Head struct {
	// Commit is the hash of the commit that is checked out; "" where there is none yet.
	Commit string
	// Origin names where the directory comes from, the same for everyone who cloned it: HOST/PATH of the remote "origin" as
	// OriginOf has it, and below the root of the repository "//" and the directory's path. It is "" where there is none.
	Origin string
}

// ReadHead reads what git knows of a directory, which is nothing where it is in no git repository. It needs no git binary.
func ReadHead(dir string) (Head, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, fmt.Errorf("opening the git repository: %w", err)
	}
	var head Head
	switch ref, err := repo.Head(); {
	case err == nil:
		head.Commit = ref.Hash().String()
	case !errors.Is(err, plumbing.ErrReferenceNotFound):
		return Head{}, fmt.Errorf("finding HEAD: %w", err)
	}
	remote, err := repo.Remote("origin")
	if err != nil || len(remote.Config().URLs) == 0 {
		return head, nil // none is no failure
	}
	head.Origin = OriginOf(remote.Config().URLs[0])
	worktree, err := repo.Worktree()
	if err != nil || head.Origin == "" {
		return head, nil
	}
	root, err := filepath.EvalSymlinks(worktree.Filesystem.Root())
	if err != nil {
		return head, nil
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return head, nil
	}
	if inside, err := filepath.Rel(root, dir); err == nil && inside != "." {
		head.Origin += "//" + strings.ToLower(filepath.ToSlash(inside))
	}
	return head, nil
}

// OriginOf is a git URL without what differs between those who use it: HOST/PATH in lower case, without scheme, user, usual
// port and .git. A directory, which is another one on every machine, is "".
func OriginOf(address string) string {
	if !strings.Contains(address, "://") {
		host, rest, ok := strings.Cut(address, ":")
		if !ok || len(host) < 2 || strings.ContainsAny(host, `/\`) {
			return ""
		}
		address = "ssh://" + host + "/" + strings.TrimLeft(rest, "/")
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme == "file" {
		return ""
	}
	host := u.Hostname()
	switch port := u.Port(); port {
	case "", "22", "80", "443":
	default:
		host += ":" + port
	}
	return strings.ToLower(host + strings.TrimSuffix(path.Clean("/"+u.Path), ".git"))
}
