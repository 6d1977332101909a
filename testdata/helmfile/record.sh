#!/bin/sh
# Records the goldens of platform/ from helmfile itself: v1.7.2, built from its module by tool/, with the helm CLI that
# this repository's go.mod names. `make helmfile-goldens` runs it; the first build takes several minutes.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd ../.. && make --no-print-directory helm)
cp ../../bin/helm "$bin/"
helmfile="${HELMFILE:-}"
if [ -z "$helmfile" ]; then
	helmfile="$bin/helmfile"
	(cd tool && GOFLAGS=-mod=mod go build -o "$helmfile" github.com/helmfile/helmfile)
fi
mkdir -p golden "$bin/home"
run() { # GOLDEN ARGS...: what helmfile prints, its log left out
	to="golden/$1"; shift
	env -i PATH="$bin:/usr/local/bin:/usr/bin:/bin" HOME="$bin/home" TZ=UTC HELMFILE_UPGRADE_NOTICE_DISABLED=1 \
		"$helmfile" -f platform/helmfile.d "$@" >"$to" 2>"$bin/log" || { cat "$bin/log" >&2; exit 1; }
}
for environment in default staging prod; do
	run "list-$environment.json" -e "$environment" list --output json
	run "template-$environment.yaml" -e "$environment" template --sequential-helmfiles
done
run list-selected.json -e staging -l team=core -l 'tier!=job,team=sre' list --output json
run template-selected.yaml -e staging -l team=core -l 'tier!=job,team=sre' template --sequential-helmfiles
run template-set.yaml -e prod --state-values-set 'monitoring.enabled=false,replicas.web=7' template --sequential-helmfiles \
	--set extra.a=cli
run template-needs.yaml -e staging -l name=access-alpha template --sequential-helmfiles --include-needs
