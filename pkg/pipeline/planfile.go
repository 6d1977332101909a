package pipeline

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/layer"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/render"
	"github.com/redkubes/otomi/pkg/source"
)

// The types that a plan file is spoken of in, for those who do not know the stages.
type (
	PlanFile  = diff.File
	PlanFlag  = diff.FileFlag
	PlanInput = diff.FileText
)

// PlanPlace is a plan and the cluster that it is for.
type PlanPlace struct {
	Plan   Plan
	Client *Client
}

// PlanSource is what plans were made from.
type PlanSource struct {
	Inputs []PlanInput
	// Commit is the git commit that is checked out; empty where there is none.
	Commit string
}

// PlanFileOptions say what a plan file holds beside plans.
type PlanFileOptions struct {
	Otomi  string
	Made   time.Time
	Flags  []PlanFlag
	Allow  []string
	Source PlanSource
	// SystemNamespace is where clusters say whose they are; empty means otomi-system.
	SystemNamespace string
	// Hide takes secrets out of a text.
	Hide func(string) string
	// Like is the file that the new one is to be compared with; nil where it is the first.
	Like *PlanFile
}

// NewPlanFile makes the file of plans.
func NewPlanFile(ctx context.Context, places []PlanPlace, o PlanFileOptions) (PlanFile, error) {
	to := diff.FileOptions{
		Otomi: o.Otomi, Made: o.Made, Flags: o.Flags, Allow: o.Allow, Commit: o.Source.Commit, Hide: o.Hide, Salt: make([]byte, 16),
	}
	rand.Read(to.Salt)
	if o.Like != nil {
		salt, err := hex.DecodeString(o.Like.Salt)
		if err != nil {
			return PlanFile{}, fmt.Errorf("reading the salt of the plan: %w", err)
		}
		to.Salt, to.Iterations = salt, o.Like.Iterations
	}
	for _, in := range o.Source.Inputs {
		in.Secret = in.Secret || o.Hide(string(in.Text)) != string(in.Text)
		to.Inputs = append(to.Inputs, in)
	}
	made := make([]diff.FilePlace, len(places))
	for i, p := range places {
		is, err := p.Client.Identity(ctx, o.SystemNamespace)
		var refusal *manifest.Refusal
		if err != nil && !(errors.As(err, &refusal) && refusal.Reason == manifest.RefusedForbidden) {
			return PlanFile{}, err
		}
		made[i] = diff.FilePlace{Plan: p.Plan, Server: withoutCredentials(p.Client.Server()), Recorded: is.Cluster, Inventory: is.Inventory}
	}
	return diff.NewFile(ctx, made, to)
}

// withoutCredentials is an address without user and password, and without a query, which may hold some.
func withoutCredentials(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// ParsePlanFile reads the text of a plan file that is shown by name.
func ParsePlanFile(name string, text []byte) (PlanFile, diag.Diagnostics) {
	f, err := diff.ParseFile(text)
	if err != nil {
		return PlanFile{}, diag.Diagnostics{{
			Severity: diag.Error, Code: diag.PlanUnreadable, Range: diag.Range{File: name}, Detail: err.Error() + ".",
		}}
	}
	return f, nil
}

// MaxPlanFile is the largest plan file that is read, in bytes.
const MaxPlanFile = diff.MaxFile

// Unrepeatable reports the places in charts for which plans can't be made a second time, so that no file of them could ever be
// applied: calls of functions that give something else at every render. Releases that are not touched don't count, nor do lookup
// and getHostByName, which find nothing in charts here and so always the same.
func Unrepeatable(plans []Plan) diag.Diagnostics {
	var ds diag.Diagnostics
	seen := map[manifest.ImpureCall]bool{}
	for _, plan := range plans {
		for _, level := range plan.Levels {
			for _, r := range level.Releases {
				if r.Action == diff.Same || r.Action == diff.Uninstall {
					continue
				}
				for _, call := range r.Wanted.Impure {
					if call.Unordered || call.Function == "lookup" || call.Function == "getHostByName" || seen[call] {
						continue
					}
					seen[call] = true
					at := diag.Range{File: call.Template}
					if call.Line > 0 {
						at.Start = diag.Pos{Line: call.Line, Column: 1}
					}
					ds = append(ds, diag.Diagnostic{
						Severity: diag.Error, Code: diag.RenderImpure, Range: at,
						Detail: fmt.Sprintf("release %s can't be planned in a file, since it would be another one when that is applied: %s "+
							"Or leave the release out of the file with -l, and apply it without one.", r.Key(), render.Impurity([]manifest.ImpureCall{call})),
					})
				}
			}
		}
	}
	return ds
}

// SecretFlags reports the flags of a plan file that hold a secret: one that hide knows, or one that is in a Secret of the plans. A
// file of them would have it in clear.
func SecretFlags(flags []PlanFlag, plans []Plan, hide func(string) string) diag.Diagnostics {
	secrets := secretData(plans)
	var ds diag.Diagnostics
	for _, f := range flags {
		gives := slices.Contains([]string{"set", "state-values-set", "state-values-set-string"}, f.Name)
		for _, v := range f.Values {
			if hide(v) == v && !(gives && slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(v, s) })) {
				continue
			}
			instead := "--state-values-file"
			if f.Name == "set" {
				instead = "--values"
			}
			name, _, _ := strings.Cut(v, "=")
			if !gives || hide(name) != name {
				name, instead = "", "a file that the values are read from"
			}
			ds = append(ds, diag.Diagnostic{Severity: diag.Error, Code: diag.PlanSecret, Detail: strings.Join(strings.Fields(fmt.Sprintf(
				"--%s %s holds a secret, and a plan file keeps its flags in clear. Put the value into a file, and name that with %s.", f.Name, name, instead)), " ")})
		}
	}
	return ds
}

