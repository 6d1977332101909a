package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/utils/diff"
)

// The bounds of a look into the history.
const (
	// maxCommits is how many commits are looked at for one line.
	maxCommits = 10_000
	// maxText is the longest text that is compared line by line, in bytes.
	maxText = 4 << 20
)

// Change is what git knows of a line.
type Change struct {
	// Commit is the hash of the commit that last touched the line, or "" where it is not committed yet.
	Commit string
	// Author is the name of the commit's author, and Date when he wrote it.
	Author string
	Date   time.Time
	// OrEarlier says that the history ends at this commit (a shallow clone) or was not followed further, so that the line
	// may be older.
	OrEarlier bool
}

// LastChange finds the commit that last touched a line of a file, counted from 1 in the file as it is now. It follows the
// line back from HEAD, as git blame does, but not beyond a renaming of the file, and needs no git binary. It returns found
// false where the file is in no git repository. It opens the repository anew each time: go-git's is not safe for
// concurrent use.
func LastChange(ctx context.Context, file string, line int) (_ Change, found bool, err error) {
	repo, err := git.PlainOpenWithOptions(filepath.Dir(file), &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return Change{}, false, nil
	}
	if err != nil {
		return Change{}, false, fmt.Errorf("opening the git repository: %w", err)
	}
	worktree, err := repo.Worktree()
	if errors.Is(err, git.ErrIsBareRepository) {
		return Change{}, false, nil
	}
	if err != nil {
		return Change{}, false, fmt.Errorf("opening the git repository: %w", err)
	}
	path, err := filepath.Rel(worktree.Filesystem.Root(), file)
	if err != nil || !filepath.IsLocal(path) {
		return Change{}, false, nil
	}
	text, err := ReadFile(file, maxText)
	if err != nil {
		return Change{}, false, err
	}
	head, err := repo.Head()
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return Change{}, true, nil // there is no commit yet
	}
	if err != nil {
		return Change{}, false, fmt.Errorf("finding HEAD: %w", err)
	}
	commit, err := repo.CommitObject(head.Hash())
	if err != nil {
		return Change{}, false, fmt.Errorf("reading the commit of HEAD: %w", err)
	}
	h := history{path: filepath.ToSlash(path)}
	blob, err := h.blob(commit)
	if err != nil || blob == nil {
		return Change{}, err == nil, err
	}
	line, err = h.follow(string(text), blob, line)
	if err != nil || line == 0 {
		return Change{}, err == nil, err
	}
	change, err := h.last(ctx, commit, blob, line)
	return change, err == nil, err
}

// history follows one file.
type history struct{ path string }

// last goes back from a commit, whose file is blob, to the commit that made a line of it.
func (h history) last(ctx context.Context, commit *object.Commit, blob *object.File, line int) (Change, error) {
	for range maxCommits {
		if err := ctx.Err(); err != nil {
			return Change{}, fmt.Errorf("following the history: %w", err)
		}
		parents, shallow, err := h.parents(commit)
		if err != nil {
			return Change{}, err
		}
		var next *version
		for _, p := range parents {
			if p.blob != nil && p.blob.Hash == blob.Hash {
				next = &version{commit: p.commit, blob: p.blob, line: line}
				break
			}
		}
		for i := 0; next == nil && i < len(parents); i++ {
			p := parents[i]
			if p.blob == nil {
				continue
			}
			text, err := contents(blob)
			if err != nil {
				return Change{}, err
			}
			before, err := h.follow(text, p.blob, line)
			if err != nil {
				return Change{}, err
			}
			if before > 0 {
				next = &version{commit: p.commit, blob: p.blob, line: before}
			}
		}
		if next == nil {
			return changeOf(commit, shallow), nil
		}
		commit, blob, line = next.commit, next.blob, next.line
	}
	return changeOf(commit, true), nil
}

func changeOf(c *object.Commit, orEarlier bool) Change {
	return Change{Commit: c.Hash.String(), Author: c.Author.Name, Date: c.Author.When, OrEarlier: orEarlier}
}

// version is the file at a commit, and where the line stands in it.
type version struct {
	commit *object.Commit
	blob   *object.File
	line   int
}

// parents returns the parents of a commit with their versions of the file, and whether one is missing, as in a shallow
// clone.
func (h history) parents(c *object.Commit) (out []version, shallow bool, err error) {
	for i := range c.ParentHashes {
		parent, err := c.Parent(i)
		if errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, object.ErrParentNotFound) {
			shallow = true
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading a commit: %w", err)
		}
		blob, err := h.blob(parent)
		if err != nil {
			return nil, false, err
		}
		out = append(out, version{commit: parent, blob: blob})
	}
	return out, shallow, nil
}

// blob returns the file at a commit, or nil where it is not there.
func (h history) blob(c *object.Commit) (*object.File, error) {
	f, err := c.File(h.path)
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s at commit %s: %w", h.path, c.Hash, err)
	}
	return f, nil
}

// follow returns where a line of text stands in an earlier version, or 0 where it was not there.
func (h history) follow(text string, earlier *object.File, line int) (int, error) {
	before, err := contents(earlier)
	if err != nil {
		return 0, err
	}
	// Git may keep a file with other line ends than it checks out.
	return earlierLine(strings.ReplaceAll(before, "\r\n", "\n"), strings.ReplaceAll(text, "\r\n", "\n"), line), nil
}

// earlierLine returns the number that a line of the text after has in the text before, or 0 where it is new.
func earlierLine(before, after string, line int) int {
	if before == after {
		return line
	}
	if !strings.HasSuffix(before, "\n") {
		before += "\n" // a line is the same with and without its end
	}
	if !strings.HasSuffix(after, "\n") {
		after += "\n"
	}
	was, is := 0, 0
	for _, d := range diff.Do(before, after) {
		n := strings.Count(d.Text, "\n")
		switch {
		case d.Type < 0: // deleted
			was += n
		case d.Type > 0: // inserted
			if is += n; line <= is {
				return 0
			}
		case line <= is+n:
			return was + line - is
		default:
			was, is = was+n, is+n
		}
	}
	return 0
}

func contents(f *object.File) (string, error) {
	if f.Size > maxText {
		return "", fmt.Errorf("reading %s: it has more than %d bytes", f.Name, maxText)
	}
	text, err := f.Contents()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", f.Name, err)
	}
	return text, nil
}
