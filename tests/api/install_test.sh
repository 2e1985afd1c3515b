#!/usr/bin/env bash
# install_test.sh BUILD SOURCE: installs BUILD into a folder of its own, builds examples/generate against it alone, and
# runs it on the tiny model.
set -euo pipefail
build=$1 source=$2
if grep -q '^REPRISE_SANITIZE:STRING=.\|^CMAKE_CXX_FLAGS:STRING=.*--coverage' "$build/CMakeCache.txt"; then
  echo "skipped: the runtime of a sanitizer or of coverage is no part of an installed package"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake -S "$source/examples/generate" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/log" || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
"$work/build/generate" "$source/models/tiny" "It was" | tee "$work/out"
# Two identical prompts of the batch say the same.
[ "$(grep -c 'tokens, ' "$work/out")" = 3 ]
[ "$(sed -n '/tokens, /p' "$work/out" | sed -n '1p;3p' | sort -u | wc -l)" = 1 ]
# The program without arguments says how it is used.
rc=0; "$work/build/generate" 2>/dev/null || rc=$?
[ "$rc" = 2 ]
