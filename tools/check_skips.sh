#!/usr/bin/env bash
# Fails where ctest skipped a test without a known reason, so that a test that silently stopped running is seen.
# usage: check_skips.sh PRESET LOG [LIST]   LOG: what ctest printed; LIST: tests/expected_skips.txt, which says how
# it is written.   exit 0: every skip is expected; 1: each one that is not is printed; 2: LIST is malformed
set -euo pipefail
preset=$1 log=$2
cd "$(dirname "${BASH_SOURCE[0]}")/.."
list=${3:-tests/expected_skips.txt}

# holds CONDITION: whether this machine and build make the skip expected.
holds() {
  case $1 in
    always) true ;;
    absent:*) [ ! -e "${1#absent:}" ] ;;
    preset:*) [[ ",${1#preset:}," == *",$preset,"* ]] ;;
    lacks:*) ! grep -m1 '^flags' /proc/cpuinfo | grep -qw -- "${1#lacks:}" ;;
    refuses:gdb) [[ $(gdb -nx -batch -ex run true 2>/dev/null) != *"exited normally"* ]] ;;
    refuses:mounts) ! unshare -Urm mount -t tmpfs none /mnt 2>/dev/null ;;
    refuses:*) [ -x "build/$preset/reprise" ] && [[ $("build/$preset/reprise" collect-env) != *"\"${1#refuses:}\""* ]] ;;
    *) echo "$list: unknown condition '$1'" >&2; exit 2 ;;
  esac
}

expected=()
while read -r condition pattern reason; do
  [[ -n $condition && $condition != \#* ]] || continue
  [ -n "$reason" ] || { echo "$list: no reason is given for '$pattern'" >&2; exit 2; }
  ! holds "$condition" || expected+=("$pattern")
done <"$list"

unexpected=0
while read -r name; do
  for pattern in "${expected[@]}"; do
    [[ ! $name =~ ^($pattern)$ ]] || continue 2
  done
  echo "skipped, and $list does not expect it here: $name"
  unexpected=$((unexpected + 1))
done < <(sed -nE 's/^[[:space:]]+[0-9]+ - (.*) \((Skipped|Disabled)\).*$/\1/p' "$log" | sed 's/  *# GetParam.*//' | sort -u)
[ "$unexpected" = 0 ]
