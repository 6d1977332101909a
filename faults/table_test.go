package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// row is what came of the trials of one kind.
type row struct {
	name string
	// trials is how many there were, faults how many requests were hit, or processes.
	trials, faults int
	// zero is how many runs under faults exited with 0, equal how many left the cluster as wanted; killed ones have no exit code.
	zero, equal, killed int
	// careful is how many runs said that they failed, and the cluster was as wanted.
	careful int
	// wrong is how many trials broke a promise.
	wrong int
	// elapsed is the time of the runs after the faults, together; slowest the longest of them.
	again   int
	elapsed time.Duration
	slowest time.Duration
}

// table collects the rows. Its zero value is empty.
type table struct {
	mu   sync.Mutex
	rows []*row
}

// add changes the row of a name, which is made where it is not there.
func (t *table) add(name string, change func(*row)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rows {
		if r.name == name {
			change(r)
			return
		}
	}
	r := &row{name: name}
	change(r)
	t.rows = append(t.rows, r)
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n| %-56s | trials | faults | killed | exit 0 | equal | failed though equal | second run, mean / longest | promises broken |\n", "what")
	fmt.Fprintf(&b, "| %s | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", strings.Repeat("-", 56))
	for _, r := range t.rows {
		mean := time.Duration(0)
		if r.again > 0 {
			mean = r.elapsed / time.Duration(r.again)
		}
		fmt.Fprintf(&b, "| %-56s | %d | %d | %d | %d | %d | %d | %.1f s / %.1f s | %d |\n",
			r.name, r.trials, r.faults, r.killed, r.zero, r.equal, r.careful, mean.Seconds(), r.slowest.Seconds(), r.wrong)
	}
	return b.String()
}
