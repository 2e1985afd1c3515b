#!/usr/bin/env python3
"""Runs `reprise bench latency` and llama.cpp's benchmarks in turn and prints medians and ratios.

Started by tools/peer_bench.sh, which builds the peer. In turn, because a shared machine drifts within minutes: a ratio
of two runs side by side means something where two runs an hour apart don't.
"""
import argparse, json, os, statistics, subprocess, sys
from pathlib import Path

import gguf
import numpy as np

SHAPES = Path(__file__).resolve().parent / "shapes"
PROMPT, OUTPUT = 8, 32  # decode is measured over a short context, the same for both


def make_gguf(config, kind, path):
    """Random weights of the shape as a GGUF file in the stored type `kind`."""
    rng = np.random.default_rng(1)
    stored = gguf.GGMLQuantizationType[kind]
    partial = path.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, config["model_type"])
    head = config["head_dim"]
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(vocab)
    writer.add_file_type(gguf.LlamaFileType[f"ALL_{kind}" if kind == "F32" else f"MOSTLY_{kind}"])
    # A vocabulary that loads: the byte tokens, then fillers. The benchmarks feed ids and never see text.
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    fillers = range(len(names), vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names + [f"\u2581f{i}" for i in fillers])
    writer.add_token_scores([0.0] * len(names) + [-float(i) for i in fillers])
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * len(fillers))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def matrix(name, rows, columns, scale=None):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale or columns ** -0.5)
        writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)

    matrix("token_embd.weight", vocab, hidden, 0.05)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(config["num_hidden_layers"]):
        at = f"blk.{layer}."
        for name, rows, columns in (("attn_q", queries, hidden), ("attn_k", keys, hidden), ("attn_v", keys, hidden),
                                    ("attn_output", hidden, queries), ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden),
                                    ("ffn_down", hidden, ffn)):
            matrix(f"{at}{name}.weight", rows, columns)
        norms = [("attn_norm", hidden), ("ffn_norm", hidden)]
        if config["model_type"] == "qwen3":
            norms += [("attn_q_norm", head), ("attn_k_norm", head)]
        for name, size in norms:
            writer.add_tensor(f"{at}{name}.weight", np.ones(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


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

    model = options.peer / f"{options.shape}-{options.type}-random.gguf"
    if not model.exists():
        print(f"making {model.name} ...", file=sys.stderr)
        make_gguf(json.loads((SHAPES / options.shape / "config.json").read_text()), options.type, model)
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
