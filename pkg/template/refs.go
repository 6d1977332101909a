package template

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/redkubes/otomi/pkg/yaml"
)

// reference is how vals finds a reference in a text (github.com/helmfile/vals, pkg/expansion, DefaultRefRegexp).
var reference = regexp.MustCompile("(?:secret)?ref\\+([^\\+:]*)://([^\\+\\n \",]+)\\+?")

// HasReference reports whether a text holds what Resolve replaces.
func HasReference(text string) bool {
	return strings.Contains(text, "ref+") && reference.MatchString(text)
}

// Resolve replaces the references in a text as vals does: ref+echo://PATH is PATH, ref+file://PATH is the text of a file as
// seen from dir, and #/a/b behind it the value at that path in its YAML. Other schemes are refused by their names.
func Resolve(text, dir string, files Files) (string, error) {
	if !strings.Contains(text, "ref+") {
		return text, nil
	}
	var out strings.Builder
	rest := text
	for {
		at := reference.FindStringSubmatchIndex(rest)
		if at == nil {
			out.WriteString(rest)
			return out.String(), nil
		}
		v, err := resolve(rest[at[2]:at[3]], rest[at[4]:at[5]], dir, files)
		if err != nil {
			return "", err
		}
		out.WriteString(rest[:at[0]] + v)
		rest = rest[at[1]:]
	}
}

// ResolveAll returns a plain tree in which Resolve was called for every string.
func ResolveAll(v any, dir string, files Files) (any, error) {
	switch v := v.(type) {
	case string:
		return Resolve(v, dir, files)
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range keys(v) {
			item, err := ResolveAll(v[k], dir, files)
			if err != nil {
				return nil, err
			}
			out[k] = item
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			item, err := ResolveAll(v[i], dir, files)
			if err != nil {
				return nil, err
			}
			out[i] = item
		}
		return out, nil
	default:
		return v, nil
	}
}

func resolve(scheme, rest, dir string, files Files) (string, error) {
	rest, fragment, keyed := strings.Cut(rest, "#")
	name, query, _ := strings.Cut(rest, "?")
	var fields []string
	if keyed {
		fields = strings.Split(strings.Trim(fragment, "/"), "/")
	}
	switch scheme {
	case "echo":
		if !keyed {
			return name, nil
		}
		return echoed(name, fields)
	case "file":
		if files == nil {
			return "", forbidden{"ref+file reads a file, which this file may not. " + useValues}
		}
		text, err := files.ReadFile(Join(dir, name))
		if err != nil {
			return "", unreadable("ref+file", name, err)
		}
		if !keyed {
			if params, _ := url.ParseQuery(query); params.Get("encode") == "base64" {
				return base64.StdEncoding.EncodeToString(text), nil
			}
			return string(text), nil
		}
		root, ds := yaml.ReadState(text, yaml.ReadOptions{File: name})
		if ds.HasErrors() {
			return "", authoredError{fmt.Sprintf("ref+file: %s is no YAML, and a path into it is asked for", name)}
		}
		for _, field := range fields {
			root = root.Get(field)
		}
		if root == nil {
			return "", authoredError{fmt.Sprintf("ref+file: %s has no value at %s", name, fragment)}
		}
		return fmt.Sprint(root.Plain()), nil
	}
	return "", forbidden{fmt.Sprintf("the reference ref+%s:// asks a secret store that this version of otomi does not reach; ref+echo and "+
		"ref+file are there. Put the value into an encrypted values file instead.", scheme)}
}

// echoed is the value that vals' echo finds in a path taken as keys, the last of which is the value.
func echoed(name string, fields []string) (string, error) {
	parts := strings.Split(name, "/")
	if len(fields) != len(parts)-1 || strings.Join(parts[:len(fields)], "/") != strings.Join(fields, "/") {
		return "", authoredError{fmt.Sprintf("ref+echo: %s has no value at /%s", name, strings.Join(fields, "/"))}
	}
	return parts[len(fields)], nil
}
