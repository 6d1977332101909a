package template

import (
	"bytes"
	"cmp"
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
// values come in order (Functions). Only those that uses names are returned: to put them all under bounds takes longer than most
// templates do.
func (r *run) funcs(uses func(name string) bool) template.FuncMap {
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
		"expandenv":   r.expandenv,

		"exec":           r.exec,
		"envExec":        r.envExec,
		"readFile":       r.readFile,
		"readDir":        r.readDir,
		"readDirEntries": r.readDirEntries,
		"isFile":         r.isFile,
		"isDir":          r.isDir,

		"fetchSecretValue": r.fetchSecretValue,
		"expandSecretRefs": r.expandSecretRefs,
		"getHostByName": func(string) (string, error) {
			return "", forbidden{"getHostByName asks the network, which a template may not. " + useValues}
		},
	})
	maps.DeleteFunc(f, func(name string, _ any) bool { return !uses(name) })
	r.Guard(f)
	return f
}

// all uses every function.
func all(string) bool { return true }

// used returns which functions texts may name: words that stand in them, or every one where a text is carried out that is not
// known yet.
func used(texts ...[]byte) func(name string) bool {
	words := map[string]bool{}
	for _, text := range texts {
		for word := range bytes.FieldsFuncSeq(text, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			words[string(word)] = true
		}
	}
	if words["tpl"] {
		return all
	}
	return func(name string) bool { return words[name] }
}

// useValues is what to do in place of asking the world.
const useValues = "Put what it gives into the values repository, and read it from .Values instead."

// fetchSecretValue is what a reference names, which must be a text.
func (r *run) fetchSecretValue(ref string) (string, error) {
	v, err := valueOf(ref, cmp.Or(r.o.RefDir, r.o.Dir), r.o.Files)
	if err != nil {
		return "", err
	}
	text, ok := v.(string)
	if !ok {
		if v == nil {
			return "", authoredError{"fetchSecretValue: the reference names nothing that is there, or null"}
		}
		return "", authoredError{fmt.Sprintf("fetchSecretValue: the reference names a value of the type %T, and a text is asked for: use expandSecretRefs", v)}
	}
	return text, nil
}

func (r *run) expandSecretRefs(m map[string]any) (any, error) {
	v, err := ResolveAll(m, cmp.Or(r.o.RefDir, r.o.Dir), r.o.Files)
	return clone(v, map[uintptr]any{}), err
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
	text, err := yaml.MarshalState(v)
	return string(text), err
}

// fromYAML reads as state files are read: helmfile's functions and its state files share one reading. Of several documents it
// reads the first.
func fromYAML(text string) (any, error) {
	roots, ds := yaml.ReadStates([]byte(text), yaml.ReadOptions{File: "fromYaml", Secret: true, StringKeys: true, Dates: true})
	for _, d := range ds {
		if d.Severity == diag.Error {
			if d.Code == diag.YAMLTooLarge {
				return nil, overBudget{"fromYaml: " + d.Detail}
			}
			what, _, _ := strings.Cut(d.Detail, ". ")
			return nil, authoredError{fmt.Sprintf("reading YAML at line %d: %s: %s", d.Range.Start.Line, d.Code.Summary(), what)}
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	return clone(roots[0].PlainExact(), map[uintptr]any{}), nil
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
