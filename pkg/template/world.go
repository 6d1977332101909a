package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Permissions are what the user allowed templates by name.
type Permissions struct {
	// Env holds the variables of the environment that may be read, and their values; one that is not set is empty.
	Env map[string]string
	// AnyEnv says that Env is the whole environment: what is not in it is not set. Otherwise what is not in it is refused.
	AnyEnv bool
	// Exec lets programs be run, by exec and envExec.
	Exec bool
	// Off names what turned the functions off that helmfile calls insecure (exec, envExec, readFile, readDir,
	// readDirEntries); empty where nothing did.
	Off string
}

// Lookup returns a variable of the environment and whether it is set. The error says that it may not be read; function is
// what asks for it.
func (p Permissions) Lookup(function, name string) (value string, set bool, err error) {
	value, known := p.Env[name]
	if !known && !p.AnyEnv {
		return "", false, forbidden{fmt.Sprintf("%s reads the variable %s of the environment, which a template may only where you allow it. "+
			"Allow it: %s", function, name, allowEnv(name))}
	}
	return value, known && (value != "" || p.AnyEnv), nil
}

// allowEnv is the flag that allows a variable: by its name, where the flag can hold that.
func allowEnv(name string) string {
	if strings.ContainsAny(name, " \t\n+,=\"'") || name == "" {
		return "--allow env"
	}
	return "--allow env=" + name
}