// shortestSecret is the length of the shortest value of a Secret that is looked for in flags: shorter ones are everywhere.
const shortestSecret = 4

// secretData are the values of the Secrets among what plans make.
func secretData(plans []Plan) []string {
	found := map[string]bool{}
	for _, plan := range plans {
		for _, level := range plan.Levels {
			for _, r := range level.Releases {
				for _, o := range r.Wanted.Objects {
					if o.Kind != "Secret" || o.Group != "" {
						continue
					}
					for field, decode := range map[string]bool{"data": true, "stringData": false} {
						values, _ := o.Data[field].(map[string]any)
						for _, v := range values {
							text, _ := v.(string)
							if decode {
								plain, err := base64.StdEncoding.DecodeString(text)
								if err != nil {
									continue
								}
								text = string(plain)
							}
							if len(text) >= shortestSecret {
								found[text] = true
							}
						}
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// PlanSource is what the values and runlevels were read from. It is complete when all clusters were evaluated.
func (p *Platform) PlanSource() (PlanSource, error) {
	var out PlanSource
	add := func(of string, texts diag.Sources) {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			// What a template was rendered to follows from the rest.
			if !strings.Contains(name, " (rendered") {
				out.Inputs = append(out.Inputs, PlanInput{Name: name, Of: of, Text: bytes.Clone(texts[name]), Secret: layer.IsSecret(name)})
			}
		}
	}
	own, stack := diag.Sources{}, diag.Sources{}
	for name, text := range p.repository.Sources() {
		if p.ofStack(name) {
			stack[name] = text
		} else {
			own[name] = text
		}
	}
	p.mu.Lock()
	for _, l := range p.flags {
		if text, ok := p.sources[l.Name]; ok {
			own[l.Name] = text
		}
	}
	if p.derived != nil {
		stack[p.derived.file] = p.sources[p.derived.file]
	}
	p.mu.Unlock()
	maps.Copy(stack, p.schema.Sources())
	for _, f := range p.files {
		stack[f.Display] = f.Text
	}
	add(diff.OfValues, own)
	add(diff.OfStack, stack)
	head, err := source.ReadHead(p.root)
	out.Commit = head.Commit
	return out, err
}

// ofStack reports whether a file that the repository read is one of the stack: its default values.
func (p *Platform) ofStack(name string) bool { return name == p.stack.Display(defaultsFile) }

// PlanSource is what state files were read from, with that of their compiled values.
func (s *StateFile) PlanSource() (PlanSource, error) {
	var out PlanSource
	if s.o.Platform != nil {
		var err error
		if out, err = s.o.Platform.PlanSource(); err != nil {
			return out, err
		}
		// Their schema and values count; the stack's own runlevels are not carried out.
		runlevels := map[string]bool{}
		for _, f := range s.o.Platform.files {
			runlevels[f.Display] = true
		}
		out.Inputs = slices.DeleteFunc(out.Inputs, func(in PlanInput) bool { return in.Of == diff.OfStack && runlevels[in.Name] })
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sources)) {
		if !strings.Contains(name, " (rendered") {
			out.Inputs = append(out.Inputs, PlanInput{Name: name, Of: diff.OfState, Text: s.Sources[name]})
		}
	}
	if out.Commit != "" {
		return out, nil
	}
	head, err := source.ReadHead(s.host.Root())
	out.Commit = head.Commit
	return out, err
}

// Joined is what several evaluations were made from, each file once.
func Joined(all []PlanSource) PlanSource {
	var out PlanSource
	for _, s := range all {
		out.Commit = s.Commit
		for _, in := range s.Inputs {
			if !slices.ContainsFunc(out.Inputs, func(have PlanInput) bool { return have.Name == in.Name && have.Of == in.Of }) {
				out.Inputs = append(out.Inputs, in)
			}
		}
	}
	return out
}

// OutdatedError says what is not any more as a plan file has it.
type OutdatedError struct {
	// File is the name of the plan file.
	File        string
	Differences []diff.Difference
}

func (e *OutdatedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not the plan any more, and nothing was written:", e.File)
	for _, d := range e.Differences {
		fmt.Fprintf(&b, "\n  %s: %s", d.Group, d.Text)
	}
	fmt.Fprintf(&b, "\nSee what is different with otomi diff, and make the plan again: otomi diff --out %s", e.File)
	return b.String()
}

// StillSo compares a plan file with one that was made now. The error is an *OutdatedError.
func StillSo(name string, f, now PlanFile) error {
	if moved := f.Differences(now); len(moved) > 0 {
		return &OutdatedError{File: name, Differences: moved}
	}
	return nil
}
