#!/usr/bin/env bash
# compile_test.sh REPRISE SOURCE COMPILER: what a user sees of level 2: reports, dumps, artefacts, and what happens
# where nothing can compile. REPRISE knows the family ChainLlama (family.cc); COMPILER is none in a build without LLVM.
. "$(dirname "$0")/common.sh"
compiler=$3
export HOME=$work/home
unset REPRISE_COMPILE_CACHE XDG_CACHE_HOME REPRISE_COMPILE_BEFORE_READY REPRISE_ISA
export REPRISE_COMPILE_TRIALS=0 # counts do not depend on times
export REPRISE_ISA=avx2         # nor on the machine: code for products is made at some levels
mkdir -p "$HOME" "$work/chain"
cp "$tiny"/* "$work/chain/"
sed -i 's/LlamaForCausalLM/ChainLlama/' "$work/chain/config.json"
model=$work/chain
two='{"graph_opt_level": 2, "use_cudagraph": true}'

serve() { run "$reprise" generate --model "$model" --prompt "It was a" --max-tokens 12 --temperature 0 --logprobs 1 --json "$@"; }
answer() { sed 's/"metrics".*//' "$work/out"; }
# says TEXT: it is in what the last run wrote, which succeeded.
says() {
  [ "$rc" = 0 ] || fail "exit code $rc, expected '$1': $(tail -n 1 "$work/err")"
  grep -qF -- "$1" "$work/out" "$work/err" || fail "'$1' is not in: $(cat "$work/out" "$work/err")"
}
refused() { # CODE TEXT
  one_error "$1" "$2"
  grep -qF -- "$2" "$work/err" || fail "'$2' is not in the message: $(cat "$work/err")"
}

# Nothing can compile: what must be compiled is refused before the weights are read, in one line.
export REPRISE_COMPILER=$work/nothing
serve
expected=$(answer)
[ "$rc" = 0 ] && [ -n "$expected" ] || fail "level 0: $(cat "$work/err")"
! grep -q compile "$work/out" || fail "level 0 compiles: $(cat "$work/out")"
missing='[graph_opt_level] 2 needs 6 kernels to be compiled, and no kernels can be compiled: '
serve --graph-optimization-config "$two"
refused 1 "$missing"
for text in "$work/nothing could not be started" libllvm19 llvm-19-dev 'or use graph_opt_level 1'; do refused 1 "$text"; done
mv "$model/model.safetensors" "$work/weights"
serve --graph-optimization-config "$two"
refused 1 "$missing"
mv "$work/weights" "$model/model.safetensors"
serve --graph-opt auto
says 'compiled: left out, because kernel'
[ "$(answer)" = "$expected" ] || fail "--graph-opt auto answers $(answer)"
run "$reprise" check --model "$model" --json
says '"compile":{"compiler":null}'
run "$reprise" check --model "$model" --json --graph-optimization-config "$two"
says '"kernels":8,"compiled":0,"from_cache":0,"rejected":0,"not_compiled":{"no_compiler":8}'
run "$reprise" compile --model "$model" -o "$work/file"
refused 1 'no kernels can be compiled'
[ ! -e "$work/file" ] || fail "a file was left behind"
run "$reprise" bench levels --model "$model" --input-len 4 --output-len 2 --repeat 1
says 'level 2 + replay is left out: [graph_opt_level] 2 needs 6 kernels'

# Dumps need no compiler but for LLVM's texts.
run "$reprise" graph --model "$model" --format kernels --isa avx512
says '26 groups of a step, 8 kernels for avx512'
for text in '  layers  model.layers.{0-4}' '  ops     add_rms_norm + matmul_group + sigmoid + mul' '  source  ' family.cc: \
  '  bytes   2112 read and written a row, 3520 by its parts' '  code    not compiled yet' 'outside opaque (reads it): opaque is no function over rows' \
  'outside opaque (makes what it reads): '; do says "$text"; done
run "$reprise" graph --model "$model" --format loop --kernel cap.mul
says 'loop cap.mul columns 352'
run "$reprise" graph --model "$model" --format loop --kernel caps
refused 1 "no kernel has the name 'caps'; --kernel is one of: add_rms_norm, add_rms_norm.matmul, add_rms_norm.matmul_group, add_rms_norm.matmul_group.sigmoid.mul, cap.mul, paged_attention, rms_norm.matmul_group, rotary_kv_write"
run "$reprise" graph --model "$model" --format llvm
refused 2 '--kernel and --format loop, llvm or asm go together'
run "$reprise" explain --model "$model" --graph-optimization-config "$two"
says '     5 x cap.mul'
run "$reprise" explain --model "$model" --graph-optimization-config "$two" --json
says '"kernels":{"add_rms_norm.matmul":1,"add_rms_norm.matmul_group":4,"add_rms_norm.matmul_group.sigmoid.mul":5,"cap.mul":5,"paged_attention":5,"rms_norm.matmul_group":1,"rotary_kv_write":5}}'
run "$reprise" explain --model "$model" --json
! grep -q kernels "$work/out" || fail "level 0 runs kernels: $(cat "$work/out")"
run "$reprise" compile --model "$model" --isa scalar -o "$work/file"
refused 1 'no code is made for the level scalar'

