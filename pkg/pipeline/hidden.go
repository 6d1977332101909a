package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// HeldSecrets are what the Secrets of the releases that a plan changes hold, and what those of their records held: charts put it
// into other objects, too, and what refuses an object may quote it.
func HeldSecrets(plan Plan) []string {
	var out []string
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			if r.Action != diff.Same {
				out = append(append(out, r.Wanted.SecretTexts()...), r.Held...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Credentials are what is secret in the kubeconfig that files make together.
func Credentials(files []string) []string { return cluster.Credentials(files) }

// PairedSecrets are the texts that stand, in what the releases of a plan are given and in what they were given before, in the
// places where the other one has a text that hide changes: going back brings secrets that no values hold any more.
func PairedSecrets(plan Plan, hide func(string) string) []string {
	var out []string
	known := func(text string) bool { return hide(text) != text }
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			for _, former := range r.Former {
				paired(r.Wanted.Values, former, known, &out)
				paired(former, r.Wanted.Values, known, &out)
			}
		}
	}
	return out
}

// formerSecrets finds what releases were given before in the places where they are given secrets now, and what their Secrets hold.
// Of says what releases are given now, by their keys, beside what the plan says: one that is uninstalled, or goes back, is planned as
// its record has it. Of a release that nothing says anything of any more, what is called like a secret is taken for one.
func formerSecrets(plan Plan, of []runlevel.Release, secrets []string) []string {
	var out []string
	known := func(text string) bool {
		return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) })
	}
	now := map[string]map[string]any{}
	for _, r := range of {
		now[r.Key()] = r.Values
	}
	for _, level := range plan.Levels {
		for _, r := range level.Releases {
			given := now[r.Key()]
			for _, former := range r.Former {
				paired(r.Wanted.Values, former, known, &out)
				if len(given) > 0 {
					paired(given, former, known, &out)
				} else if r.Action != diff.Same {
					named(former, "", &out)
				}
			}
			if r.Back > 0 && len(given) > 0 {
				paired(given, r.Wanted.Values, known, &out)
			}
		}
	}
	return append(out, HeldSecrets(plan)...)
}

// secretsBefore finds the secrets that a release was given before, by what it is given now and the secrets among the compiled values,
// and what its Secrets held.
func secretsBefore(now map[string]any, stored manifest.Stored, secrets []string) []string {
	out := stored.SecretTexts()
	paired(now, stored.Values, func(text string) bool {
		return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(text, s) })
	}, &out)
	return out
}

// leastFormer is the shortest former value that is taken for a secret, in bytes, as with the values that a schema marks.
const leastFormer = 4

// paired adds what before has where now has a secret. What now does not have at all is one where a value beside it is, or where
// it is called like one.
func paired(now, before any, known func(string) bool, out *[]string) {
	switch now := now.(type) {
	case map[string]any:
		before, _ := before.(map[string]any)
		holds := func() bool {
			for _, v := range now {
				if text, ok := scalar(v); ok && known(text) {
					return true
				}
			}
			return false
		}
		var secret *bool
		for key, old := range before {
			v, still := now[key]
			if still {
				paired(v, old, known, out)
				continue
			}
			text, ok := scalar(old)
			if !ok {
				named(old, key, out)
				continue
			}
			if secret == nil {
				is := holds()
				secret = &is
			}
			if (*secret || manifest.SecretKey(key)) && len(text) >= leastFormer {
				*out = append(*out, text)
			}
		}
	case []any:
		before, _ := before.([]any)
		for i, old := range before {
			if i < len(now) {
				paired(now[i], old, known, out)
				continue
			}
			if text, ok := scalar(old); ok && len(text) >= leastFormer && slices.ContainsFunc(now, func(v any) bool {
				text, ok := scalar(v)
				return ok && known(text)
			}) {
				*out = append(*out, text)
			}
		}
	default:
		is, ok := scalar(now)
		if !ok {
			return
		}
		if was, ok := scalar(before); ok && was != is && len(was) >= leastFormer && known(is) {
			*out = append(*out, was)
		}
	}
}

// named adds the scalars that are called like secrets.
func named(v any, key string, out *[]string) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			named(v[k], k, out)
		}
	case []any:
		for _, e := range v {
			named(e, key, out)
		}
	default:
		// What only tells where a secret is to be found, or whether, is none.
		lower := strings.ToLower(key)
		pointer := strings.HasSuffix(lower, "name") || strings.HasSuffix(lower, "ref") || strings.HasPrefix(lower, "existing")
		if text, ok := v.(string); ok && len(text) >= leastNamed && manifest.SecretKey(key) && !pointer {
			*out = append(*out, text)
		}
	}
}

// leastNamed is the shortest value that is taken for a secret for what it is called, in bytes.
const leastNamed = 8

// scalar is the text of a string or a number.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case int, int64, float64:
		text, err := json.Marshal(v)
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			return fmt.Sprint(int64(f)), true
		}
		return string(text), err == nil
	}
	return "", false
}
