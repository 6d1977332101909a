#!/bin/sh
# Records golden.json from helmfile v1.7.2, built as ../record.sh builds it (or HELMFILE=PATH), with the helm of go.mod.
# With an argument only rows that are new are recorded.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
(cd ../../.. && make --no-print-directory helm)
cp ../../../bin/helm "$bin/"
helmfile="${HELMFILE:-}"
if [ -z "$helmfile" ]; then
	helmfile="$bin/helmfile"
	(cd ../tool && GOFLAGS=-mod=mod go build -o "$helmfile" github.com/helmfile/helmfile)
fi
go run ./record "$helmfile" "$bin/helm" "$@"
