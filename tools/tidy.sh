#!/usr/bin/env bash
# clang-tidy (.clang-tidy) over the sources of a build folder that has compile_commands.json and was built (ninja knows
# which headers a source reads). A source that was clean is not looked at again until it, a header of ours that it
# reads, or .clang-tidy changes.
# usage: tidy.sh BUILD [--since REF] [FOLDER ...]
#   --since REF   only sources that changed since this commit (all, where the clone does not have it)
#   FOLDER        src, tests, bench ... (src where none is named)
# exit 0: clean; 1: what was found is printed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
shift
since=
if [ "${1:-}" = --since ]; then
  since=${2:?a commit}
  shift 2
fi
[ $# -gt 0 ] || set -- src
export build cache=${XDG_CACHE_HOME:-$HOME/.cache}/reprise/tidy
mkdir -p "$cache"

# Sources of the build in these folders, each with the object that is made of it.
python3 - "$build" "$@" >"$build/tidy.list" <<'PY'
import json, os, re, sys
build, folders = sys.argv[1], sys.argv[2:]
root = os.getcwd()
for entry in json.load(open(os.path.join(build, "compile_commands.json"))):
    path = os.path.relpath(entry["file"], root)
    if path.split(os.sep)[0] in folders:
        print(path, re.search(r" -o (\S+\.o) ", entry["command"]).group(1))
PY

if [ -n "$since" ] && git rev-parse -q --verify "$since^{commit}" >/dev/null; then
  git diff --name-only "$since" | sort >"$build/tidy.changed"
  awk 'NR == FNR { changed[$1] = 1; next } $1 in changed' "$build/tidy.changed" "$build/tidy.list" >"$build/tidy.some"
  mv "$build/tidy.some" "$build/tidy.list"
fi

check_one() {
  local source=$1 object=$2 key
  # The key covers all that the verdict depends on: configuration, tool, and every file of ours behind the source.
  key=$({ clang-tidy-19 --version; cat .clang-tidy
    { echo "$source"; ninja -C "$build" -t deps "$object" | sed -nE "s,^ +($PWD/)?((\.\./)*)?((src|include|fuzz|tests|bench)/.*)$,\4,p"; } |
      sort -u | xargs -r sha256sum; } | sha256sum | cut -d' ' -f1)
  [ ! -e "$cache/$key" ] || return 0
  clang-tidy-19 -p "$build" --quiet "$source" 2>/dev/null && touch "$cache/$key"
}
export -f check_one
# -n 2: a source and its object. xargs ends with 123 where a command failed.
sort -u -k1,1 "$build/tidy.list" | xargs -P "$(nproc)" -n 2 bash -c 'check_one "$@" || { echo "tidy: $1"; exit 1; }' _
