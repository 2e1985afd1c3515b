#!/usr/bin/env bash
# Side by side with llama.cpp on this machine: the same shape (of tools/shapes, random weights), the same threads, runs
# taken in turn (A B A B), medians and ratios in a table. `./run bench peer` builds Reprise first and comes here.
#   tools/peer_bench.sh [--type BF16|F32] [--rounds 5] [--threads 2] [--batch 1,16] [--isa NAME] [--prefill 512]
#     [--shape qwen3-0.6b|llama-15m] [--graph '{"graph_opt_level": 1, "use_cudagraph": true}']
# The first call builds llama.cpp from the source package of llama-cpp-python (about 12 minutes on 2 cores).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peer=${REPRISE_PEER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise-peers}
version=0.3.36
mkdir -p "$peer"

if [ ! -x "$peer/py/bin/python" ]; then
  python3 -m venv "$peer/py"
  "$peer/py/bin/pip" install -q --disable-pip-version-check gguf numpy
fi

if [ ! -x "$peer/build/bin/llama-batched-bench" ]; then
  "$peer/py/bin/pip" download -q --no-deps --no-binary llama-cpp-python -d "$peer/sdist" "llama-cpp-python==$version"
  mkdir -p "$peer/src"
  tar xzf "$peer/sdist/llama_cpp_python-$version.tar.gz" -C "$peer/src" --strip-components=1
  flags=(-DGGML_NATIVE=ON)
  # ggml's tile code ends with SIGILL where a hypervisor hides the leaves of CPUID that describe the tiles, so on
  # such CPUs everything but the tiles is asked for by name.
  if grep -qw amx_tile /proc/cpuinfo; then
    flags=(-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON -DGGML_AVX512=ON
      -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON)
  fi
  cmake -S "$peer/src/vendor/llama.cpp" -B "$peer/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF "${flags[@]}" >"$peer/configure.log"
  cmake --build "$peer/build" -j "$(nproc)" --target llama-bench llama-batched-bench >"$peer/build.log"
fi

exec "$peer/py/bin/python" tools/peer_bench.py --peer "$peer" "$@"
