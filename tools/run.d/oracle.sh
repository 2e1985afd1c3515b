# Live comparison with the Python packages whose results are the reference: pinned versions in a virtual environment.

oracle_environment() {
  local home=${XDG_CACHE_HOME:-$HOME/.cache}/reprise/oracle
  # Reused while the pinned list is the one it was made from.
  if ! cmp -s tools/oracle/requirements.txt "$home/requirements.txt"; then
    need "${kPythonPackages[@]}"
    say "making the virtual environment of the oracles (about 2 GB, some minutes the first time)"
    [ -x "$home/bin/python" ] || python3 -m venv "$home"
    "$home/bin/python" -m pip install -q --disable-pip-version-check -r tools/oracle/requirements.txt >&2 ||
      die "pip could not install tools/oracle/requirements.txt"
    cp tools/oracle/requirements.txt "$home/requirements.txt"
  fi
  echo "$home/bin/python"
}

# oracles NAME...: runs each script of this name, or all, with the release; counts, goes on after a failure.
oracles() {
  local python script name passed=0 failed=0
  task_build
  python=$(oracle_environment)
  # Without this oneDNN may pick tile instructions that some virtual machines advertise and then refuse.
  export ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16
  for script in tools/oracle/*_oracle.py tools/oracle/*_check.py; do
    name=$(basename "$script" .py)
    name=${name%_*}
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    say "oracle $name"
    [ "$name" != page ] || need_if_known "${kBrowserPackages[@]}"
    if "$python" "$script" --reprise build/release/reprise --shared ../shared; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
      say "oracle $name FAILED"
    fi
  done
  [ $((passed + failed)) -gt 0 ] || die "no oracle has this name: $*"
  echo "oracle: $passed passed, $failed failed"
  [ $failed -eq 0 ]
}

task_oracle() { oracles "$@"; }
task_invariance() { oracles invariance; }
