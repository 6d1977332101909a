package template

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/yaml"
)

// reference is how vals finds a reference in a text (github.com/helmfile/vals, pkg/expansion, DefaultRefRegexp): what follows ://
// has two characters or more.
var reference = regexp.MustCompile(`(?:secret)?ref\+([^\+:]*://[^\+\n ]+[^\+\n ",])\+?`)

// begun is where a reference begins.
var begun = regexp.MustCompile(`(?:secret)?ref\+`)

// maxReferences bounds references in references, as in vals.
const maxReferences = 10

// HasReference reports whether a text holds what Resolve replaces.
func HasReference(text string) bool {
	return strings.Contains(text, "ref+") && reference.MatchString(text)
}

// Resolve replaces the references in a text as vals does: ref+echo://PATH is PATH, ref+file://PATH is the text of a file as
// seen from dir, and #/a/b behind it the value at that path in its YAML. A reference in a reference is replaced first. Other
// schemes are refused by their names.
func Resolve(text, dir string, files Files) (string, error) {
	text, err := inner(text, dir, files)
	if err != nil {
		return "", err
	}
	return resolved(text, dir, files)
}

// resolved replaces references that hold none.
func resolved(text, dir string, files Files) (string, error) {
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
		v, err := resolve(rest[at[2]:at[3]], dir, files)
		if err != nil {
			return "", err
		}
		out.WriteString(rest[:at[0]] + fmt.Sprint(v))
		rest = rest[at[1]:]
	}
}

// inner replaces the references that stand in others (vals, resolveInnerRefs).
func inner(text, dir string, files Files) (string, error) {
	for depth := 0; ; depth++ {
		starts := begun.FindAllStringIndex(text, -1)
		i := len(starts) - 1
		var at []int
		for ; i >= 1; i-- {
			if strings.ContainsAny(text[starts[i-1][1]:starts[i][0]], " \n\r\t\",") {
				continue // beside the one before it
			}
			if at = reference.FindStringSubmatchIndex(text[starts[i][0]:]); at != nil {
				break
			}
		}
		if at == nil {
			return text, nil
		}
		if depth == maxReferences {
			return "", overBudget{fmt.Sprintf("references stand in each other more than %d deep. Write one of them out.", maxReferences)}
		}
		start := starts[i][0]
		v, err := resolve(text[start+at[2]:start+at[3]], dir, files)
		if err != nil {
			return "", err
		}
		switch v.(type) {
		case nil, map[string]any, []any:
			return "", authoredError{"a reference in a reference gives no text or number. Name one that does."}
		}
		text = text[:start+at[0]] + fmt.Sprint(v) + text[start+at[1]:]
	}
}

// valueOf is what a text becomes: of a single reference the value with its type, of any other text the text that Resolve gives.
func valueOf(text, dir string, files Files) (any, error) {
	if !strings.Contains(text, "ref+") {
		return text, nil
	}
	text, err := inner(text, dir, files)
	if err != nil {
		return nil, err
	}
	if at := reference.FindStringSubmatchIndex(text); at != nil && at[0] == 0 && at[1] == len(text) {
		return resolve(text[at[2]:at[3]], dir, files)
	}
	return resolved(text, dir, files)
}

// ResolveAll returns a plain tree in which each string is what Resolve gives; one that is a single reference has the type of its
// value.
func ResolveAll(v any, dir string, files Files) (any, error) {
	switch v := v.(type) {
	case string:
		return valueOf(v, dir, files)
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

// resolve looks a reference up: SCHEME://HOST/PATH?QUERY#/KEY/KEY (vals, prepare).
func resolve(ref, dir string, files Files) (any, error) {
	scheme, _, _ := strings.Cut(ref, "://")
	if scheme != "echo" && scheme != "file" {
		return nil, forbidden{fmt.Sprintf("the reference ref+%s:// asks a secret store that this version of otomi does not reach; ref+echo and "+
			"ref+file are there. Put the value into an encrypted values file instead.", scheme)}
	}
	at, err := url.Parse(ref)
	if err != nil {
		return nil, authoredError{fmt.Sprintf("ref+%s: the address behind it can't be read. Quote what belongs to it with %%", scheme)}
	}
	name := at.Path
	if at.Host != "" {
		name = strings.TrimSuffix(at.Host+"/"+strings.TrimPrefix(at.Path, "/"), "/")
	}
	fragment := strings.TrimPrefix(at.Fragment, "/")
	var fields []string
	if fragment != "" {
		fields = strings.Split(fragment, "/")
	}
	if scheme == "echo" {
		if fields == nil {
			return strings.TrimRight(name, "/"), nil
		}
		return echoed(name, fields)
	}
	if files == nil {
		return nil, forbidden{"ref+file reads a file, which this file may not. " + useValues}
	}
	text, err := files.ReadFile(Join(dir, strings.TrimSuffix(name, "/")))
	if err != nil {
		return nil, unreadable("ref+file", name, err)
	}
	if fields == nil {
		switch encode := at.Query().Get("encode"); encode {
		case "", "raw":
			return string(text), nil
		case "base64":
			return base64.StdEncoding.EncodeToString(text), nil
		default:
			return nil, authoredError{fmt.Sprintf("ref+file: there is no encode=%s. Write encode=base64, or leave it out", encode)}
		}
	}
	roots, ds := yaml.ReadStates(text, yaml.ReadOptions{File: name, Dates: true})
	if ds.HasErrors() || len(roots) == 0 {
		return nil, authoredError{fmt.Sprintf("ref+file: %s is no YAML, and a path into it is asked for", name)}
	}
	return lookedUp(roots[0].Plain(), scheme, fields)
}

// lookedUp follows keys. What is not there is null, as in vals where nothing else is set.
func lookedUp(v any, scheme string, fields []string) (any, error) {
	for i, field := range fields {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, authoredError{fmt.Sprintf("ref+%s: there is no map at /%s, and a key of it is asked for", scheme, strings.Join(fields[:i], "/"))}
		}
		if v, ok = m[field]; !ok {
			return nil, nil
		}
	}
	return v, nil
}

// echoed is what vals' echo finds in a path taken as keys, the last of which is the value.
func echoed(name string, fields []string) (any, error) {
	parts := strings.Split(name, "/")
	if len(parts) < 2 {
		return nil, authoredError{fmt.Sprintf("ref+echo: %s has one part, and with # it needs two or more", name)}
	}
	var v any = parts[len(parts)-1]
	for _, key := range slices.Backward(parts[:len(parts)-1]) {
		v = map[string]any{key: v}
	}
	return lookedUp(v, "echo", fields)
}