// Files are the files that templates read. Names are paths with slashes, as Options.Dir and a path in a template are joined:
// they may lead out of the root with .., and may be absolute. What may not be read is an error made by Forbid.
type Files interface {
	ReadFile(name string) ([]byte, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
}

// Program is a program to be run.
type Program struct {
	Command string
	Args    []string
	// Dir is the directory it runs in, a path like those of Files.
	Dir string
	// Env are variables beside those that every program gets.
	Env   map[string]string
	Stdin string
}

// Programs run programs and return what they write to their standard output. The error names the program and how it ended.
type Programs interface {
	Run(ctx context.Context, p Program) ([]byte, error)
}

// Helper is a text whose named templates others include: a file _*.tpl beside them.
type Helper struct {
	// File is the name it is shown by.
	File string
	Text []byte
}

// Forbid returns the error of what may not be done. The detail ends in the flag that allows it.
func Forbid(detail string) error { return forbidden{detail} }

// Forbidden returns the detail of an error made by Forbid.
func Forbidden(err error) (detail string, ok bool) {
	var f forbidden
	ok = errors.As(err, &f)
	return f.detail, ok
}

// Join returns the path of name as seen from dir: itself where it is absolute.
func Join(dir, name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

// files returns what may be read, or the error that nothing may.
func (r *run) files(function, does string, insecure bool) (Files, error) {
	switch {
	case insecure && r.o.Allow.Off != "":
		return nil, forbidden{fmt.Sprintf("%s %s, and %s turned that off. Unset it.", function, does, r.o.Allow.Off)}
	case r.o.Files == nil:
		return nil, forbidden{fmt.Sprintf("%s %s, which this file may not. ", function, does) + useValues}
	}
	return r.o.Files, nil
}

func (r *run) readFile(name string) (string, error) {
	files, err := r.files("readFile", "reads a file", true)
	if err != nil {
		return "", err
	}
	text, err := files.ReadFile(Join(r.o.Dir, name))
	if err != nil {
		return "", unreadable("readFile", name, err)
	}
	return string(text), nil
}

// readDir returns the files of a directory, each with the path as it was given before it.
func (r *run) readDir(name string) ([]string, error) {
	files, err := r.files("readDir", "reads a directory", true)
	if err != nil {
		return nil, err
	}
	entries, err := files.ReadDir(Join(r.o.Dir, name))
	if err != nil {
		return nil, unreadable("readDir", name, err)
	}
	var paths []string
	for _, e := range entries {
		if !e.IsDir() {
			paths = append(paths, path.Join(name, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

func (r *run) readDirEntries(name string) ([]fs.DirEntry, error) {
	files, err := r.files("readDirEntries", "reads a directory", true)
	if err != nil {
		return nil, err
	}
	entries, err := files.ReadDir(Join(r.o.Dir, name))
	if err != nil {
		return nil, unreadable("readDirEntries", name, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func (r *run) isFile(name string) (bool, error) {
	info, err := r.stat("isFile", name)
	return info != nil && !info.IsDir(), err
}

func (r *run) isDir(name string) (bool, error) {
	info, err := r.stat("isDir", name)
	return info != nil && info.IsDir(), err
}

// stat returns nil for what is not there.
func (r *run) stat(function, name string) (fs.FileInfo, error) {
	files, err := r.files(function, "looks at a file", false)
	if err != nil {
		return nil, err
	}
	info, err := files.Stat(Join(r.o.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(function, name, err)
	}
	return info, nil
}

// unreadable is the error of a file of the author's own naming. It says no more than the name and why.
func unreadable(function, name string, err error) error {
	var refused forbidden
	if errors.As(err, &refused) {
		return refused
	}
	var reason *fs.PathError
	if errors.As(err, &reason) {
		err = reason.Err
	}
	return authoredError{fmt.Sprintf("%s: %s: %v", function, name, err)}
}

// authoredError is an error whose text holds nothing but what the author of the template wrote, so that it may be shown.
type authoredError struct{ text string }

func (e authoredError) Error() string { return e.text }

// exec runs a program as helmfile does (pkg/tmpl, EnvExec): without a shell, in the directory of the file, with all of its
// arguments strings.
func (r *run) exec(command string, args []any, stdin ...string) (string, error) {
	return r.execute("exec", nil, command, args, stdin)
}

func (r *run) envExec(env map[string]any, command string, args []any, stdin ...string) (string, error) {
	return r.execute("envExec", env, command, args, stdin)
}

func (r *run) execute(function string, env map[string]any, command string, args []any, stdin []string) (string, error) {
	switch {
	case r.o.Allow.Off != "":
		return "", forbidden{fmt.Sprintf("%s runs a program, and %s turned that off. Unset it.", function, r.o.Allow.Off)}
	case r.o.Allow.Exec && r.o.Programs == nil:
		return "", forbidden{fmt.Sprintf("%s runs a program (%s), which this file may not. ", function, command) + useValues}
	case !r.o.Allow.Exec:
		return "", forbidden{fmt.Sprintf("%s runs a program (%s), which a template may only where you allow it. Allow it: --allow exec", function, command)}
	}
	p := Program{Command: command, Dir: r.o.Dir, Args: make([]string, len(args))}
	for i, a := range args {
		text, ok := a.(string)
		if !ok {
			return "", authoredError{fmt.Sprintf("%s: the argument %d of %s is of the type %T, and arguments are strings: use toString", function, i, command, a)}
		}
		p.Args[i] = text
	}
	if len(env) > 0 {
		p.Env = make(map[string]string, len(env))
	}
	for name, v := range env {
		text, ok := v.(string)
		if !ok {
			return "", authoredError{fmt.Sprintf("%s: the variable %s of %s is of the type %T, and variables are strings: use toString", function, name, command, v)}
		}
		p.Env[name] = text
	}
	if len(stdin) > 0 {
		p.Stdin = stdin[0]
	}
	out, err := r.o.Programs.Run(r.ctx, p)
	if err != nil {
		return "", authoredError{err.Error()}
	}
	return string(out), nil
}

func (r *run) env(function, name string) (string, error) {
	value, _, err := r.o.Allow.Lookup(function, name)
	return value, err
}

func (r *run) requiredEnv(name string) (string, error) {
	value, err := r.env("requiredEnv", name)
	if err == nil && value == "" {
		err = authoredError{fmt.Sprintf("the variable %s of the environment is required, and is not set or empty", name)}
	}
	return value, err
}

// expandenv replaces $NAME and ${NAME} as os.Expand does, by which sprig's goes; each must be one that may be read. The names
// that a shell alone has ($$, $1, $*) are never set.
func (r *run) expandenv(text string) (string, error) {
	var failed error
	out := variable.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(found[1:], "{"), "}")
		if name == "" || strings.Contains(special, name) {
			return ""
		}
		value, err := r.env("expandenv", name)
		if failed == nil {
			failed = err
		}
		return value
	})
	return out, failed
}

// variable is what os.Expand replaces: a name, one in braces, or an open brace that nothing closes. special are the names of one
// character that a shell has.
const special = "*#$@!?-0123456789"

var variable = regexp.MustCompile(`\$(?:[*#$@!?0-9-]|[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\}|\{)`)
