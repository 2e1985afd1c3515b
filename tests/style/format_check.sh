#!/usr/bin/env bash
# Every C++ file is as clang-format leaves it. One version, since each formats a few lines in another way.
# usage: format_check.sh [--fix]   exit 0: clean; 1: files differ; 77: that version is absent (ctest shows: skipped)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=14
tool=$(command -v clang-format-$version || command -v clang-format || true)
if [ -z "$tool" ] || ! "$tool" --version | grep -q "version $version\."; then
  echo "skipped: clang-format $version is missing; install it with apt-get install clang-format-$version or, where the" \
    "system has it no more (Debian 13), with pip install clang-format==$version.0.6, and have it on PATH"
  exit 77
fi
sources() { find src include tests bench fuzz examples \( -name '*.h' -o -name '*.cc' \) -print0 2>/dev/null || true; }
if [ "${1:-}" = --fix ]; then
  sources | xargs -0 -r -P "$(nproc)" -n 20 "$tool" -i
  exit 0
fi
differing=$(sources | xargs -0 -r -P "$(nproc)" -n 20 "$tool" --dry-run --ferror-limit=1 2>&1 | grep -o '^[^ :]*:' | sort -u || true)
[ -z "$differing" ] || { printf 'not as clang-format leaves it (./run format fixes it): %s\n' ${differing//:/}; exit 1; }
