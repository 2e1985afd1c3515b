# Configuring and building: one function for every preset, so that each build uses all cores and the same options.

# ccache sees paths relative to this folder, so that a second clone finds what the first compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# build PRESET TARGET...: configures when needed and builds the targets.
build() {
  local preset=$1 werror=OFF
  shift
  # Only the release build: under the sanitizers gcc warns of things that are not there.
  [ "$preset" = release ] && [ "${CI:-}" = true ] && werror=ON
  need "${kBuildPackages[@]}"
  cmake --preset "$preset" -DREPRISE_WERROR=$werror >"$(log_of "$preset")" || { cat "$(log_of "$preset")" >&2; exit 1; }
  cmake --build "build/$preset" -j "$(nproc)" --target "$@" >&2
}

log_of() { mkdir -p "build/$1"; echo "build/$1/configure.log"; }

task_build() {
  build release reprise
  say "build/release/reprise is ready"
}

task_test() {
  build release all
  ctest --test-dir build/release --output-on-failure -j2 "$@"
}

task_asan() {
  build asan-ubsan all
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    ctest --test-dir build/asan-ubsan --output-on-failure -j2 "$@"
}

# ThreadSanitizer where threads meet: the team and the launch door (core), replay (capture), the engine, the API.
task_tsan() {
  local folder folders=() failed=0
  for folder in core capture engine api; do
    [ ! -f "tests/$folder/CMakeLists.txt" ] || folders+=("$folder")
  done
  build tsan $(printf 'tests/%s/all ' "${folders[@]}")
  for folder in "${folders[@]}"; do
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
      ctest --test-dir "build/tsan/tests/$folder" --output-on-failure -j2 "$@" || failed=1
  done
  return $failed
}

task_fuzz() {
  local seconds=${1:?seconds for each fuzzer, for example ./run fuzz 60} program name failed=0 count=0
  need "${kBuildPackages[@]}" "${kFuzzPackages[@]}"
  build fuzz all
  for program in build/fuzz/fuzz/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    count=$((count + 1))
    mkdir -p "build/fuzz/corpus/$name"
    say "$name for $seconds s"
    local corpus=("build/fuzz/corpus/$name")
    [ -d "fuzz/corpus/${name#fuzz_}" ] && corpus+=("fuzz/corpus/${name#fuzz_}")
    "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/$name-" "${corpus[@]}" >"build/fuzz/$name.log" 2>&1 ||
      { tail -40 "build/fuzz/$name.log" >&2; failed=$((failed + 1)); }
    grep -h 'number_of_executed_units' "build/fuzz/$name.log" >&2 || true
  done
  [ $count -gt 0 ] || die "no fuzzer was built"
  echo "fuzz: $((count - failed)) passed, $failed failed"
  [ $failed -eq 0 ]
}

task_coverage() {
  need "${kCoveragePackages[@]}"
  build coverage all
  find build/coverage -name '*.gcda' -delete
  ctest --test-dir build/coverage --output-on-failure -j2 "$@"
  gcovr --root . --filter src/ --filter include/ --exclude-throw-branches --html-details build/coverage/coverage.html \
    --print-summary build/coverage | grep -E '^(lines|functions|branches|TOTAL)'
}

task_format() {
  tests/style/format_check.sh --fix >/dev/null && return
  # Not in every system's packages (Debian 13): the script then says what else serves.
  (need "${kFormatPackages[@]}") || true
  tests/style/format_check.sh --fix || die "nothing was formatted"
}
