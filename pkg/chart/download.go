package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/redkubes/otomi/pkg/diag"
)

// maxDownload is how large a file of a state may be, in bytes: what is read of a local one.
const maxDownload = 16 << 20

// Download is what an address in a state file leads to.
type Download struct {
	// FS are the files: those of a git repository, or of a directory of it, or one file alone. It is safe for concurrent use,
	// and no link leads out of it.
	FS fs.FS
	// Name is the path in FS that the address names, which may not be there.
	Name string
	// ID tells FS from that of another address. It may hold a password.
	ID string
	// Shown is what FS is shown as: HOST/REPOSITORY@REVISION, or HOST/DIRECTORY of a file.
	Shown string
}

// Download gets what an address names as helmfile has it for files of a state (helmfile 1.7, pkg/remote, Parse): a file
// https://HOST/PATH, or git::https://HOST/REPOSITORY[//DIRECTORY]@PATH[?ref=REVISION]. Helmfile's cache=false is taken and
// changes nothing: what is there now is asked for, once for a Remote; what a commit holds is kept in the cache, which may be
// nil. What helmfile fetches beside these is refused by name.
//
// A diagnostic has no place; the error is a network that fails.
func (r *Remote) Download(ctx context.Context, address string, kept Cache) (Download, diag.Diagnostics, error) {
	var out Download
	p, err := r.source(address)
	if err == nil {
		timed, cancel := context.WithTimeoutCause(ctx, r.o.TotalTimeout, fmt.Errorf("it took longer than %v", r.o.TotalTimeout))
		defer cancel()
		user := url.UserPassword(p.username, p.password).String()
		key := strings.Join([]string{string(p.kind), user, p.url.String(), p.revision, p.path}, "\x00")
		out, _, err = r.downloads.get(timed, key, diag.Range{}, func() (Download, diag.Diagnostics, error) {
			var out Download
			var err error
			if p.kind == atGit {
				out, err = r.downloadTree(timed, p, kept)
			} else {
				out, err = r.downloadFile(timed, p)
			}
			return out, nil, err
		})
		if err != nil && timed.Err() != nil && ctx.Err() == nil {
			err = context.Cause(timed)
		}
		out.ID = key
		if p.kind == atGit {
			out.Name = p.name
		}
	}
	if err == nil {
		return out, nil, nil
	}
	var f fault
	if errors.As(err, &f) {
		if f.code != diag.TemplateForbidden {
			f.code = diag.RunlevelRemote
		}
		return Download{}, diag.Diagnostics{{Severity: diag.Error, Code: f.code, Detail: f.detail}}, nil
	}
	return Download{}, nil, fmt.Errorf("fetching %s: %w", p.display, clean(err))
}

// SecretsOf returns what of an address in a state file no writer may show: its password, and values of its query that may be
// tokens.
func SecretsOf(address string) []string {
	_, rest := forcedGetter(address)
	u, err := url.Parse(rest)
	if err != nil {
		return nil
	}
	var out []string
	if password, ok := u.User.Password(); ok && password != "" {
		out = append(out, password)
	}
	for key, texts := range u.Query() {
		if !secretQuery.MatchString(key) {
			continue
		}
		for _, text := range texts {
			if text != "" {
				out = append(out, text)
			}
		}
	}
	return out
}

// secretQuery are the keys of queries that hold secrets (helmfile 1.7, pkg/remote, Fetch).
var secretQuery = regexp.MustCompile(`(?i)token|password|secret|key|signature`)

// forcedGetter splits the name of a getter off an address: git::https://….
func forcedGetter(address string) (getter, rest string) {
	if getter, rest, ok := strings.Cut(address, "::"); ok && getterName.MatchString(getter) {
		return getter, rest
	}
	return "", address
}

var getterName = regexp.MustCompile(`^[A-Za-z0-9+.-]+$`)

// gitForm is what is written for a file in git.
const gitForm = "git::https://HOST/REPOSITORY.git@PATH/TO/FILE?ref=TAG"

