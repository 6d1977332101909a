package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/pipeline"
)

// The words of --allow. Those of named take names behind them; without any they allow all.
var (
	allowWords = []string{"exec", "hooks", "env", "net", "files", "decrypt", "all"}
	allowNamed = []string{"env", "net"}
)

// allowFlag is what the user allows a run, by name: a flag that is repeated or holds several words with commas between, and
// a setting. It is of the user alone: nothing in a repository sets it.
type allowFlag struct {
	texts []string
	// given tells the first text, which takes the place of what the settings file said, from those that add to it.
	given bool
}

func (f *allowFlag) flags(flags *pflag.FlagSet) {
	flags.Var(f, "allow", "allow what is forbidden otherwise, `WORDS` with commas between: net=HOST+HOST to fetch charts from these hosts, "+
		"env=NAME+NAME for templates that read these variables, exec for those that run programs, hooks, files outside of the directory, all for everything")
}

func (f *allowFlag) String() string { return strings.Join(f.texts, ",") }
func (f *allowFlag) Type() string   { return "WORDS" }

// Set takes one or more words.
func (f *allowFlag) Set(text string) error {
	words := strings.Split(text, ",")
	for _, word := range words {
		if err := checkAllowed(word); err != nil {
			return err
		}
	}
	if !f.given {
		f.texts, f.given = nil, true
	}
	f.texts = append(f.texts, words...)
	return nil
}

// Append, Replace and GetSlice make it a list for the settings file.
func (f *allowFlag) Append(text string) error { return f.Set(text) }

func (f *allowFlag) Replace(texts []string) error {
	f.texts, f.given = nil, true
	var errs []error
	for _, text := range texts {
		errs = append(errs, f.Set(text))
	}
	f.given = false
	return errors.Join(errs...)
}

func (f *allowFlag) GetSlice() []string { return f.texts }

// checkAllowed says what is wrong with one word.
func checkAllowed(word string) error {
	name, names, valued := strings.Cut(word, "=")
	if !slices.Contains(allowWords, name) {
		hint := "it takes " + strings.Join(allowWords, ", ") + "; several names are joined with +: env=A+B"
		if near := diag.Nearest(name, allowWords); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return fmt.Errorf("%q is nothing that can be allowed; %s", name, hint)
	}
	if !valued {
		return nil
	}
	if !slices.Contains(allowNamed, name) {
		return fmt.Errorf("%s takes no names; write %s alone", name, name)
	}
	for item := range strings.SplitSeq(names, "+") {
		switch {
		case item == "":
			return fmt.Errorf("%q has an empty name; write %s=NAME+NAME, or %s alone for all", word, name, name)
		case name == "net" && strings.Contains(item, "/"):
			return fmt.Errorf("%q is no host; write net=HOST or net=HOST:PORT", item)
		}
	}
	return nil
}

// permissions are what the texts allow, with the values of the variables that they name.
func (f allowFlag) permissions(w world) pipeline.Permissions {
	var p pipeline.Permissions
	for _, word := range f.texts {
		name, names, valued := strings.Cut(word, "=")
		all := name == "all"
		p.Exec = p.Exec || all || name == "exec"
		p.Hooks = p.Hooks || all || name == "hooks"
		p.Files = p.Files || all || name == "files"
		p.Decrypt = p.Decrypt || all || name == "decrypt"
		p.AnyHost = p.AnyHost || all || name == "net" && !valued
		p.AnyEnv = p.AnyEnv || all || name == "env" && !valued
		if !valued {
			continue
		}
		for item := range strings.SplitSeq(names, "+") {
			if name == "net" {
				p.Net = append(p.Net, item)
				continue
			}
			if p.Env == nil {
				p.Env = map[string]string{}
			}
			p.Env[item] = w.env(item)
		}
	}
	if p.AnyEnv {
		p.Env = w.variables()
	}
	for name, value := range p.Env {
		p.Environ = append(p.Environ, name+"="+value)
	}
	// Without it hardly any program finds those that it runs itself.
	if path := w.env("PATH"); path != "" && p.Env["PATH"] == "" {
		p.Environ = append(p.Environ, "PATH="+path)
	}
	slices.Sort(p.Environ)
	return p
}
