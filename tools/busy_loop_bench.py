#!/usr/bin/env python3
"""How much speed is left when something else runs on every core: decode at batch 1, undisturbed, then with a busy loop
pinned to each core, then undisturbed again. A fair share is 50 %; a team whose waiting burns its time slices gets less.

usage: tools/busy_loop_bench.py [--rounds 5] [--shape qwen3-0.6b] [--reprise build/release/reprise]
"""
import argparse, json, os, statistics, subprocess
from pathlib import Path

SHAPES = Path(__file__).resolve().parent / "shapes"


def decode(options):
    """Tokens/s, and the read bandwidth beside it: on a shared machine it says whether two runs compare."""
    command = [options.reprise, "bench", "latency", "--model", SHAPES / options.shape, "--load-choices", "dummy",
               "--dtype", "bfloat16", "--input-len", "8", "--output-len", "48", "--repeat", "1", "--json",
               "--graph-optimization-config", '{"graph_opt_level": 1, "use_cudagraph": true}']
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return report["results"][0]["decode_tokens_per_s"]["median"], report["machine"]["read_bandwidth_gb_s"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--shape", default="qwen3-0.6b")
    arguments.add_argument("--reprise", default="build/release/reprise")
    options = arguments.parse_args()
    shares = []
    for _ in range(options.rounds):
        before, before_gb_s = decode(options)
        loops = [subprocess.Popen(["taskset", "-c", str(core), "sh", "-c", "while :; do :; done"])
                 for core in os.sched_getaffinity(0)]
        try:
            disturbed, _ = decode(options)
        finally:
            for loop in loops:
                loop.kill()
        after, after_gb_s = decode(options)
        shares.append(disturbed / ((before + after) / 2))
        print(f"{before:.1f} tokens/s ({before_gb_s:.0f} GB/s), disturbed {disturbed:.1f}, "
              f"{after:.1f} ({after_gb_s:.0f} GB/s): {100 * shares[-1]:.0f} %", flush=True)
    print(f"median {100 * statistics.median(shares):.0f} % of the undisturbed mean")


main()
