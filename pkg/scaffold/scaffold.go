// Package scaffold writes new values repositories, and never over an edit.
//
// Its files are templates that the binary carries. A file that already exists is left as it is, whatever wrote it, so
// that a second run changes nothing that was edited. The package asks no questions and knows no values; it only writes.
package scaffold

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/redkubes/otomi/pkg/diag"
)

// Demo is the profile of the example: two clouds, three clusters, two teams.
const Demo = "demo"

// DemoCluster is the cluster of the example that is there to be applied to.
const DemoCluster = "aws/demo"

// Profiles are the names that Answers.Profile knows besides "".
func Profiles() []string { return []string{Demo} }

// Answers are what a new values repository has to know.
type Answers struct {
	// Cluster is the first cluster, CLOUD/NAME. The demo brings its own; there it is empty or DemoCluster.
	Cluster string
	// Domain is the cluster's own domain. In the demo it is the one that all its domains end in, and may be empty.
	Domain string
	// KubeContext is the context of the kubeconfig that reaches the cluster; empty leaves it open, and means the
	// playground's in the demo.
	KubeContext string
	// Profile is "" for a repository with one cluster and commented examples, or one of Profiles.
	Profile string
}

// Options of Bootstrap.
type Options struct {
	// EditorSchema is the schema of the values for an editor, as JSON; nil writes none.
	EditorSchema []byte
}

// Result says what became of each file; the names are relative to the directory, with slashes, in order.
type Result struct {
	// Written are the files that were not there.
	Written []string
	// Unchanged are the files that were there with the very same content.
	Unchanged []string
	// Left are the files that were there with other content, and still are.
	Left []string
}

// Bootstrap writes a values repository into dir, which it makes if need be. The diagnostics are about the answers; then
// nothing was written. An error means that a file could not be read or written, or is a link that leads out of dir; the
// result says what was written until then, and a second run goes on from there.
func Bootstrap(dir string, a Answers, o Options) (Result, diag.Diagnostics, error) {
	d, ds := dataOf(a)
	if ds.HasErrors() {
		return Result{}, ds, nil
	}
	files, err := render(d)
	if err != nil {
		return Result{}, nil, err
	}
	if o.EditorSchema != nil {
		files[".vscode/values.schema.json"] = o.EditorSchema
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Result{}, nil, fmt.Errorf("making the directory of the repository: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, nil, fmt.Errorf("opening the directory of the repository: %w", err)
	}
	defer root.Close()
	result, err := place(root, files)
	return result, nil, err
}

// place writes what is missing. It looks at every file first, so that one it can't handle stops it before it wrote any.
func place(root *os.Root, files map[string][]byte) (Result, error) {
	var result Result
	var missing []string
	for _, name := range sortedNames(files) {
		found, err := read(root, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return Result{}, err
		case bytes.Equal(found, files[name]):
			result.Unchanged = append(result.Unchanged, name)
		default:
			result.Left = append(result.Left, name)
		}
	}
	for _, name := range missing {
		if err := write(root, name, files[name]); err != nil {
			return result, err
		}
		result.Written = append(result.Written, name)
	}
	return result, nil
}

// read returns a file's content; the error is fs.ErrNotExist only where nothing of that name is there, not even a link.
func read(root *os.Root, name string) ([]byte, error) {
	if _, err := root.Lstat(filepath.FromSlash(name)); errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	content, err := root.ReadFile(filepath.FromSlash(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("writing %s: it is a link to nothing; remove it and run again", name)
	case err != nil:
		return nil, refusal(root, name, err)
	}
	return content, nil
}

// write makes a file and its directories. The file appears whole or not at all.
func write(root *os.Root, name string, content []byte) (err error) {
	if err := root.MkdirAll(filepath.FromSlash(path.Dir(name)), 0o755); err != nil {
		return refusal(root, name, err)
	}
	temp := filepath.FromSlash(path.Join(path.Dir(name), ".otomi-"+rand.Text()+".tmp"))
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return refusal(root, name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temp))
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return refusal(root, name, err)
	}
	if err := root.Rename(temp, filepath.FromSlash(name)); err != nil {
		return refusal(root, name, err)
	}
	return nil
}

// refusal wraps what the file system said about a file of the repository, and names what stands in the file's way: a
// link, which is not followed out of the repository, or something where a directory should be.
func refusal(root *os.Root, name string, err error) error {
	segments := strings.Split(name, "/")
	for i := range segments {
		prefix := strings.Join(segments[:i+1], "/")
		info, lstatErr := root.Lstat(filepath.FromSlash(prefix))
		switch {
		case lstatErr != nil:
			return fmt.Errorf("writing %s: %w", name, err)
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("writing %s: %w: %s is a link; remove it and run again", name, err, prefix)
		case i < len(segments)-1 && !info.IsDir():
			return fmt.Errorf("writing %s: %w: %s is no directory; move it away and run again", name, err, prefix)
		}
	}
	return fmt.Errorf("writing %s: %w", name, err)
}

