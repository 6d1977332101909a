package apply_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/redkubes/otomi/pkg/apply"
	"github.com/redkubes/otomi/pkg/cluster"
	"github.com/redkubes/otomi/pkg/diff"
	"github.com/redkubes/otomi/pkg/manifest"
	"github.com/redkubes/otomi/pkg/runlevel"
)

// inventory is that of the tests here.
var inventory = diff.Inventory("git.example.com/org/values", "aws/test")

// recorded plans charts as all releases of the inventory.
func (w *world) recorded(charts []chart, o diff.Options, more ...func(*diff.Input)) diff.Plan {
	w.t.Helper()
	in := w.input(charts)
	in.Inventory, in.Whole, in.Commit = inventory+"-"+w.namespace, true, "0123456789abcdef"
	for _, change := range more {
		change(&in)
	}
	plan, diags, err := diff.Compare(w.ctx, in, w.client, o)
	require.NoError(w.t, err)
	require.Empty(w.t, diags)
	return plan
}

// of is the release of a plan by its name.
func of(t *testing.T, plan diff.Plan, name string) diff.Release {
	t.Helper()
	for _, l := range plan.Levels {
		for _, r := range l.Releases {
			if r.Name == name {
				return r
			}
		}
	}
	require.Fail(t, "the plan has no release "+name, describe(plan))
	return diff.Release{}
}

// last is the newest record of a release.
func (w *world) last(name string) manifest.Record {
	w.t.Helper()
	records, err := w.client.Revisions(w.ctx, w.namespace, name)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, records)
	return records[len(records)-1]
}

// looking is a cluster that is looked at before each object is applied.
type looking struct {
	*cluster.Client
	look func()
}

func (l *looking) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	l.look()
	return l.Client.Apply(ctx, o, owner)
}

func TestRecordSaysWhoMadeItOfWhat(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", level: "10-a", group: 2, docs: []string{configMap("a", "k", "1")}}}
	plan := w.recorded(charts, diff.Options{})
	var pending map[string]string
	_, err := apply.Run(w.ctx, plan, &looking{w.client, func() {
		require.Equal(t, manifest.PendingInstall, w.last("app").Status)
		pending = w.last("app").Labels
	}}, apply.Options{Run: "one", Holder: "ann@host"})
	require.NoError(t, err)
	want := map[string]string{
		diff.RunLabel: "one", diff.HolderLabel: "ann-host", diff.CommitLabel: "0123456789abcdef",
		diff.InventoryLabel: inventory + "-" + w.namespace, diff.LevelLabel: "10-a", diff.GroupLabel: "2",
		diff.DigestLabel: diff.Content(of(t, plan, "app").Digest), diff.RevisionLabel: "1", diff.ModeLabel: "install",
	}
	require.Equal(t, want, pending, "before the first object is written")
	require.Subset(t, w.last("app").Labels, want)

	// A run that knows no inventory, like one of another set of runlevels, leaves the release in its own.
	_, _, err = w.run(w.planWith(charts, diff.Options{Every: true}))
	require.NoError(t, err)
	labels := w.last("app").Labels
	require.Equal(t, "2", labels[diff.RevisionLabel])
	require.Equal(t, want[diff.InventoryLabel], labels[diff.InventoryLabel])
	require.Empty(t, labels[diff.CommitLabel])
}

