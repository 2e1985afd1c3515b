#!/usr/bin/env bash
# `reprise serve` beside llama-server under the same clients, in turn, from one file with random weights (tools/serve_bench.py):
# throughput, TTFT, ITL, and the share of `bench throughput`. `./run bench serve` builds Reprise first and comes here.
#   tools/serve_bench.sh [--concurrency 1,8,16,64] [--rounds 3] [--poisson] [--threads 2] [--serve "FLAGS"]
# The first call builds llama.cpp (tools/peer_build.sh). About half an hour on 2 cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
peer=$(tools/peer_build.sh)
exec "$peer/py/bin/python" tools/serve_bench.py --peer "$peer" "$@"
