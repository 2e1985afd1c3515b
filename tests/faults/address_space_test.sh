#!/usr/bin/env bash
# address_space_test.sh REPRISE MODEL [FROM TO STEP]: loads and generates under address-space limits (ulimit -v, KiB)
# from far too little to enough. Each run ends well, or with exit code 1 and one line that says that memory ran out:
# never by a signal, never with the bare name of an exception. Without FROM, TO and STEP the range is found.
set -uo pipefail
reprise=$1 model=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# No grep -q: it ends at the first line, and with pipefail the SIGPIPE of the command before it counts as failure.
if ldd "$reprise" | grep 'lib[at]san' >/dev/null || nm -C "$reprise" 2>/dev/null | grep ' __[at]san_init' >/dev/null; then
  echo "skipped: a sanitizer reserves more address space than any limit here"
  exit 77
fi
# The tokens that a run without a limit gives.
run() { "$reprise" generate --model "$model" --prompt-ids 1,2,3 --max-tokens 3 --temperature 0 --threads 2 --num-gpu-blocks-override 8000 \
          --graph-optimization-config '{"graph_opt_level":1,"use_cudagraph":true}' --json; }
expected=$(run 2>"$work/err" | sed 's/.*"token_ids":\(\[[^]]*\]\).*/\1/') || { cat "$work/err"; exit 1; }
runs=0 good=0 refused=0 failures=0
try() { # try KIB: 0 where it ended well
  local rc=0
  (ulimit -v "$1" && run) >"$work/out" 2>"$work/err" </dev/null || rc=$?
  runs=$((runs + 1))
  if [ $rc = 127 ] && grep -q 'shared libraries' "$work/err"; then return 2; fi # the loader's own refusal
  if [ $rc = 0 ]; then
    good=$((good + 1))
    [ "$(sed 's/.*"token_ids":\(\[[^]]*\]\).*/\1/' "$work/out")" = "$expected" ] || { failures=$((failures + 1)); echo "FAILED: other tokens at $1 KiB"; }
    return 0
  fi
  refused=$((refused + 1))
  if [ $rc != 1 ] || [ "$(grep -c '^reprise: error:' "$work/err")" != 1 ] || ! grep '^reprise: error:' "$work/err" | grep -qi 'memory' ||
    grep -q 'bad_alloc' "$work/err"; then
    failures=$((failures + 1))
    echo "FAILED: exit code $rc at $1 KiB: $(tail -n 2 "$work/err" | tr '\n' ' ')"
  fi
  return 1
}
if [ $# -ge 5 ]; then
  for ((limit = $3; limit <= $4; limit += $5)); do try "$limit"; done
else
  enough=16384
  until try "$enough"; do enough=$((enough * 2)); [ "$enough" -lt 67108864 ] || break; done
  step=$((enough / 120))
  for ((limit = 8192; limit <= enough; limit += step)); do try "$limit"; done
fi
echo "$runs runs: $good ended well, $refused said that memory ran out, $failures failed"
[ "$failures" = 0 ] && [ "$good" -gt 0 ] && [ "$refused" -gt 0 ]
