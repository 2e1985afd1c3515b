# What the tests of the cache behind a served model share: REPRISE SOURCE COMPILER are the arguments of each. REPRISE knows
# the family ChainLlama (family.cc), which has seven kernels. Source it first.
. "$(dirname "$0")/common.sh"
unset REPRISE_COMPILE_CACHE XDG_CACHE_HOME REPRISE_COMPILE_BEFORE_READY
export REPRISE_COMPILE_TRIALS=0 # counts do not depend on times
export REPRISE_ISA=avx2         # nor on the machine
export HOME=$work/home
mkdir -p "$HOME" "$work/chain"
cp "$tiny"/* "$work/chain/"
sed -i 's/LlamaForCausalLM/ChainLlama/' "$work/chain/config.json"
cache=$work/cache

# A compiler that leaves a mark when it is started.
printf '#!/bin/sh\necho started >>%q\nexec %q\n' "$work/starts" "$3" >"$work/compiler"
chmod +x "$work/compiler"
export REPRISE_COMPILER=$work/compiler
starts() { [ ! -e "$work/starts" ] && echo 0 || wc -l <"$work/starts"; }

generate=("$reprise" generate --model "$work/chain" --prompt "It was a" --max-tokens 12 --temperature 0 --logprobs 1 --json)
two=(--graph-optimization-config '{"graph_opt_level": 2, "use_cudagraph": true}' --compile-before-ready)
answer() { sed 's/"metrics".*//' "$1"; }
run "${generate[@]}"
expected=$(answer "$work/out")
[ "$rc" = 0 ] && [ -n "$expected" ] || fail "level 0: $(cat "$work/err")"

# serve WHAT COMPILED FROM_CACHE REJECTED WARNINGS [FLAG...]: level 2 gives level 0's answer and this report.
serve() {
  local what=$1 compiled=$2 from_cache=$3 rejected=$4 warnings=$5 found
  shift 5
  run "${generate[@]}" "${two[@]}" "$@"
  [ "$rc" = 0 ] && [ "$(answer "$work/out")" = "$expected" ] || fail "$what: exit code $rc, $(cat "$work/out" "$work/err")"
  grep -q "^graph: 26 groups of ops run as 8 kernels: $compiled compiled in .*, $from_cache from the cache$" "$work/err" ||
    fail "$what: $(grep kernels "$work/err")"
  found=$(sed -n 's/^graph: \([0-9]*\) damaged entries of the cache .*/\1/p' "$work/err")
  [ "${found:-0}" = "$rejected" ] || fail "$what: ${found:-0} entries were rejected, expected $rejected"
  found=$(grep -c 'compile-cache' "$work/err")
  [ "$found" = "$warnings" ] || fail "$what: $found warnings, expected $warnings: $(cat "$work/err")"
}

