package main

import (
	"errors"

	"github.com/spf13/pflag"

	"github.com/redkubes/otomi/pkg/pipeline"
)

// recordOptions are the flags of verbs that make release records.
type recordOptions struct {
	given      *pflag.FlagSet
	historyMax int
	values     string
	// refresh writes labels of records anew also where nothing else is written.
	refresh bool
}

func (o *recordOptions) flags(flags *pflag.FlagSet) {
	o.given = flags
	flags.IntVar(&o.historyMax, "history-max", 10, "how many `REVISIONS` of each release are kept, 0 for all (default: the release's historyMax)")
	flags.Lookup("history-max").DefValue = "0" // so that help shows one default, the release's
	flags.Var(formatFlag(&o.values, "keep", "omit"), "record-values", "`WORD`: keep values in the release records, as helm does, or omit them: then helm get values and --reuse-values have none")
}

func (o *recordOptions) refreshFlag(flags *pflag.FlagSet) {
	flags.BoolVar(&o.refresh, "refresh", false, "bring the labels of records up to date also where nothing differs")
}

func (o recordOptions) check() error {
	if o.historyMax < 0 {
		return errors.New("--history-max is the number of revisions that are kept, 0 for all; give one")
	}
	return nil
}

// on returns the options of a run with those of its records.
func (o recordOptions) on(a pipeline.ApplyOptions) pipeline.ApplyOptions {
	a.OmitValues = o.values == "omit"
	if o.given == nil || !o.given.Changed("history-max") {
		return a
	}
	if a.History = o.historyMax; a.History == 0 {
		a.History = -1
	}
	return a
}
