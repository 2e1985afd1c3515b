# Configuring and building: one function for every preset, so that each build uses all cores and the same options.

# ccache sees paths relative to this folder, so that a second clone finds what the first compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

# configure PRESET: with the packages that it needs.
configure() {
  local preset=$1 werror=OFF
  # Not gcc's sanitizer build (tsan): there gcc warns of things that are not there.
  case $preset in
    release | asan-ubsan) [ "${CI:-}" != true ] || werror=ON ;;
  esac
  need "${kBuildPackages[@]}"
  need_if_known "${kCompilerPackages[@]}"
  need_first_known "${kServerPackages[@]}"
  need_if_known "${kServerFilePackages[@]}"
  cmake --preset "$preset" -DREPRISE_WERROR=$werror >"$(log_of "$preset")" || { cat "$(log_of "$preset")" >&2; exit 1; }
}

# build PRESET TARGET...: configures when needed and builds the targets.
build() {
  local preset=$1
  shift
  configure "$preset"
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

# By clang, so that both compilers see every file: gcc builds the release. The fuzzers are of this build too, since it
# checks the same and one build takes half the time of two. It links compiler-rt: clang calls a conversion to bf16 that
# the libgcc of gcc 12 lacks.
task_asan() {
  need "${kFuzzPackages[@]}"
  build asan-ubsan all
  ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    run_tests asan-ubsan . "$@"
}

task_tidy() {
  need "${kFuzzPackages[@]}" "${kTidyPackages[@]}"
  configure tidy
  tools/tidy.py build/tidy "$@" || die "clang-tidy found something (above)"
  echo "tidy: clean"
}

# ThreadSanitizer where threads meet: the team and launches (core), replay (capture), the kernel cache and the compiler
# process (codegen), the engine, the API; and the tokenizer and its templates, which several threads share. Not
# TemplateWork: it times one thread, and the memchr of ThreadSanitizer reads to the end of the text on each call, so that
# every search for a letter is quadratic there.
task_tsan() {
  local folder folders=() failed=0
  for folder in core capture device codegen engine api server tokenizer; do
    [ ! -f "tests/$folder/CMakeLists.txt" ] || folders+=("$folder")
  done
  build tsan $(printf 'tests/%s/all ' "${folders[@]}")
  for folder in "${folders[@]}"; do
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
      run_tests tsan "tests/$folder" -E '^TemplateWork\.' "$@" || failed=1
  done
  return $failed
}

task_fuzz() {
  local seconds=${1:?seconds for each fuzzer, for example ./run fuzz 60} program name failed=0 count=0
  local runs=build/asan-ubsan/fuzz-runs  # corpus, logs and what fails, kept between calls
  need "${kFuzzPackages[@]}"
  build asan-ubsan fuzz/all
  for program in build/asan-ubsan/fuzz/fuzz_*; do
    [ -x "$program" ] || continue
    name=$(basename "$program")
    count=$((count + 1))
    mkdir -p "$runs/corpus/$name"
    say "$name for $seconds s"
    local corpus=("$runs/corpus/$name")
    [ -d "fuzz/corpus/${name#fuzz_}" ] && corpus+=("fuzz/corpus/${name#fuzz_}")
    "$program" -max_total_time="$seconds" -max_len=1048576 -rss_limit_mb=2048 -timeout=30 -print_final_stats=1 \
      -artifact_prefix="$runs/$name-" "${corpus[@]}" >"$runs/$name.log" 2>&1 ||
      { tail -40 "$runs/$name.log" >&2; failed=$((failed + 1)); }
    grep -h 'number_of_executed_units' "$runs/$name.log" >&2 || true
  done
  [ $count -gt 0 ] || die "no fuzzer was built"
  echo "fuzz: $((count - failed)) passed, $failed failed"
  [ $failed -eq 0 ]
}

task_soak() {
  need "${kPythonPackages[@]}"
  task_build
  python3 tools/soak.py --reprise build/release/reprise "$@"
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