# Artefacts that are none.
serve --graph-optimization-config "$two" --compiled "$work/none"
refused 1 "[--compiled] cannot read $work/none"
serve --graph-optimization-config "$two" --compiled "$model/config.json"
refused 1 "[--compiled] $model/config.json"
serve --compiled "$work/none"
says '--compiled is without effect below'
serve --compiled ''
refused 2 '[--compiled] is'

if [ "$compiler" = none ]; then
  echo "skipped: this build has no LLVM; what needs no compiler was tested"
  finish
fi

# With a compiler: reports add up, the answers are level 0's.
export REPRISE_COMPILER=$compiler
number() { sed -n "s/.*\"$1\":\([0-9]*\)[,}].*/\1/p" "$work/out"; }
adds_up() {
  [ "$(number kernels)" = 8 ] && [ "$(($(number compiled) + $(number from_cache)))" = 8 ] ||
    fail "the report does not add up: $(cat "$work/out")"
}
bench=("$reprise" bench latency --model "$model" --input-len 4 --output-len 2 --repeat 1 --json --compile-before-ready
  --graph-optimization-config "$two")
run "${bench[@]}"
says '"compile":{"compiler":"llvm '
says '"groups":26,"kernels":8,"compiled":8,"from_cache":0,"rejected":0,"not_compiled":{},"ms":'
says "\"cache_dir\":\"$HOME/.cache/reprise/kernels\"}"
adds_up
run "${bench[@]}"
says '"compile":{"compiler":null,"groups":26,"kernels":8,"compiled":0,"from_cache":8,'
adds_up
run "$reprise" bench throughput --model "$model" --input-len 4 --output-len 2 --num-prompts 2 --repeat 1 --json
says '"compile":{"compiler":null,"groups":0,"kernels":0,'
run "$reprise" check --model "$model" --json
says '"compile":{"compiler":"llvm '
run "$reprise" check --model "$model" --json --graph-optimization-config "$two" --compile-cache "$work/checked"
says '"groups":26,"kernels":8,"compiled":8,"from_cache":0'
run "$reprise" bench levels --model "$model" --input-len 4 --output-len 2 --repeat 1
says '| level 2 | level 2 + replay |'
serve --graph-optimization-config "$two" --compile-before-ready --compile-cache off
says 'graph: 26 groups of ops run as 8 kernels: 8 compiled in '
[ "$(answer)" = "$expected" ] || fail "level 2 answers $(answer)"
says '}},"compile":{"compiler":"llvm '
says '"groups":26,"kernels":8,"compiled":8,"from_cache":0,"rejected":0,"not_compiled":{},"ms":'
says '"cache_dir":null}}}'
run "$reprise" graph --model "$model" --format llvm --kernel cap.mul --isa avx512
says 'define '
run "$reprise" graph --model "$model" --format asm --kernel cap.mul --isa avx512
says '%zmm'

