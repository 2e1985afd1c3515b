#!/usr/bin/env bash
# Side by side with llama.cpp on this machine: the same shape (of tools/shapes, random weights), the same threads, runs
# taken in turn (A B A B), medians and ratios in a table. `./run bench peer` builds Reprise first and comes here.
#   tools/peer_bench.sh [--type BF16|F32] [--rounds 5] [--threads 2] [--batch 1,16] [--isa NAME] [--prefill 512]
#     [--shape qwen3-0.6b|llama-15m] [--graph '{"graph_opt_level": 1, "use_cudagraph": true}']
# The first call builds llama.cpp (tools/peer_build.sh).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peer=$(tools/peer_build.sh)
exec "$peer/py/bin/python" tools/peer_bench.py --peer "$peer" "$@"
