package apply_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// fifty are 50 releases of 5 objects each, in namespaces of their own.
func (w *world) fifty() []chart {
	var charts []chart
	for i := range 50 {
		charts = append(charts, chart{name: "app", namespace: fmt.Sprintf("%s-%d", w.namespace, i), docs: []string{
			configMap("a", "k", "1"), configMap("b", "k", "1"), deployment("web", ""),
			"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}",
			"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: v}",
		}})
	}
	return charts
}

func BenchmarkFirstInstallOfFiftyReleases(b *testing.B) {
	for b.Loop() {
		w := join(b)
		_, _, err := w.run(w.plan(w.fifty()))
		require.NoError(b, err)
		total := 0
		for _, n := range w.requests(w.agent) {
			total += n
		}
		b.ReportMetric(float64(total), "requests")
	}
}

func BenchmarkNothingToDoForFiftyReleases(b *testing.B) {
	w := join(b)
	charts := w.fifty()
	_, _, err := w.run(w.plan(charts))
	require.NoError(b, err)
	agent := w.agent + "second"
	runs := 0
	for b.Loop() {
		w.client = w.connect(agent)
		require.True(b, w.plan(charts).Empty())
		runs++
	}
	total := 0
	for _, n := range w.requests(agent) {
		total += n
	}
	b.ReportMetric(float64(total)/float64(runs), "requests/op")
}
