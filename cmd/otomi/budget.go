package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
	"github.com/redkubes/otomi/pkg/report"
)

// budgetOptions say what a run may delete without being asked.
type budgetOptions struct {
	objects int
	kinds   []string
}

func (o *budgetOptions) flags(flags *pflag.FlagSet) {
	flags.IntVar(&o.objects, "max-deletions", pipeline.DefaultDeletions, "how many objects a run deletes or replaces without being asked; -1: any number")
	flags.StringSliceVar(&o.kinds, "allow-deletion", nil, "`KINDS` that a run may delete without being asked: namespace, crd, pvc, pv, or *")
}

func (o budgetOptions) budget() pipeline.Budget {
	return pipeline.Budget{Objects: o.objects, Kinds: o.kinds}
}

func (o budgetOptions) check() error {
	if word, ok := o.budget().Check(); !ok {
		return fmt.Errorf("--allow-deletion %s: only namespace, crd, pvc, pv and * need to be allowed; count other objects with --max-deletions", word)
	}
	return nil
}

// afford asks whether what plans delete beyond the budget may go. Where nobody can be asked, it is refused with the flags that
// allow it: --yes answers the question whether to apply, and not this one.
func (a *app) afford(ctx context.Context, plans []pipeline.Plan, q question) error {
	if q.budget == nil {
		return nil
	}
	loss := q.budget.budget().Lost(plans...)
	if !loss.Any() {
		return nil
	}
	said, flags := lossSaid(loss)
	w := a.world
	if q.yes || q.json || !w.stdinTerminal || !w.stderrTerminal || w.inCI() {
		return fmt.Errorf("%s. Nothing was changed; if that is meant, add %s", said, flags)
	}
	a.report.Ask("%s. Only `delete` goes on: ", said)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(w.stdin).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case text := <-answer:
		if text != "delete" {
			a.report.Talk("nothing was changed")
			return exit(exitFailed)
		}
	}
	return nil
}

// flagKinds are the words for the kinds that --allow-deletion takes.
var flagKinds = map[string]string{
	"Namespace": "namespace", "CustomResourceDefinition": "crd", "PersistentVolumeClaim": "pvc", "PersistentVolume": "pv",
}

// namedLosses is how many objects are named in one sentence.
const namedLosses = 20

// lossSaid says what a budget does not cover, and with which flags it would.
func lossSaid(loss pipeline.Loss) (said, flags string) {
	names := func(changes []pipeline.Change) string {
		var out []string
		for i, c := range changes {
			if i == namedLosses {
				out = append(out, fmt.Sprintf("and %d more", len(changes)-i))
				break
			}
			out = append(out, c.ID.String())
		}
		return strings.Join(out, ", ")
	}
	var sentences, options []string
	if loss.Over {
		sentences = append(sentences, fmt.Sprintf("this deletes %s, more than %d: %s",
			report.Plural(len(loss.Deletions), "object"), loss.Allowed, names(loss.Deletions)))
		options = append(options, fmt.Sprintf("--max-deletions %d", len(loss.Deletions)))
	}
	if len(loss.Precious) > 0 {
		sentences = append(sentences, fmt.Sprintf("this deletes what takes more along than itself: %s", names(loss.Precious)))
		var kinds []string
		for _, c := range loss.Precious {
			kind := flagKinds[c.Kind]
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
		options = append(options, "--allow-deletion "+strings.Join(kinds, ","))
	}
	return strings.Join(sentences, "; "), strings.Join(options, " ")
}