# What is timed is shown, and heeded: by the cache, an artefact, and who only looks.
times=", T 16 [0-9.]* us, T 512 [0-9.]* us"
timed() { # PATTERN COUNT: so many lines of the last run's output, or more: a group around a matmul may be taken apart
  [ "$rc" = 0 ] && [ "$(grep -c -- "$1" "$work/out")" -ge "$2" ] || fail "not $2 of '$1': $(cat "$work/out" "$work/err")"
}
cache=(--compile-cache "$work/timed")
kernels=("$reprise" graph --model "$model" --format kernels)
run "${kernels[@]}" "${cache[@]}"
timed '^  code    not compiled yet$' 10
[ ! -e "$work/timed" ] || fail "looking made a cache"
serve --graph-optimization-config "$two" --compile-before-ready "${cache[@]}"
says '26 groups of ops run as 8 kernels: 8 compiled in '
run "${kernels[@]}" "${cache[@]}"
timed '^  code    chunks [124], not timed yet$' 10
export REPRISE_COMPILE_TRIALS=1
serve --graph-optimization-config "$two" --compile-before-ready "${cache[@]}"
[ "$(answer)" = "$expected" ] || fail "timed, it answers $(answer)"
says ', timed in '
run "${kernels[@]}" "${cache[@]}"
timed "^  code    chunks [1248] takes [0-9.]* of the time of its parts$" 6
timed "^          parts: T 1 [0-9.]* us$times$" 6
timed "^          chunks 1: T 1 [0-9.]* us$times$" 6
serve --graph-optimization-config "$two" "${cache[@]}"
says ' kernels: 0 compiled in 0 ms, '
run "$reprise" compile --model "$model" -o "$work/timed.bin" "${cache[@]}"
says 'timed in '
run "${kernels[@]}" --compile-cache off --compiled "$work/timed.bin"
timed "^          parts: T 1 [0-9.]* us$times$" 6
run env REPRISE_COMPILE_TRIALS=0 "$reprise" compile --model "$model" -o "$work/timed.bin"
says 'not timed'
run env REPRISE_COMPILE_TRIALS=maybe "$reprise" plan --model "$model"
refused 2 "REPRISE_COMPILE_TRIALS is 'maybe', expected 1 or 0"
REPRISE_COMPILE_TRIALS=0

# perf finds the kernels by name.
run bash -c 'echo $$; exec "$@"' - "$reprise" generate --model "$model" --prompt-ids 1,2 --max-tokens 2 \
  --graph-optimization-config "$two" --compile-before-ready --compile-debug
map=/tmp/perf-$(head -n 1 "$work/out").map
grep -q ' cap.mul:kernel$' "$map" && grep -q ' add_rms_norm.matmul_group.sigmoid.mul:kernel$' "$map" || fail "perf's map: $(cat "$map")"
rm -f "$map"

# An artefact: serves where nothing can compile, opens no cache, and is for what it says.
run "$reprise" compile --model "$model" -o "$work/file"
says '8 kernels of ChainLlama for '
[ "$(stat -c %s "$work/file")" -lt 1000000 ] || fail "the artefact has $(stat -c %s "$work/file") bytes"
run "$reprise" compile --model "$model" --isa amx -o "$work/amx"
says '8 kernels of ChainLlama for amx'
run "$reprise" compile --model "$model" --isa avx2 -o "$work/avx2"
says '8 kernels of ChainLlama for avx2'
run "$reprise" compile --model "$model" --dtype float32 -o "$work/f32"
says '11 kernels' # with the products of matmuls that stand alone
export REPRISE_COMPILER=$work/nothing
serve --graph-optimization-config "$two" --compiled "$work/file" --compile-cache "$work/unused"
says '8 kernels: 0 compiled in 0 ms, 8 from the cache'
[ "$(answer)" = "$expected" ] || fail "the artefact answers $(answer)"
[ ! -e "$work/unused" ] || fail "a cache was opened beside an artefact that has all"
serve --graph-opt auto --compiled "$work/file"
says 'compiled + replay '
mv "$model/model.safetensors" "$work/weights" # from here on: before the weights are read
serve --graph-optimization-config "$two" --compiled "$work/f32"
refused 1 "[--compiled] $work/f32 is for the model 'float32, vocabulary "
for level in amx avx2; do # one of them is not this machine's
  serve --graph-optimization-config "$two" --compiled "$work/$level"
  grep -q "is for the level '$level'" "$work/err" && break
done
refused 1 "is for the level '$level', but this is "
cp "$work/file" "$work/damaged"
printf x | dd of="$work/damaged" bs=1 seek=1000 conv=notrunc status=none
serve --graph-optimization-config "$two" --compiled "$work/damaged"
refused 1 "[--compiled] $work/damaged is damaged: its checksum is another one"
head -c 1000 "$work/file" >"$work/damaged"
serve --graph-optimization-config "$two" --compiled "$work/damaged"
refused 1 "[--compiled] $work/damaged is cut or damaged"
serve --graph-optimization-config "$two" --compiled "$work/file"
refused 1 'model.safetensors' # the artefact was good
serve_other() { CHAIN_CAP=20 serve --graph-optimization-config "$two" --compiled "$work/file"; }
serve_other # the same sizes, another activation: a kernel is not in the file
refused 1 '[graph_opt_level] 2 needs 1 kernels to be compiled'
sed -i 's/"num_hidden_layers": *[0-9]*/"num_hidden_layers": 3/' "$model/config.json"
mv "$work/weights" "$model/model.safetensors"
serve --graph-optimization-config "$two" --compiled "$work/file"
says '16 groups of ops run as 8 kernels: 0 compiled' # any depth

finish
