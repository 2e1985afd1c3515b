# Configuring and building: one function for every preset, so that each build uses all cores and the same options.

# ccache sees paths relative to this folder, so that a second clone finds what the first compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# build PRESET TARGET...: configures when needed and builds the targets.
build() {
  local preset=$1 werror=OFF
  shift
  # Not gcc's sanitizer builds: there gcc warns of things that are not there.
  case $preset in
    release | fuzz) [ "${CI:-}" != true ] || werror=ON ;;
    clang) werror=ON ;;
  esac
  need "${kBuildPackages[@]}"
  cmake --preset "$preset" -DREPRISE_WERROR=$werror >"$(log_of "$preset")" || { cat "$(log_of "$preset")" >&2; exit 1; }
  cmake --build "build/$preset" -j "$(nproc)" --target "$@" >&2
}

# run_tests PRESET FOLDER [CTEST ARGUMENTS]: ctest in build/PRESET/FOLDER. In CI a skip that tests/expected_skips.txt
# does not list is a failure.
run_tests() {
  local preset=$1 folder=$2 log failed=0
  shift 2
  log=build/$preset/ctest.log
  ctest --test-dir "build/$preset/$folder" --output-on-failure -j "$(nproc)" "$@" | tee "$log" || failed=1
  [ "${CI:-}" != true ] || tools/check_skips.sh "$preset" "$log" || failed=1
  return $failed
}

log_of() { mkdir -p "build/$1"; echo "build/$1/configure.log"; }

task_build() {
  build release reprise
  say "build/release/reprise is ready"
}

task_test() {
  [ "${CI:-}" != true ] || need "${kFormatPackages[@]}"  # without it the format check is skipped, which fails CI
  build release all
  run_tests release . "$@"
}

task_asan() {
  build asan-ubsan all
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    run_tests asan-ubsan . "$@"
}

# Every target by clang, whose warnings are errors here, and the tests of that build with the assertions of the C++
# library (an index out of range, an empty optional, front() of nothing). The preset links compiler-rt: clang calls a
# conversion to bf16 that the libgcc of gcc 12 lacks.
task_clang() {
  need "${kFuzzPackages[@]}"
  build clang all
  run_tests clang . "$@"
}

task_tidy() {
  need "${kFuzzPackages[@]}" "${kTidyPackages[@]}"
  build clang all
  tools/tidy.sh build/clang "$@" || die "clang-tidy found something (above)"
  echo "tidy: clean"
}

# ThreadSanitizer where threads meet: the team and launches (core), replay (capture), the engine, the API; and the
# tokenizer and its templates, which several threads share.
task_tsan() {
  local folder folders=() failed=0
  for folder in core capture engine api tokenizer; do
    [ ! -f "tests/$folder/CMakeLists.txt" ] || folders+=("$folder")
  done
  build tsan $(printf 'tests/%s/all ' "${folders[@]}")
  for folder in "${folders[@]}"; do
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
      run_tests tsan "tests/$folder" "$@" || failed=1
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
    "$program" -max_total_time="$seconds" -max_len=1048576 -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 \
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
  run_tests coverage . "$@"
  gcovr --root . --filter src/ --filter include/ --exclude-throw-branches --html-details build/coverage/coverage.html \
    --print-summary build/coverage | grep -E '^(lines|functions|branches|TOTAL)'
}

task_format() {
  tests/style/format_check.sh --fix >/dev/null && return
  # Not in every system's packages (Debian 13): the script then says what else serves.
  (need "${kFormatPackages[@]}") || true
  tests/style/format_check.sh --fix || die "nothing was formatted"
}
