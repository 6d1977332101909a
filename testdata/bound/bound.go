// Package bound bounds what one run of a fuzz target may cost. It serves tests alone, hence its folder.
package bound

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The budget of one run of a fuzz target.
const (
	maxTime   = time.Second
	maxMemory = 512 << 20
)

// Run runs work and requires that it needs neither more time (a second) nor more memory (512 MiB allocated) than
// one run on the given input may. A run that was slow is repeated: the machine may have been busy.
func Run(t *testing.T, input string, work func()) {
	t.Helper()
	// A run without an end would never be reported: the fuzzer waits for it.
	watchdog := time.AfterFunc(maxTime*20, func() { panic("no end for\n" + input) })
	defer watchdog.Stop()
	best := time.Hour
	for range 4 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		work()
		best = min(best, time.Since(start))
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(maxMemory), "bytes allocated for\n%s", input)
		if best < maxTime {
			return
		}
	}
	require.Less(t, best, maxTime, "time for\n%s", input)
}
