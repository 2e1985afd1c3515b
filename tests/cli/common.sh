# What the tests of the program share: REPRISE and SOURCE are the arguments of each. Sets $reprise, $tiny (a model),
# $work (a temporary folder), $failures; source it first.
set -uo pipefail
reprise=$1 tiny=$2/models/tiny
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
finish() {
  [ "$failures" = 0 ] && echo "all passed"
  exit "$((failures > 0))"
}
# run COMMAND...: leaves the exit code in $rc, and what was written in $work/out and $work/err.
run() {
  rc=0
  timeout 120 "$@" >"$work/out" 2>"$work/err" </dev/null || rc=$?
}
# one_error CODE WHAT: the last run exited with CODE and said one line of error.
one_error() {
  [ "$rc" = "$1" ] || fail "exit code $rc instead of $1: $2: $(tail -n 1 "$work/err")"
  [ "$(grep -c '^reprise: error:' "$work/err")" = 1 ] || fail "not one line of error: $2: $(head -c 500 "$work/err")"
}