func TestReleasesThatLeftGoLastAndInReverse(t *testing.T) {
	w := enter(t)
	three := []chart{
		{name: "stays", level: "10-a", docs: []string{configMap("stays", "k", "1")}},
		{name: "first", level: "20-b", docs: []string{configMap("first", "k", "1"), configMap("moves", "k", "1")}},
		{name: "second", level: "20-b", group: 1, docs: []string{configMap("second", "k", "1")}},
		{name: "third", level: "30-c", docs: []string{configMap("third", "k", "1")}},
	}
	_, _, err := w.run(w.recorded(three, diff.Options{}))
	require.NoError(t, err)
	// Made by a run that has another inventory, and by one that has none.
	_, _, err = w.run(w.recorded([]chart{{name: "other", docs: []string{configMap("other", "k", "1")}}}, diff.Options{}, func(in *diff.Input) {
		in.Inventory, in.Whole = "another", false
	}))
	require.NoError(t, err)
	_, _, err = w.run(w.plan([]chart{{name: "nobodys", docs: []string{configMap("nobodys", "k", "1")}}}))
	require.NoError(t, err)

	rest := []chart{{name: "stays", level: "10-a", docs: []string{configMap("stays", "k", "2"), configMap("moves", "k", "1")}}}
	for name, plan := range map[string]diff.Plan{
		"selected by -l, or of -f":   w.recorded(rest, diff.Options{TakeOwnership: true}, func(in *diff.Input) { in.Whole = false }),
		"--prune=false":              w.recorded(rest, diff.Options{TakeOwnership: true, NoPrune: true}),
		"without an inventory":       w.recorded(rest, diff.Options{TakeOwnership: true}, func(in *diff.Input) { in.Inventory = "" }),
		"of another cluster of ours": w.recorded(rest, diff.Options{TakeOwnership: true}, func(in *diff.Input) { in.Inventory = diff.Inventory("git.example.com/org/values", "aws/b") }),
	} {
		require.Zero(t, plan.Counts().Uninstall, name)
	}
	disabled := w.recorded(rest, diff.Options{TakeOwnership: true}, func(in *diff.Input) {
		for _, name := range []string{"first", "second", "third"} {
			in.Levels[0].Disabled = append(in.Levels[0].Disabled, runlevel.Release{Name: name, Namespace: w.namespace})
		}
	})
	require.Zero(t, disabled.Counts().Uninstall, "condition: false is no leaving")

	plan := w.recorded(rest, diff.Options{})
	require.Equal(t, 3, plan.Counts().Uninstall)
	require.Equal(t, "it left the runlevels", of(t, plan, "first").Reason)
	require.Equal(t, "it moves from release "+w.namespace+"/first", of(t, plan, "stays").Objects[1].Reason)
	result, seen, err := w.run(plan)
	require.NoError(t, err)
	var order []string
	for _, e := range seen.of(apply.ReleaseDone) {
		order = append(order, e.Release)
	}
	require.Equal(t, []string{"stays", "third", "second", "first"}, order)
	require.Equal(t, 3, result.Count(apply.Uninstalled))
	require.NotNil(t, w.get(configMaps, "moves"), "it was transferred")
	for _, gone := range []string{"first", "second", "third"} {
		require.Nil(t, w.get(configMaps, gone))
	}
	require.NotNil(t, w.get(configMaps, "other"))
	require.NotNil(t, w.get(configMaps, "nobodys"))
	require.True(t, w.recorded(rest, diff.Options{}).Empty())
}

func TestReleasesThatLeftStayWhereARunlevelFails(t *testing.T) {
	w := enter(t)
	_, _, err := w.run(w.recorded([]chart{{name: "left", docs: []string{configMap("left", "k", "1")}}}, diff.Options{}))
	require.NoError(t, err)
	charts := []chart{{name: "app", docs: []string{configMap("a", "k", "1"), failingJob("h", "post-install")}}}
	plan := w.recorded(charts, diff.Options{})
	require.Equal(t, 1, plan.Counts().Uninstall)
	_, _, err = w.run(plan)
	require.Error(t, err)
	require.NotNil(t, w.get(configMaps, "left"))
}

func TestWithoutAnInventoryALineSaysWhyNothingIsUninstalled(t *testing.T) {
	w := enter(t)
	_, _, err := w.run(w.plan([]chart{{name: "gone", docs: []string{configMap("gone", "k", "1")}}}))
	require.NoError(t, err)
	plan := w.recorded(w.one(configMap("a", "k", "1")), diff.Options{}, func(in *diff.Input) { in.Inventory, in.Unnamed = "", "it has no id" })
	require.Len(t, plan.Notes, 1)
	require.Contains(t, plan.Notes[0], "not in the runlevels and may have left them; nothing is uninstalled for that, since it has no id")
}

func TestRecordWithoutOurInventoryIsHealedAtTheNextWrite(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "a", docs: []string{configMap("a", "k", "1")}}, {name: "b", docs: []string{configMap("b", "k", "1")}}}
	w.apply(charts) // as an otomi does that knows no inventories
	plan := w.recorded(charts, diff.Options{})
	require.True(t, plan.Empty())
	require.True(t, plan.Stale())
	require.Empty(t, w.last("a").Labels[diff.InventoryLabel])

	charts[1].docs[0] = configMap("b", "k", "2")
	_, _, err := w.run(w.recorded(charts, diff.Options{}))
	require.NoError(t, err)
	require.Equal(t, inventory+"-"+w.namespace, w.last("a").Labels[diff.InventoryLabel])
	require.Equal(t, 1, w.last("a").Revision)
	plan = w.recorded(charts, diff.Options{})
	require.True(t, plan.Empty())
	require.False(t, plan.Stale())
}

