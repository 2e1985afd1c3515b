#!/usr/bin/env bash
# check_skips_test.sh SOURCE: tools/check_skips.sh accepts a listed skip and names one that is not listed.
set -euo pipefail
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' 'always Known\..* it is known' "preset:tsan OnlyTsan a reason" 'absent:README.md NeedsReadme a reason' >"$work/list"
log() { printf 'The following tests did not run:\n' && printf '\t  7 - %s (Skipped)\n' "$@"; }
check() { tools/check_skips.sh "$1" "$work/log" "$work/list" >"$work/out" 2>&1; }
fail() { echo "$1"; cat "$work/out"; exit 1; }

log 'Known.One' 'Known.Two/case  # GetParam() = 3-byte object <00-00 00>' >"$work/log"
check release || fail 'a listed skip was refused'
log 'Known.One' 'style.format_check' >"$work/log"
! check release || fail 'a skip that is not listed passed'
grep -q 'does not expect it here: style.format_check' "$work/out" || fail 'it was not named'
log 'OnlyTsan' >"$work/log"
check tsan || fail 'a skip of this preset was refused'
! check release || fail 'a skip of another preset passed'
log 'NeedsReadme' >"$work/log"
! check release || fail 'README.md is there, and the skip passed'
printf 'always NoReason\n' >"$work/list"
! check release || fail 'an entry without a reason passed'
