#!/usr/bin/env bash
# compile_debugger_test.sh REPRISE SOURCE COMPILER: gdb stops at a kernel and names it. Skipped where no gdb runs programs.
gdb -nx -batch -ex run true 2>&1 | grep -q 'exited normally' || { echo "skipped: no gdb that can run a program"; exit 77; }
. "$(dirname "$0")/compile_common.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # which can't look at a program under a debugger
debug() { # FLAG...
  run gdb -nx -batch -ex 'set breakpoint pending on' -ex 'break cap_mul' -ex run -ex backtrace -ex 'info symbol $pc' -ex kill \
    --args "${generate[@]}" "${two[@]}" --compile-cache "$cache" "$@"
}
for from in compiler cache; do
  debug --compile-debug
  grep -q 'hit Breakpoint 1.* in cap_mul ()' "$work/out" && grep -Eq '^#1 .* in (reprise::|.* at .*src/kernels/cpu/)' "$work/out" &&
    grep -q '^cap_mul in section .text of <in-memory@' "$work/out" || fail "code from the $from: $(cat "$work/out" "$work/err")"
done
debug
grep -q 'exited normally' "$work/out" && ! grep -q 'hit Breakpoint' "$work/out" || fail "without --compile-debug: $(cat "$work/out")"

finish
