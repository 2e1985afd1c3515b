#!/usr/bin/env bash
# Builds llama.cpp from the source package of llama-cpp-python (about 15 minutes on 2 cores, once) with the Python
# packages that make its model files, and prints the folder: py/bin/python and build/bin/llama-* lie there.
# REPRISE_PEER_DIR: another folder than the user's cache
set -euo pipefail
peer=${REPRISE_PEER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/reprise-peers}
version=0.3.36
mkdir -p "$peer"

if [ ! -x "$peer/py/bin/python" ]; then
  python3 -m venv "$peer/py"
  "$peer/py/bin/pip" install -q --disable-pip-version-check gguf numpy >&2
fi

if [ ! -x "$peer/build/bin/llama-server" ]; then
  "$peer/py/bin/pip" download -q --no-deps --no-binary llama-cpp-python -d "$peer/sdist" "llama-cpp-python==$version" >&2
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
  cmake --build "$peer/build" -j "$(nproc)" --target llama-bench llama-batched-bench llama-server >"$peer/build.log"
fi
echo "$peer"
