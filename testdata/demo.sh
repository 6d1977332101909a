#!/bin/sh
# The main job from end to end, on a real control plane: what `make demo` runs. It stops at the first step that fails.
#
#   OTOMI       the otomi binary
#   PLAYGROUND  the playground binary
#   DEMO_DIR    where values and control plane live (default dist/demo; emptied first)
#   DEMO_STOP   when set, the control plane is stopped at the end
set -eu

: "${OTOMI:?}" "${PLAYGROUND:?}"
DEMO_DIR="${DEMO_DIR:-dist/demo}"
cluster=aws/demo

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
fail() { printf '\ndemo: %s\n' "$*" >&2; exit 1; }
otomi() { "$OTOMI" "$@"; }
shown() { printf '$ otomi %s\n' "$*"; otomi "$@"; }

mkdir -p "$DEMO_DIR"
DEMO_DIR="$(cd "$DEMO_DIR" && pwd)"
values="$DEMO_DIR/values" state="$DEMO_DIR/cluster"
stop() { "$PLAYGROUND" down --dir "$state" --delete >/dev/null 2>&1 || :; }
stop
rm -rf "$values" "$state"
trap 'code=$?; [ $code = 0 ] && [ -z "${DEMO_STOP:-}" ] || stop; exit $code' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "A Kubernetes control plane on this machine: a real API server, controllers and scheduler; its nodes are simulated"
KUBECONFIG="$("$PLAYGROUND" up --dir "$state" --audit)"
export KUBECONFIG
# The example must not meet what this shell has for other clusters.
unset OTOMI_CLUSTER OTOMI_REPO OTOMI_KUBE_CONTEXT || :

# Counts what otomi wrote to the API server so far: every request that is no read, rehearsals included.
writes() {
	grep '"stage":"ResponseComplete"' "$state/audit.log" | grep '"userAgent":"otomi/' | grep -cvE '"verb":"(get|list|watch)"' || :
}

say "A values repository: two clouds, three clusters, two teams"
shown bootstrap --profile demo --kube-context playground "$values"
cd "$values"
find env -type f | sort

say "Compiled for every cluster and checked against the schema: silence is success"
shown validate --all

say "What would change on $cluster (its first lines)"
printf '$ otomi diff -c %s\n' "$cluster"
otomi diff -c "$cluster" --detailed-exitcode >"$DEMO_DIR/first.diff" && fail "nothing to install?" || [ $? = 2 ] || fail "diff failed"
head -n 25 "$DEMO_DIR/first.diff"
printf '… %s more lines\n' "$(($(wc -l <"$DEMO_DIR/first.diff") - 25))"

say "Applied, runlevel by runlevel: each begins when the one before it is ready"
printf '$ otomi apply -c %s --yes\n' "$cluster"
otomi apply -c "$cluster" --yes >"$DEMO_DIR/apply.diff"

say "What the cluster says now"
shown status -c "$cluster"

say "Applied again: nothing differs, nothing is written"
before="$(writes)"
shown apply -c "$cluster" --yes
after="$(writes)"
[ "$before" -gt 0 ] || fail "the audit log shows no writes of the first apply: it proves nothing"
[ "$before" = "$after" ] || fail "the second apply wrote $((after - before)) times"
printf 'writes counted in the audit log: %s before, %s after\n' "$before" "$after"

say "One value changes: three replicas for team Alpha's web"
sed 's/replicas: 2/replicas: 3/' env/teams/alpha.yaml >"$DEMO_DIR/alpha.yaml"
cmp -s env/teams/alpha.yaml "$DEMO_DIR/alpha.yaml" && fail "env/teams/alpha.yaml has no replicas: 2 to change"
cp "$DEMO_DIR/alpha.yaml" env/teams/alpha.yaml
printf '$ otomi diff -c %s\n' "$cluster"
otomi diff -c "$cluster" --detailed-exitcode >"$DEMO_DIR/change.diff" && fail "the change makes no difference" || [ $? = 2 ] || fail "diff failed"
cat "$DEMO_DIR/change.diff"
[ "$(grep -c '^~ upgrade ' "$DEMO_DIR/change.diff")" = 1 ] || fail "not exactly one release changes"

say "Applied: that one release"
printf '$ otomi apply -c %s --yes\n' "$cluster"
otomi apply -c "$cluster" --yes >/dev/null
otomi diff -c "$cluster" --detailed-exitcode || fail "there are differences left"

[ -z "${DEMO_STOP:-}" ] || exit 0
cat <<TXT

== That was it. Next, try:

  export KUBECONFIG=$KUBECONFIG
  cd $values
  $OTOMI values -c aws/prod
  $OTOMI template -c azure/demo -l team=bravo
  edit env/teams/bravo.yaml, then: $OTOMI validate --all && $OTOMI apply -c aws/demo
  $OTOMI destroy -c aws/demo

  The nodes are simulated: nothing runs in the pods, so kubectl logs and exec do not work here.

  Stop it: $PLAYGROUND down --dir $state --delete
TXT