func TestWhatWasWrittenAndWrittenBackIsOursAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "a", docs: []string{configMap("a", "k", "1")}}, {name: "b", docs: []string{configMap("b", "k", "1")}}}
	w.apply(charts)
	for _, value := range []string{"2", "1"} {
		w.patch(configMaps, "a", `{"data":{"k":"`+value+`"}}`)
	}
	plan := w.plan(charts)
	require.True(t, plan.Empty(), describe(plan))
	require.True(t, plan.Stale())
	_, _, err := w.run(plan) // as --refresh does
	require.NoError(t, err)
	plan = w.plan(charts)
	require.True(t, plan.Empty())
	require.False(t, plan.Stale(), "no dry run any more")
	require.Equal(t, 1, w.last("a").Revision)

	w.patch(configMaps, "a", `{"data":{"k":"3"}}`)
	require.Equal(t, diff.Update, actions(of(t, w.plan(charts), "a"))["ConfigMap a"], "the next write of the same party is seen")
}

func TestEqualRevisionOfHelmIsLabelledInPlace(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "a", docs: []string{configMap("a", "k", "1")}}, {name: "b", docs: []string{configMap("b", "k", "1")}}}
	w.apply(charts)
	// helm upgrade with the same manifest: nothing is written to the object, and the labels are copied.
	stored, err := w.client.Stored(w.ctx, w.namespace, "a", 1)
	require.NoError(t, err)
	former := stored
	former.Status = manifest.Superseded
	require.NoError(t, w.client.UpdateRecord(w.ctx, former))
	stored.Revision, stored.Seen = 2, ""
	require.NoError(t, w.client.CreateRecord(w.ctx, stored))
	require.False(t, diff.Ours(w.last("a")))

	plan := w.plan(charts)
	require.True(t, plan.Empty(), describe(plan))
	require.True(t, plan.Stale())
	charts[1].docs[0] = configMap("b", "k", "2")
	_, _, err = w.run(w.plan(charts))
	require.NoError(t, err)
	require.Equal(t, 2, w.last("a").Revision, "no new revision")
	require.True(t, diff.Ours(w.last("a")))
	plan = w.plan(charts)
	require.True(t, plan.Empty(), describe(plan))
	require.False(t, plan.Stale())
}

// killed ends at the nth hook that is made: nothing that comes after reaches the cluster.
type killed struct {
	apply.Cluster
	hooks atomic.Int64
	at    int64
	dead  atomic.Bool
}

// errKilled ends a run at once: its record is not closed.
var errKilled = &manifest.Unheld{Reason: "killed"}

// failingJob is a hook of weight 2 that fails.
func failingJob(name, events string) string {
	job := strings.Replace(hook("Job", name, events, "2", ""), "    spec:\n      restart",
		"    metadata: {annotations: {playground.otomi.io/pod: fail}}\n    spec:\n      restart", 1)
	return strings.Replace(job, "spec:\n  template", "spec:\n  backoffLimit: 0\n  template", 1)
}

func (k *killed) Create(ctx context.Context, o manifest.Object) error {
	if k.hooks.Add(1) == k.at {
		k.dead.Store(true)
	}
	if k.dead.Load() {
		return errKilled
	}
	return k.Cluster.Create(ctx, o)
}

func (k *killed) Revisions(ctx context.Context, namespace, name string) ([]manifest.Record, error) {
	if k.dead.Load() {
		return nil, errKilled
	}
	return k.Cluster.Revisions(ctx, namespace, name)
}

func (k *killed) Apply(ctx context.Context, o manifest.Object, owner manifest.Owner) (string, error) {
	if k.dead.Load() {
		return "", errKilled
	}
	return k.Cluster.Apply(ctx, o, owner)
}

// killedRun runs a plan until the nth hook.
func (w *world) killedRun(plan diff.Plan, at int64) {
	w.t.Helper()
	c := &killed{Cluster: w.client, at: at}
	_, err := apply.Run(w.ctx, plan, c, apply.Options{Run: "dead"})
	require.ErrorIs(w.t, err, errKilled)
	require.True(w.t, w.last("app").Status.Pending(), w.last("app").Status)
}