// source takes the address of a file apart. The error is a fault.
func (r *Remote) source(address string) (place, error) {
	getter, rest := forcedGetter(address)
	u, err := url.Parse(rest)
	if err != nil {
		// The text is not shown: what can't be parsed may hold a password anywhere.
		return place{}, faultf(diag.RunlevelRemote, "the address is no URL. Write https://HOST/PATH/TO/FILE or %s", gitForm)
	}
	scheme := strings.ToLower(u.Scheme)
	web := scheme == "http" || scheme == "https"
	switch {
	case getter == "git" && scheme == "ssh":
		return place{}, faultf(diag.RunlevelRemote, "otomi has no ssh and no ssh keys. Write git::https://%s%s, with a token from the environment where it asks for one",
			hostOf(&url.URL{Host: u.Hostname()}), u.Path)
	case getter == "git" && !web:
		return place{}, faultf(diag.RunlevelRemote, "otomi fetches from git over https alone. Write %s, or name a local file by its path", gitForm)
	case getter == "s3", scheme == "s3":
		return place{}, faultf(diag.RunlevelRemote, "otomi fetches nothing from S3. Write the https:// address of the object, presigned where it is private, or %s", gitForm)
	case getter == "http" || getter == "https":
		return place{}, faultf(diag.RunlevelRemote, "otomi unpacks no archives of files. Write %s, or the https:// address of the file itself", gitForm)
	case getter != "" && getter != "git":
		return place{}, faultf(diag.RunlevelRemote, "otomi has no getter %q. Write https://HOST/PATH/TO/FILE or %s", getter, gitForm)
	case strings.HasPrefix(scheme, "git"):
		return place{}, faultf(diag.RunlevelRemote, "a file in git is named in another form here, as in helmfile. Write %s", gitForm)
	case !web:
		return place{}, faultf(diag.RunlevelRemote, "otomi fetches no files over %q. Write https://HOST/PATH/TO/FILE or %s", u.Scheme, gitForm)
	case u.Host == "":
		return place{}, faultf(diag.RunlevelRemote, "the address names no host. Write https://HOST/PATH/TO/FILE or %s", gitForm)
	}
	p := place{url: u, kind: atAddress, file: true, repository: Repository{
		PlainHTTP: r.o.PlainHTTP, SkipTLSVerify: r.o.SkipTLSVerify, CAFile: r.o.CAFile, CertFile: r.o.CertFile, KeyFile: r.o.KeyFile,
	}}
	if err := p.own(nil); err != nil {
		return place{}, err
	}
	p.display = hostOf(u) + u.Path
	if getter == "git" {
		p.kind = atGit
		if err := p.splitGetter(); err != nil {
			return place{}, err
		}
	} else if name := path.Base(u.Path); name == "." || name == "/" {
		return place{}, faultf(diag.RunlevelRemote, "the address %s names no file. Write https://HOST/PATH/TO/FILE", p.display)
	}
	switch host := hostOf(u); {
	case !r.o.Allow(host):
		flag := "net=" + host
		if scheme == "http" {
			flag = "net" // what a host alone allows is TLS
		}
		return place{}, faultf(diag.TemplateForbidden,
			"%s is on the network, which a state file may only reach where you allow it. Allow it: --allow %s", p.display, flag)
	case u.Scheme == "http" && !r.o.PlainHTTP:
		return place{}, faultf(diag.RunlevelRemote, "%s would be asked without TLS, so that anyone on the way could hand out another file. "+
			"Write https://, or allow it as helmfile does, for every host: --allow net", host)
	}
	return p, nil
}

// splitGetter takes directory, file and revision off an address git::https://HOST/REPOSITORY[//DIRECTORY]@PATH[?ref=REVISION].
func (p *place) splitGetter() error {
	query, err := url.ParseQuery(p.url.RawQuery)
	if err != nil {
		return faultf(diag.RunlevelRemote, "the query of the address is none. Write %s", gitForm)
	}
	for key := range query {
		switch key {
		case "ref", "cache", "depth":
		default:
			return faultf(diag.RunlevelRemote, "the address of %s has the option %q, which otomi has not. Write %s", p.display, key, gitForm)
		}
	}
	p.revision = query.Get("ref")
	repository, name, ok := strings.Cut(p.url.Path, "@")
	if !ok || name == "" || strings.Contains(name, "@") {
		return faultf(diag.RunlevelRemote, "the address %s does not say where the repository ends and the path in it begins. Write one @ between them: %s", p.display, gitForm)
	}
	dir := ""
	if i := strings.Index(strings.TrimPrefix(repository, "/"), "//"); i >= 0 {
		i += len(repository) - len(strings.TrimPrefix(repository, "/"))
		repository, dir = repository[:i], repository[i+2:]
	}
	repository = strings.TrimSuffix(repository, "/")
	if strings.Trim(repository, "/") == "" {
		return faultf(diag.RunlevelRemote, "the address %s names no repository. Write %s", p.display, gitForm)
	}
	p.path = strings.TrimPrefix(path.Clean("/"+dir), "/")
	p.name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if p.name == "" {
		p.name = "."
	}
	p.url.Path, p.url.RawPath, p.url.RawQuery, p.url.Fragment = repository, "", "", ""
	p.display = path.Join(hostOf(p.url), repository)
	if p.revision != "" {
		p.display += "@" + p.revision
	}
	return nil
}

