#!/usr/bin/env bash
# compile_failures_test.sh REPRISE SOURCE FAKE_COMPILER: a compiler that refuses, hangs, crashes and lies costs its
# kernels alone: they are interpreted, or run as the op that they are, with the answers of level 0, counted under their reason and named in one warning.
# REPRISE knows the family ChainLlama (family.cc), which has seven kernels.
. "$(dirname "$0")/common.sh"
unset REPRISE_COMPILE_CACHE REPRISE_COMPILE_BEFORE_READY REPRISE_COMPILE_TRIALS
export REPRISE_ISA=avx2 # counts do not depend on the machine
mkdir "$work/chain"
cp "$tiny"/* "$work/chain/"
sed -i 's/LlamaForCausalLM/ChainLlama/' "$work/chain/config.json"
export REPRISE_COMPILER=$3
generate=("$reprise" generate --model "$work/chain" --prompt "It was a" --max-tokens 12 --temperature 0 --logprobs 1 --json)
two=(--graph-optimization-config '{"graph_opt_level": 2, "use_cudagraph": true}' --compile-before-ready --compile-cache "$work/cache")
answer() { sed 's/"metrics".*//' "$work/out"; }
run "${generate[@]}"
expected=$(answer)
[ "$rc" = 0 ] && [ -n "$expected" ] || fail "level 0: $(cat "$work/err")"

# costs PROGRAM CODE WORDS: what the compiler does, and what is said.
costs() {
  REPRISE_FAKE_PROGRAM=$1 run "${generate[@]}" "${two[@]}"
  [ "$rc" = 0 ] && [ "$(answer)" = "$expected" ] || fail "$1: exit code $rc, $(cat "$work/out" "$work/err")"
  grep -qx "graph: 8 not compiled: $2" "$work/err" || fail "$1: not counted: $(cat "$work/err")"
  grep -q "^graph: 26 groups of ops run as 8 kernels: 0 compiled in 0 ms by fake 1.2, 0 from the cache$" "$work/err" ||
    fail "$1: $(grep kernels "$work/err")"
  [ "$(grep -c 'is interpreted' "$work/err")" = 1 ] || fail "$1: not one warning: $(cat "$work/err")"
  grep -q "^reprise: warning: kernel .* is interpreted, because it could not be compiled: .*$3" "$work/err" ||
    fail "$1: '$3' is not in the warning: $(cat "$work/err")"
}
costs refuse refused "this program is refused"
costs hang deadline "took longer than 2000 ms"
costs exit compiler_died "ended with exit code 3"
costs garbage compiler_died "answered what is no answer"
costs "give up" compiler_died "this program is the last"
costs other not_loadable ""
[ -z "$(find "$work/cache" -name '*.kernel')" ] || fail "what can't be loaded was stored"

# One that cannot be started is none.
REPRISE_FAKE_START="no library" run "${generate[@]}" "${two[@]}"
one_error 1 "a compiler that ends at once"
grep -q '6 kernels to be compiled, and no kernels can be compiled: .*libllvm19.*use graph_opt_level 1' "$work/err" ||
  fail "not said: $(cat "$work/err")"

finish