// hooksOf are the hooks that a run started, by name.
func hooksOf(e *events) []string {
	names := []string{}
	for _, h := range e.of(apply.HookStarted) {
		names = append(names, h.Object.Name)
	}
	return names
}

func TestHooksThatCompletedAreNotRunAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", docs: []string{
		configMap("a", "k", "1"),
		hook("ConfigMap", "one", "pre-install,pre-upgrade", "1", "hook-succeeded"), hook("ConfigMap", "two", "pre-install", "2", ""),
		hook("ConfigMap", "three", "post-install,pre-install", "3", ""), hook("ConfigMap", "four", "post-install", "4", ""),
	}}}
	w.killedRun(w.plan(charts), 2)
	require.Equal(t, "pre-install-1", w.last("app").Labels[diff.HooksLabel])

	// The next run is killed in the hooks after the objects.
	plan := w.plan(charts)
	require.Equal(t, diff.Install, of(t, plan, "app").Action, "an interrupted install stays an install")
	w.killedRun(plan, 4) // two, three, three, four
	require.Equal(t, "post-install-1", w.last("app").Labels[diff.HooksLabel])
	require.Equal(t, manifest.Failed, w.statuses()[0])

	_, seen, err := w.run(w.plan(charts))
	require.NoError(t, err)
	require.Equal(t, []string{"four"}, hooksOf(seen))
	require.Nil(t, w.get(configMaps, "one"), "what the policies ask for after success is done by the last run")
	require.Empty(t, w.last("app").Labels[diff.HooksLabel])
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 3)
	require.NoError(t, err)
	for i := range stored.Hooks {
		require.Equal(t, "Succeeded", stored.Runs[i].Phase, "the record tells of the hooks of all runs")
	}
	require.True(t, w.plan(charts).Empty())
}

func TestHooksOfOtherContentAreRunAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", docs: []string{
		configMap("a", "k", "1"), hook("ConfigMap", "one", "pre-install", "1", ""), hook("ConfigMap", "two", "pre-install", "2", ""),
	}}}
	w.killedRun(w.plan(charts), 2)
	charts[0].docs[0] = configMap("a", "k", "2")
	_, seen, err := w.run(w.plan(charts))
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, hooksOf(seen))
}

func TestHooksOfARunThatFailedAreRunAgain(t *testing.T) {
	w := enter(t)
	charts := []chart{{name: "app", timeout: 30 * time.Second, docs: []string{
		configMap("a", "k", "1"), hook("ConfigMap", "one", "pre-install", "1", ""), failingJob("two", "pre-install"),
	}}}
	_, seen, err := w.run(w.plan(charts))
	require.Error(t, err)
	require.Equal(t, []string{"one", "two"}, hooksOf(seen))
	_, seen, err = w.run(w.plan(charts))
	require.Error(t, err)
	require.Equal(t, []string{"one", "two"}, hooksOf(seen), "it is a new try")
}

func TestRollback(t *testing.T) {
	w := enter(t)
	hooks := []string{hook("ConfigMap", "before", "pre-rollback", "0", ""), hook("ConfigMap", "after", "post-rollback", "0", "")}
	version := func(k string, more ...string) []chart {
		return []chart{{name: "app", docs: slices.Concat([]string{configMap("a", "k", k)}, hooks, more)}}
	}
	w.apply(version("1"))
	two := version("2", configMap("new", "k", "1"))
	w.apply(two)
	rollback := func(revision int) (diff.Plan, error) {
		return diff.Rollback(w.ctx, diff.Input{}, runlevel.Release{Namespace: w.namespace, Name: "app", Wait: true}, revision, w.client, diff.Options{})
	}
	_, err := rollback(7)
	require.ErrorContains(t, err, "has no revision 7; it has 1, 2")
	plan, err := rollback(0)
	require.NoError(t, err)
	r := of(t, plan, "app")
	require.Equal(t, "back to revision 1", r.Reason)
	require.Equal(t, map[string]diff.Action{"ConfigMap a": diff.Update, "ConfigMap new": diff.Delete}, actions(r))
	_, seen, err := w.run(plan)
	require.NoError(t, err)
	require.Equal(t, []string{"before", "after"}, hooksOf(seen))
	require.Equal(t, map[string]any{"k": "1"}, w.get(configMaps, "a")["data"])
	require.Nil(t, w.get(configMaps, "new"))
	stored, err := w.client.Stored(w.ctx, w.namespace, "app", 3)
	require.NoError(t, err)
	require.Equal(t, "Rollback to 1", stored.Description)
	require.Equal(t, []manifest.Status{manifest.Superseded, manifest.Superseded, manifest.Deployed}, w.statuses())

	next := of(t, w.plan(two), "app")
	require.Equal(t, diff.Upgrade, next.Action)
	require.Equal(t, "revision 3 went back to revision 1, which is not what the values say", next.Reason)
	require.True(t, w.plan(version("1")).Empty(), "and where the values say so, too, nothing differs")
	w.apply(two)
}