// downloadFile gets one file.
func (r *Remote) downloadFile(ctx context.Context, p place) (Download, error) {
	at := *p.url
	at.Fragment = ""
	if query := at.Query(); query.Has("cache") { // helmfile's own
		query.Del("cache")
		at.RawQuery = query.Encode()
	}
	name := path.Base(at.Path)
	data, err := r.get(ctx, p, &at, "the file "+name, maxDownload)
	if err != nil {
		var f fault
		switch host := hostOf(&at); {
		case !errors.As(err, &f):
		case f.code == diag.ChartUnauthorized && p.password != "":
			err = faultf(diag.RunlevelRemote, "%s does not accept the credentials for %s. Correct them", host, p.display)
		case f.code == diag.ChartUnauthorized:
			err = faultf(diag.RunlevelRemote, "%s wants credentials for %s. Put them into the address from the environment: "+
				`https://USER:{{ requiredEnv "TOKEN" }}@%s/…`, host, p.display, host)
		case f.code == diag.ChartMissing:
			err = faultf(diag.RunlevelRemote, "%s has no file %s. Correct the address", host, at.Path)
		}
		return Download{}, err
	}
	return Download{FS: oneFile{name, data}, Name: name, Shown: path.Dir(p.display)}, nil
}

// downloadTree gets the files of a git repository at one commit. They stay packed, in memory and in the cache.
func (r *Remote) downloadTree(ctx context.Context, p place, kept Cache) (Download, error) {
	pack, commit, err := r.packed(ctx, p, kept)
	if err != nil {
		return Download{}, err
	}
	objects := memory.NewStorage()
	if err := packfile.UpdateObjectStorage(objects, bytes.NewReader(pack)); err != nil {
		return Download{}, fmt.Errorf("reading what %s sent: %w", hostOf(p.url), err)
	}
	tree, err := treeOf(objects, commit)
	if err != nil {
		return Download{}, faultf(diag.RunlevelRemote, "%s did not send the commit %s. Correct the revision", hostOf(p.url), commit)
	}
	out := Download{FS: &gitTree{objects: objects, root: tree}, Name: p.name, Shown: p.display}
	if p.path != "" {
		if tree, err = tree.Tree(p.path); err != nil {
			return Download{}, faultf(diag.RunlevelRemote, "the git repository %s has no directory %s at %s. Correct the path behind //", p.display, p.path, commit)
		}
		out.FS = &gitTree{objects: objects, root: tree}
		out.Shown = path.Join(p.display, p.path)
	}
	return out, nil
}

// packed returns the pack of the commit that a place means: from the cache, where it is known by its hash.
func (r *Remote) packed(ctx context.Context, p place, kept Cache) ([]byte, plumbing.Hash, error) {
	key := func(commit plumbing.Hash) string {
		return "git pack\x00" + origin(p.url) + p.url.Path + "\x00" + commit.String()
	}
	look := func(commit plumbing.Hash) ([]byte, bool) {
		if kept == nil {
			return nil, false
		}
		return kept.Get(key(commit))
	}
	if plumbing.IsHash(p.revision) {
		commit := plumbing.NewHash(p.revision)
		if pack, ok := look(commit); ok {
			return pack, commit, nil
		}
	}
	session, refs, err := r.git(ctx, p)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	commit, err := revision(p, refs)
	if err != nil {
		return nil, commit, err
	}
	if pack, ok := look(commit); ok {
		return pack, commit, nil
	}
	pack, err := r.pack(ctx, p, session, refs, commit)
	if err != nil {
		return nil, commit, err
	}
	if err := checkPack(p, pack); err != nil {
		return nil, commit, err
	}
	if kept != nil {
		_ = kept.Put(key(commit), pack) // it can be fetched again
	}
	return pack, commit, nil
}