//go:embed all:files
var templates embed.FS

// data is what the templates see.
type data struct {
	Profile, Cluster, Cloud, Name, Domain, KubeContext string
	// Flag and All are how the README's commands name the cluster, and every cluster.
	Flag, All string
}

var (
	label  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	domain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	plain  = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_./@]*$`)
	// control are the characters that no context name has and that would hide in a file.
	control = regexp.MustCompile(`\pC`)
)

func dataOf(a Answers) (data, diag.Diagnostics) {
	var ds diag.Diagnostics
	refuse := func(code diag.Code, detail string) {
		ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: code, Detail: detail})
	}
	d := data{Profile: a.Profile, Cluster: a.Cluster, Domain: a.Domain, KubeContext: a.KubeContext}
	switch a.Profile {
	case "":
	case Demo:
		if a.Cluster != "" && a.Cluster != DemoCluster {
			refuse(diag.BootstrapAnswer, fmt.Sprintf("The profile %s brings its own clusters, and %q is none of them. "+
				"Leave --cluster out, or leave --profile out for a repository with that cluster.", Demo, a.Cluster))
			return data{}, ds
		}
		d.Cluster, d.Flag, d.All = DemoCluster, " -c "+DemoCluster, " --all"
		if d.Domain == "" {
			d.Domain = "example.com"
		}
		if d.KubeContext == "" {
			d.KubeContext = "playground"
		}
	default:
		refuse(diag.BootstrapAnswer, fmt.Sprintf("There is no profile %q. Use --profile %s, or none.",
			a.Profile, strings.Join(Profiles(), "|")))
	}

	cloud, name, ok := strings.Cut(d.Cluster, "/")
	d.Cloud, d.Name = cloud, name
	switch {
	case d.Cluster == "":
		refuse(diag.BootstrapAnswer, "A values repository needs a cluster. Name it: --cluster CLOUD/NAME, such as aws/demo.")
	case !ok || !label.MatchString(cloud) || !label.MatchString(name):
		refuse(diag.ClusterInvalidName, fmt.Sprintf("A cluster is called CLOUD/NAME, each part of lower-case letters, "+
			"digits and inner dashes, at most 63; %q is not. Type something like --cluster aws/demo.", d.Cluster))
	}
	switch {
	case d.Domain == "":
		refuse(diag.BootstrapAnswer, "The cluster needs a domain. Name it: --domain DOMAIN, such as demo.example.com.")
	case len(d.Domain) > 253 || !domain.MatchString(d.Domain):
		refuse(diag.BootstrapAnswer, fmt.Sprintf("%q is no domain: lower-case letters, digits and inner dashes between "+
			"dots. Type something like --domain demo.example.com.", d.Domain))
	}
	if control.MatchString(d.KubeContext) || !utf8.ValidString(d.KubeContext) {
		refuse(diag.BootstrapAnswer, fmt.Sprintf("The context %q has an unprintable character. Type it as "+
			"`kubectl config get-contexts` prints it: --kube-context CONTEXT.", d.KubeContext))
	}
	return d, ds
}

// render returns the files of a repository by their names. The files of a profile join those that all have.
func render(d data) (map[string][]byte, error) {
	profile := d.Profile
	if profile == "" {
		profile = "single"
	}
	files := map[string][]byte{}
	for _, dir := range []string{"files/common", "files/" + profile} {
		err := fs.WalkDir(templates, dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := templates.ReadFile(name)
			if err != nil {
				return err
			}
			t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"yaml": scalar}).Parse(string(text))
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, d); err != nil {
				return err
			}
			files[target(strings.TrimPrefix(name, dir+"/"), d)] = b.Bytes()
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("filling in the files of the repository: %w", err)
		}
	}
	return files, nil
}

// target is the name in the repository of an embedded file. A leading dot is spelt "dot-" here, or git would obey a
// .gitignore among our own files; CLOUD and CLUSTER stand for the names of the cluster.
func target(name string, d data) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		switch rest, dotted := strings.CutPrefix(part, "dot-"); {
		case dotted:
			parts[i] = "." + rest
		case part == "CLOUD":
			parts[i] = d.Cloud
		case part == "CLUSTER":
			parts[i] = d.Name
		}
	}
	return strings.Join(parts, "/")
}

// scalar writes a string as a YAML scalar that every reader takes for that string: plain where nothing else is
// thinkable, else as JSON, which is YAML.
func scalar(s string) (string, error) {
	words := []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
	if plain.MatchString(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