func TestRollbackTakesNothingFromOthers(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1"), configMap("b", "k", "1")))
	w.apply(w.one(configMap("a", "k", "1")))
	w.apply([]chart{{name: "app", docs: []string{configMap("a", "k", "1")}}, {name: "other", docs: []string{configMap("b", "k", "2")}}})
	plan, err := diff.Rollback(w.ctx, diff.Input{}, runlevel.Release{Namespace: w.namespace, Name: "app"}, 1, w.client, diff.Options{})
	require.NoError(t, err)
	require.Contains(t, strings.Join(of(t, plan, "app").Problems(), ""), "it belongs to release "+w.namespace+"/other")
}

func TestReleaseThatIsNotInstalledGoesBeforeTheUpgradesOfItsRunlevel(t *testing.T) {
	w := enter(t)
	charts := []chart{
		{name: "one", docs: []string{configMap("one", "k", "1")}}, {name: "two", group: 1, docs: []string{configMap("two", "k", "1")}},
		{name: "up", docs: []string{configMap("up", "k", "1")}},
	}
	w.apply(charts)
	charts[0].gone, charts[1].gone = true, true
	charts[2].docs[0] = configMap("up", "k", "2")
	_, seen, err := w.run(w.plan(charts))
	require.NoError(t, err)
	var order []string
	for _, e := range seen.of(apply.ReleaseDone) {
		order = append(order, e.Release)
	}
	require.Equal(t, []string{"two", "one", "up"}, order)
}

func TestIdentityIsNotTheVersion(t *testing.T) {
	w := enter(t)
	scaler := func(version, metrics string) string {
		return "apiVersion: autoscaling/" + version + "\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n" +
			"  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 3\n" + metrics
	}
	w.apply(w.one(scaler("v1", "  targetCPUUtilizationPercentage: 50\n")))
	plan := w.apply(w.one(scaler("v2", "  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]\n")))
	require.Zero(t, plan.Counts().Objects[diff.Delete])
}

func TestNothingThatOthersMayUseIsPruned(t *testing.T) {
	w := enter(t)
	space := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + w.namespace + "-more}"
	charts := []chart{{name: "app", crds: []string{w.crd("Widget", "Namespaced")}, docs: []string{
		configMap("a", "k", "1"), space, configMap("recorded", "k", "1"), configMap("live", "k", "1"),
	}}}
	charts[0].docs[2] = strings.Replace(charts[0].docs[2], "  name:", "  annotations: {helm.sh/resource-policy: keep}\n  name:", 1)
	w.apply(charts)
	w.patch(configMaps, "live", `{"metadata":{"annotations":{"helm.sh/resource-policy":"keep"}}}`)
	plan := w.apply(w.one(configMap("a", "k", "1")))
	require.Zero(t, plan.Counts().Objects[diff.Delete], describe(plan))
	require.NotNil(t, w.get(configMaps, "recorded"))
	require.NotNil(t, w.get(configMaps, "live"))
}

func TestWithoutPruningWhatTheChartDropsStays(t *testing.T) {
	w := enter(t)
	w.apply(w.one(configMap("a", "k", "1"), configMap("b", "k", "1")))
	plan := w.planWith(w.one(configMap("a", "k", "1")), diff.Options{NoPrune: true})
	require.Zero(t, plan.Counts().Objects[diff.Delete])
	_, _, err := w.run(plan)
	require.NoError(t, err)
	require.NotNil(t, w.get(configMaps, "b"))
}
