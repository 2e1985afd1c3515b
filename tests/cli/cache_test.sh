#!/usr/bin/env bash
# cache_test.sh REPRISE SOURCE: `reprise cache` on a directory with a known entry, and without one.
. "$(dirname "$0")/common.sh"
unset REPRISE_COMPILE_CACHE XDG_CACHE_HOME

entry=$2/fuzz/corpus/cache_entry/one_kernel
name=51d3aaad0bb55a1da3bc9140b46c127f.kernel # of its key
other=00000000000000000000000000000000.kernel
cache=$work/cache
fill() {
  rm -rf "$cache"
  mkdir -m 700 "$cache"
  install -m 600 "$entry" "$cache/$name"
  echo text >"$cache/notes.txt"
}
# out TEXT COMMAND...: the command succeeds without a word on standard error, and prints TEXT.
out() {
  local text=$1
  shift
  run "$@"
  [ "$rc" = 0 ] && [ ! -s "$work/err" ] || fail "exit code $rc: $*: $(cat "$work/err")"
  grep -qF -- "$text" "$work/out" || fail "'$text' is not in the output of: $*: $(cat "$work/out")"
}
# refused CODE TEXT COMMAND...
refused() {
  local code=$1 text=$2
  shift 2
  run "$@"
  one_error "$code" "$*"
  grep -qF -- "$text" "$work/err" || fail "'$text' is not in the message of: $*: $(cat "$work/err")"
}

fill
bytes=$(stat -c %s "$entry")
out "softmax of 64 columns" "$reprise" cache list --compile-cache "$cache"
grep -q "^1 entries, " "$work/out" || fail "no sum: $(cat "$work/out")"
out "\"bytes\":$bytes,\"entries\":[{\"file\":\"$name\",\"bytes\":$bytes,\"idle_s\":" "$reprise" cache list --compile-cache "$cache" --json
grep -qF '"key":"softmax of 64 columns","compiler":"","valid":true}]}' "$work/out" || fail "JSON: $(cat "$work/out")"
out "1 entries in $cache: 0 damaged, 0 removed" "$reprise" cache verify --compile-cache "$cache"

# Damaged: said, and deleted on demand.
printf x >>"$cache/$name"
cp "$cache/$name" "$cache/$other"
chmod 600 "$cache/$other"
out "rejected: it is cut or damaged" "$reprise" cache list --compile-cache "$cache"
refused 1 "2 of 2 entries are damaged; delete them with --remove" "$reprise" cache verify --compile-cache "$cache"
grep -qF "$other is cut or damaged" "$work/out" || fail "not named: $(cat "$work/out")"
refused 1 "damaged" "$reprise" cache verify --compile-cache "$cache" --json
grep -qF "{\"file\":\"$other\",\"problem\":\"is cut or damaged" "$work/out" || fail "JSON: $(cat "$work/out")"
install -m 600 "$entry" "$cache/$name"
install -m 600 "$entry" "$cache/$other" # whole, but under the name of another key
out '"removed":1}' "$reprise" cache verify --compile-cache "$cache" --remove --json
[ "$(ls "$cache")" = "$(printf '%s\n' "$name" notes.txt | sort)" ] || fail "after verify --remove: $(ls "$cache")"

# Cleared down to a size, and wholly; nobody else's file goes.
out "0 entries removed" "$reprise" cache clear --compile-cache "$cache" --max-size 1MiB
out "\"removed\":1,\"removed_bytes\":$bytes,\"left\":0,\"left_bytes\":0}" "$reprise" cache clear --compile-cache "$cache" --json
[ "$(ls "$cache")" = notes.txt ] || fail "after clear: $(ls "$cache")"

# Where it lies.
fill
out "softmax" env REPRISE_COMPILE_CACHE="$cache" "$reprise" cache list
mkdir -m 700 -p "$work/home/.cache/reprise" "$work/xdg/reprise"
mv "$cache" "$work/home/.cache/reprise/kernels"
out "softmax" env HOME="$work/home" "$reprise" cache list
mv "$work/home/.cache/reprise/kernels" "$work/xdg/reprise/kernels"
out "softmax" env HOME="$work/home" XDG_CACHE_HOME="$work/xdg" "$reprise" cache list
out "0 entries, 0.0 kB, in $work/home/.cache/reprise/kernels" env HOME="$work/home" "$reprise" cache list
out "0 entries removed" env HOME="$work/home" "$reprise" cache clear
[ ! -e "$work/home/.cache/reprise/kernels" ] || fail "looking made a directory"
refused 1 "neither XDG_CACHE_HOME nor HOME" env -u HOME "$reprise" cache list
refused 1 "is off" env REPRISE_COMPILE_CACHE=off "$reprise" cache list
refused 1 "$entry cannot be used: Not a directory" "$reprise" cache list --compile-cache "$entry"
refused 2 "[--compile-cache] is 'off', expected a directory" "$reprise" cache clear --compile-cache off
refused 2 "needs a command" "$reprise" cache
fill
chmod 777 "$cache"
run "$reprise" cache list --compile-cache "$cache"
grep -q "^reprise: warning: .*may be written by others (mode 777).*chmod 700" "$work/err" || fail "no warning: $(cat "$work/err")"

# The flags of the model.
refused 2 "[--compile-cache] is '', expected a directory, or off" "$reprise" plan --model "$tiny" --compile-cache ''
refused 2 "REPRISE_COMPILE_BEFORE_READY is 'yes', expected 1 or 0" env REPRISE_COMPILE_BEFORE_READY=yes "$reprise" plan --model "$tiny"
run env REPRISE_COMPILE_BEFORE_READY=1 "$reprise" plan --model "$tiny" --compile-cache off
[ "$rc" = 0 ] || fail "the flags of the model: $(cat "$work/err")"

finish
