#!/bin/sh
# Records which hooks helmfile 1.7.2 runs, in which order, for the cases beside it: golden/NAME has a line for each, and its exit
# code. `HELMFILE=PATH sh record.sh` records anew; a stand-in for helm answers as a cluster would.
set -eu
cd "$(dirname "$0")"
here=$(pwd)
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
helmfile="${HELMFILE:-}"
if [ -z "$helmfile" ]; then
	helmfile="$bin/helmfile"
	(cd ../tool && GOFLAGS=-mod=mod go build -o "$helmfile" github.com/helmfile/helmfile)
fi
cp helm "$bin/"
rm -rf golden
mkdir golden
grep -v '^#' cases | while IFS='|' read -r name cluster fail args; do
	name=$(echo $name) cluster=$(echo $cluster) fail=$(echo $fail)
	case $cluster in
	some) there='web store gone last' differ=store;;
	same) there='web store last' differ='';;
	*) there='' differ='web store last';;
	esac
	rm -rf "$bin/files"
	cp -r files "$bin/"
	code=0
	(cd "$bin/files" && env -i PATH="$bin:/usr/local/bin:/usr/bin:/bin" HOME="$bin" TZ=UTC HELMFILE_UPGRADE_NOTICE_DISABLED=1 \
		THERE="$there" DIFFER="$differ" FAIL="$fail" "$helmfile" --helm-binary "$bin/helm" -f helmfile.d --sequential-helmfiles $args \
		</dev/null >"$bin/log" 2>&1) || code=$?
	touch "$bin/files/ran"
	{ cat "$bin/files/ran"; echo "exit $code"; } >"golden/$name"
done
cd "$here"
