#!/usr/bin/env bash
# compile_cache_test.sh REPRISE SOURCE COMPILER: a model that is served at level 2 while things happen to its cache:
# damage, other processes, directories that can't be used. The answers stay those of level 0.
. "$(dirname "$0")/compile_common.sh"

# The second start compiles nothing and starts no compiler.
serve "empty cache" 8 0 0 0 --compile-cache "$cache"
[ "$(starts)" = 1 ] || fail "the compiler was started $(starts) times"
rm "$work/starts"
serve "warm cache" 0 8 0 0 --compile-cache "$cache"
[ "$(starts)" = 0 ] || fail "a warm start started the compiler"

# Damage: found, rebuilt, counted, and good the next time.
entries=("$cache"/*.kernel)
[ "${#entries[@]}" = 8 ] || fail "entries: ${entries[*]}"
damaged() { # WHAT: entries[0] is damaged
  serve "$1" 1 7 1 0 --compile-cache "$cache"
  serve "after: $1" 0 8 0 0 --compile-cache "$cache"
}
flip() { # OFFSET
  local byte
  byte=$(od -An -tu1 -j "$1" -N 1 "${entries[0]}")
  printf "\\$(printf %o $((byte ^ 16)))" | dd of="${entries[0]}" bs=1 seek="$1" conv=notrunc status=none
}
size=$(stat -c %s "${entries[0]}")
for offset in 0 9 20 200 $((size / 2)) $((size - 100)) $((size - 1)); do
  flip "$offset"
  damaged "byte $offset of $size flipped"
done
truncate -s $((size / 2)) "${entries[0]}"
damaged "cut"
truncate -s 0 "${entries[0]}"
damaged "emptied"
printf xxxx >>"${entries[0]}"
damaged "lengthened"
cp "${entries[1]}" "${entries[0]}"
damaged "replaced by its neighbour"
head -c "$size" /dev/urandom >"${entries[0]}"
damaged "replaced by noise"
chmod 666 "${entries[0]}"
damaged "others may write to it"

# Several processes at once on an empty cache; then while another one clears it.
together() { # WHAT
  local pids=() pid i
  for i in 1 2 3 4 5 6 7 8; do
    timeout 120 "${generate[@]}" "${two[@]}" --compile-cache "$cache" >"$work/out.$i" 2>"$work/err.$i" </dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "$1: exit code $?"; done
  for i in 1 2 3 4 5 6 7 8; do
    [ "$(answer "$work/out.$i")" = "$expected" ] || fail "$1: process $i: $(cat "$work/out.$i" "$work/err.$i")"
    ! grep -q 'not compiled\|damaged' "$work/err.$i" || fail "$1: process $i: $(cat "$work/err.$i")"
  done
}
rm -rf "$cache"
together "8 processes on an empty cache"
serve "after 8 processes" 0 8 0 0 --compile-cache "$cache"
(
  while [ ! -e "$work/stop" ]; do "$reprise" cache clear --compile-cache "$cache" >"$work/cleared" 2>&1 || touch "$work/unclear"; done
) &
clearer=$!
together "while the cache is cleared"
touch "$work/stop"
wait "$clearer"
[ ! -e "$work/unclear" ] || fail "clearing: $(cat "$work/cleared")"

# Directories that can't be used: served, with one warning.
rm -rf "$cache"
touch "$work/a_file"
serve "a path that is a file" 8 0 0 1 --compile-cache "$work/a_file"
grep -q "^reprise: warning: .*$work/a_file" "$work/err" || fail "not named: $(cat "$work/err")"
HOME= serve "no home" 8 0 0 1
mkdir -m 777 "$work/open"
chmod 777 "$work/open"
serve "a directory of everybody" 8 0 0 1 --compile-cache "$work/open"
serve "a directory that cannot be made" 8 0 0 1 --compile-cache /proc/nothing/here
# Root may write everywhere, so that it takes somebody else to be refused.
if [ "$(id -u)" = 0 ]; then
  nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chmod -R a+rX "$work"
  mkdir -m 700 "$cache" && chown 65534 "$cache"
  generate=("${nobody[@]}" "${generate[@]}")
fi
if ! run "${generate[@]}" || [ "$rc" != 0 ]; then
  echo "not tried, since nobody but root can run it here: a directory that is read only"
else
  serve "filling" 8 0 0 0 --compile-cache "$cache"
  chmod 500 "$cache"
  serve "read only, warm" 0 8 0 1 --compile-cache "$cache"
  chmod 700 "$cache"
  rm "$cache"/*.kernel
  chmod 500 "$cache"
  serve "read only, empty" 8 0 0 1 --compile-cache "$cache"
  chmod 700 "$cache"
fi

finish
