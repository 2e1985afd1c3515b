#!/usr/bin/env bash
# install_test.sh BUILD SOURCE: installs BUILD into a folder of its own, builds the examples against it alone, and runs
# them.
set -euo pipefail
build=$1 source=$2
if grep -q '^REPRISE_SANITIZE:STRING=.\|^CMAKE_CXX_FLAGS:STRING=.*--coverage' "$build/CMakeCache.txt"; then
  echo "skipped: the runtime of a sanitizer or of coverage is no part of an installed package"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }
quietly cmake --install "$build" --prefix "$work/prefix"
for example in generate custom_model; do
  quietly cmake -G Ninja -S "$source/examples/$example" -B "$work/$example" -DCMAKE_PREFIX_PATH="$work/prefix"
  quietly cmake --build "$work/$example"
  # Without arguments a program says how it is used.
  rc=0; "$work/$example/$example" 2>/dev/null || rc=$?
  [ "$rc" = 2 ]
done

"$work/generate/generate" "$source/models/tiny" "It was" | tee "$work/out"
# Two identical prompts of the batch say the same.
[ "$(grep -c 'tokens, ' "$work/out")" = 3 ]
[ "$(sed -n '/tokens, /p' "$work/out" | sed -n '1p;3p' | sort -u | wc -l)" = 1 ]

# A model of its own gives the same bits in every way, and one that takes no part in graphs is refused by name.
"$work/custom_model/custom_model" "$work/model" | tee "$work/out"
[ "$(grep -c 'the same bits' "$work/out")" = 7 ]
grep -q '^refused: .*OpByOpForCausalLM' "$work/out"
