#!/usr/bin/env bash
# compile_disks_test.sh REPRISE SOURCE COMPILER: a model that is served at level 2 with its cache on disks that are full,
# read only, or run no programs. They are mounted in a namespace of this test's own; where that is refused it is skipped.
if [ -z "${REPRISE_TEST_MOUNTS:-}" ]; then
  unshare -Urm mount -t tmpfs none /mnt || { echo "skipped: this system lets nobody mount a disk of his own"; exit 77; }
  REPRISE_TEST_MOUNTS=1 exec unshare -Urm "$0" "$@"
fi
. "$(dirname "$0")/compile_common.sh"
disk=$work/disk
cache=$disk/cache
trap 'umount "$disk" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$disk"
mounted() { # OPTIONS: a new, empty disk
  ! mountpoint -q "$disk" || umount "$disk"
  mount -t tmpfs -o "$1" none "$disk" || fail "no disk: $1"
}
warned() { grep -q "^reprise: warning: .*$1.*or off" "$work/err" || grep -q "^graph: .*$1.*or off" "$work/err" || fail "'$1' is not said: $(cat "$work/err")"; }

# Full: nothing is kept, no part of an entry is left, and what was kept is found as soon as there is room.
mounted size=128k
mkdir -m 700 "$cache"
cat /dev/zero >"$disk/filler" 2>"$work/full"
serve "full" 8 0 0 1 --compile-cache "$cache"
warned 'cannot write to .*cache: No space left on device.*free space'
[ -z "$(ls -A "$cache")" ] || fail "left on a full disk: $(ls -A "$cache")"
rm "$disk/filler"
serve "with room again" 8 0 0 0 --compile-cache "$cache"
serve "kept" 0 8 0 0 --compile-cache "$cache"

# Full in the middle: what fits is kept.
mounted size=16k
serve "filling up" 8 0 0 1 --compile-cache "$cache"
warned 'No space left on device'
kept=$(find "$cache" -type f | wc -l)
[ "$kept" -gt 0 ] && [ "$kept" -lt 8 ] && [ "$kept" = "$(find "$cache" -name '*.kernel' | wc -l)" ] || fail "kept: $(ls -A "$cache")"
serve "filled up" $((8 - kept)) "$kept" 0 1 --compile-cache "$cache"

# No file of it may be run or mapped as code: code is copied into memory of the program's own.
mounted noexec
serve "noexec" 8 0 0 0 --compile-cache "$cache"
serve "noexec, warm" 0 8 0 0 --compile-cache "$cache"

# Read only.
mount -o remount,ro "$disk"
serve "read only, warm" 0 8 0 1 --compile-cache "$cache"
warned 'cannot be written (Read-only file system)'
mounted ro
serve "read only, empty" 8 0 0 1 --compile-cache "$cache"
warned 'cannot be used: Read-only file system'

finish
