#!/bin/sh
# Runs one fuzz target for FUZZTIME: sh testdata/fuzz.sh GO TARGET DIR.
# go test sometimes ends a run that found nothing with "context deadline exceeded", when the time is over in the middle of an
# input. That is no finding: a finding names the input that it wrote, or the seed that fails.
set -u
echo "$2 in $3"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$1" test -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 20x "$3" >"$log" 2>&1
code=$?
cat "$log"
[ $code -eq 0 ] && exit 0
grep -qE 'Failing input written|failure while testing seed|panic|fatal error|Messages:|Error:' "$log" && exit $code
grep -q '^    context deadline exceeded$' "$log" && exit 0
exit $code
