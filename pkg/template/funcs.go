package template

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/yaml"
)

// funcs are sprig's functions with helmfile's over them (helmfile 1.7, pkg/tmpl/context_funcs.go and
// pkg/maputil; docs/templating_funcs.md), except that those which reach the world ask for permission, and that keys and
// values come in order (Functions).
func (r *run) funcs() template.FuncMap {
	f := Functions()
	f["sprigGet"] = f["get"]
	maps.Copy(f, template.FuncMap{
		"get":            get,
		"getOrNil":       getOrNil,
		"setValueAtPath": setValueAtPath,
		"required":       required,
		"toYaml":         toYAML,
		"fromYaml":       fromYAML,

		"env":         func(name string) (string, error) { return r.env("env", name) },
		"requiredEnv": r.requiredEnv,
		"expandenv": func(string) (string, error) {
			return "", forbidden{"expandenv reads any variable of the environment, which a template may not. " + useValues}
		},
	})
	for name, does := range outside {
		f[name] = func(...any) (any, error) {
			return nil, forbidden{fmt.Sprintf("%s %s, which this version of otomi never lets a template do. ", name, does) + useValues}
		}
	}
	r.Guard(f)
	return f
}

// outside are the functions that reach the world in a way that cannot be allowed yet.
var outside = map[string]string{
	"exec":             "runs a program",
	"envExec":          "runs a program",
	"readFile":         "reads a file",
	"readDir":          "reads a directory",
	"readDirEntries":   "reads a directory",
	"isFile":           "looks at a file",
	"isDir":            "looks at a directory",
	"fetchSecretValue": "asks a secret store",
	"expandSecretRefs": "asks a secret store",
	"getHostByName":    "asks the network",
}

// useValues is what to do in place of asking the world.
const useValues = "Put what it gives into the values repository, and read it from .Values instead."

// allowEnv names the other way out, where the name is one that the flag can hold.
func allowEnv(name string) string {
	if strings.ContainsAny(name, " \t\n+,=\"'") || name == "" {
		return ""
	}
	return " Or allow it: --allow env=" + name
}

func (r *run) env(function, name string) (string, error) {
	value, ok := r.o.Allow.Env[name]
	if !ok && !r.o.Allow.AnyEnv {
		return "", forbidden{fmt.Sprintf("%s reads the variable %s of the environment, which a template may not. ", function, name) +
			useValues + allowEnv(name)}
	}
	return value, nil
}

func (r *run) requiredEnv(name string) (string, error) {
	value, err := r.env("requiredEnv", name)
	if err == nil && value == "" {
		err = fmt.Errorf("the variable %s of the environment is required, and is not set or empty", name)
	}
	return value, err
}

// get follows a dotted path. A key that is there with null is found; a path through anything but a map or a struct is an
// error also with a default, as in helmfile.
func get(path string, args ...any) (any, error) {
	var otherwise *any
	switch len(args) {
	case 1:
	case 2:
		otherwise = &args[0]
	default:
		return nil, fmt.Errorf("get takes a path, perhaps a default, and a map; it was given %d arguments", len(args)+1)
	}
	v := args[len(args)-1]
	if path == "" {
		return v, nil
	}
	for name := range strings.SplitSeq(path, ".") {
		next, err := step(v, name, path)
		if err == nil {
			v = next
			continue
		}
		var absent undefined
		if otherwise != nil && errors.As(err, &absent) && absent.keys != nil {
			return *otherwise, nil
		}
		return nil, err
	}
	return v, nil
}

// step goes from v to what it has under name. The error is undefined; it has keys, perhaps none, where v can hold a name.
func step(v any, name, path string) (any, error) {
	absent := undefined{detail: fmt.Sprintf("get %q: there is no %q.", path, name), key: name, keys: []string{}}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer || rv.Kind() == reflect.Interface {
		rv = rv.Elem()
	}
	switch rv.Kind() {
	case reflect.Map:
		if rv.Type().Key().Kind() != reflect.String {
			break
		}
		item := rv.MapIndex(reflect.ValueOf(name).Convert(rv.Type().Key()))
		if item.IsValid() {
			return item.Interface(), nil
		}
		for _, k := range rv.MapKeys() {
			absent.keys = append(absent.keys, k.String())
		}
		return nil, absent
	case reflect.Struct:
		field := rv.FieldByName(name)
		if field.IsValid() && field.CanInterface() {
			return field.Interface(), nil
		}
		return nil, absent
	}
	kind := "null"
	if rv.IsValid() {
		kind = "a value of the type " + rv.Kind().String()
	}
	return nil, undefined{detail: fmt.Sprintf("get %q: %q is looked for in %s, which is no map.", path, name, kind), key: name}
}

func getOrNil(path string, v any) (any, error) {
	found, err := get(path, v)
	var absent undefined
	if errors.As(err, &absent) {
		return nil, nil
	}
	return found, err
}

// setValueAtPath sets a value in a map and returns the map. The maps on the way must be there.
func setValueAtPath(path string, v any, m map[string]any) (map[string]any, error) {
	names := strings.Split(path, ".")
	at := m
	for i, name := range names[:len(names)-1] {
		next, ok := at[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("setting a value: there is no map at %s", strings.Join(names[:i+1], "."))
		}
		at = next
	}
	at[names[len(names)-1]] = v
	return m, nil
}

// required fails on null and "" alone: false and 0 are values.
func required(message string, v any) (any, error) {
	if v == nil || v == "" {
		return nil, errors.New(message)
	}
	return v, nil
}

func toYAML(v any) (string, error) {
	text, err := yaml.Marshal(v)
	return string(text), err
}

// fromYAML reads as state files are read: helmfile's functions and its state files share one reading.
func fromYAML(text string) (any, error) {
	root, ds := yaml.ReadState([]byte(text), yaml.ReadOptions{File: "fromYaml"})
	for _, d := range ds {
		if d.Severity == diag.Error {
			return nil, fmt.Errorf("reading YAML at line %d: %s", d.Range.Start.Line, d.Code.Summary())
		}
	}
	return clone(root.Plain(), map[uintptr]any{}), nil
}

// keys and values are sprig's, which take Go's random order of maps; sorted, a template writes the same text every time.
func keys(dicts ...map[string]any) []string {
	out := []string{}
	for _, d := range dicts {
		out = append(out, slices.Sorted(maps.Keys(d))...)
	}
	return out
}

func values(dict map[string]any) []any {
	out := []any{}
	for _, k := range keys(dict) {
		out = append(out, dict[k])
	}
	return out
}
