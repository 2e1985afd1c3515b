#!/usr/bin/env python3
"""Runs `reprise bench latency` and llama.cpp's benchmarks in turn and prints medians and ratios.

Started by tools/peer_bench.sh, which builds the peer. In turn, because a shared machine drifts within minutes: a ratio
of two runs side by side means something where two runs an hour apart don't.
"""
import argparse, json, os, statistics, subprocess, sys
from pathlib import Path

from peer_model import SHAPES, model_file

PROMPT, OUTPUT = 8, 32  # decode is measured over a short context, the same for both


def run(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"peer_bench: {command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def reprise(options, batches, prompt, output):
    dtype = {"BF16": "bfloat16", "F32": "float32"}[options.type]
    command = [options.reprise, "bench", "latency", "--model", SHAPES / options.shape, "--load-choices", "dummy",
               "--dtype", dtype, "--input-len", prompt, "--output-len", output, "--batch-size", batches,
               "--threads", options.threads, "--repeat", 1, "--json"]
    command += ["--isa", options.isa] if options.isa else []
    command += ["--graph-optimization-config", options.graph] if options.graph else []
    return json.loads(run(command))


def measure_reprise(options):
    """Tokens/s, and for decode the probe of the read bandwidth right before and after with the share of it."""
    found, probes = {}, {}
    report = reprise(options, options.batch, PROMPT, OUTPUT)
    samples = report["machine"]["read_bandwidth_samples"]
    for i, result in enumerate(report["results"]):
        name = f"decode, batch {result['batch_size']}"
        found[name] = result["decode_tokens_per_s"]["median"]
        before, after = samples[2 * i:2 * i + 2]
        probes[name] = (before, after, result["weights_read_gb_s"] / ((before + after) / 2))
    prefill = reprise(options, 1, options.prefill, 2)["results"][0]
    found[f"prefill of {options.prefill}"] = prefill["prefill_tokens_per_s"]["median"]
    return found, probes, report["machine"]


def measure_peer(options, model):
    tools, found = options.peer / "build" / "bin", {}
    batches = [int(b) for b in options.batch.split(",")]
    command = [tools / "llama-batched-bench", "-m", model, "-c", max(512, max(batches) * (PROMPT + OUTPUT)), "-npp",
               PROMPT, "-ntg", OUTPUT, "-npl", options.batch, "-t", options.threads, "--output-format", "jsonl"]
    for _ in range(5):  # at its exit it loses the last lines of its output now and then: asked again
        rows = [json.loads(line) for line in run(command).splitlines() if line.startswith("{")]
        found = {f"decode, batch {row['pl']}": row["speed_tg"] for row in rows}
        if len(found) == len(batches):
            break
    else:
        sys.exit(f"peer_bench: llama-batched-bench told of {len(found)} batch sizes, expected {len(batches)}")
    rows = json.loads(run([tools / "llama-bench", "-m", model, "-p", options.prefill, "-n", 0, "-t", options.threads,
                           "-r", 1, "-o", "json"]))
    found[f"prefill of {options.prefill}"] = rows[0]["avg_ts"]
    return found


def main():
    arguments = argparse.ArgumentParser(prog="tools/peer_bench.sh")
    arguments.add_argument("--peer", type=Path, required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--reprise", type=Path, default=Path("build/release/reprise"))
    arguments.add_argument("--type", choices=["BF16", "F32"], default="BF16", help="of the weights, on both sides")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments.add_argument("--batch", default="1,16")
    arguments.add_argument("--prefill", type=int, default=512)
    arguments.add_argument("--isa", default="", help="for Reprise; the peer takes what it finds")
    arguments.add_argument("--shape", default="qwen3-0.6b", choices=sorted(p.name for p in SHAPES.iterdir()))
    arguments.add_argument("--graph", default="", help="--graph-optimization-config for Reprise")
    options = arguments.parse_args()

    model = model_file(options.peer, options.shape, options.type)
    ours, theirs, probes, machine = [], [], [], {}
    for turn in range(options.rounds):
        found, probed, machine = measure_reprise(options)
        ours.append(found)
        probes.append(probed)
        theirs.append(measure_peer(options, model))
        print(f"round {turn + 1} of {options.rounds}: " + ", ".join(
            f"{name} {found[name]:.1f} / {theirs[-1][name]:.1f}" for name in found), file=sys.stderr)

    def cell(values, digits=1):
        return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"

    print(f"{machine['cpu']}, isa {machine['isa']}, {options.threads} threads, {options.shape}, {options.type}, "
          f"{options.graph + ', ' if options.graph else ''}{options.rounds} rounds in turn; medians (least to most)")
    print("\n| tokens/s | Reprise | llama.cpp | ratio | median of the rounds' ratios |\n|---|---|---|---|---|")
    for name in ours[0]:
        a, b = ([side[name] for side in rounds] for rounds in (ours, theirs))
        print(f"| {name} | {cell(a)} | {cell(b)} | {statistics.median(a) / statistics.median(b):.2f} | "
              f"{cell([x / y for x, y in zip(a, b)], 2)} |")
    print("\n| Reprise reads weights | GB/s by the probe before | after | share of their mean |\n|---|---|---|---|")
    for name in probes[0]:
        before, after, share = zip(*(probed[name] for probed in probes))
        print(f"| {name} | {cell(before)} | {cell(after)} | {cell([100 * s for s in share], 0)} % |")


main()
