#!/usr/bin/env python3
"""plan_table.py REPRISE SOURCE: the table of docs/memory-plan.md. Each configuration is planned without reading a
weight, then loaded in the same process, captured, and every page touched (`reprise plan --actual`). Ends with 1 where
a category isn't exact, or where resident memory is further from the plan than 1 % + 32 MB."""
import json
import os
import subprocess
import sys

CATEGORIES = ["weights_bytes", "workspace_bytes", "input_buffer_bytes", "arena_bytes", "graph_object_bytes",
              "kv_block_bytes", "num_kv_blocks", "total_bytes"]


def graph(**keys):
    return ["--graph-optimization-config", json.dumps(keys)]


def configurations(source):
    shapes = os.path.join(source, "tools", "shapes")
    dummy = ["--load-choices", "dummy", "--threads", "2"]
    rows = [
        ("Qwen3-0.6B shape, bf16, level 1, one recording", os.path.join(shapes, "qwen3-0.6b"),
         dummy + graph(graph_opt_level=1, use_cudagraph=True)),
        ("Qwen3-0.6B shape, f32, level 0, 16 sequences of 512", os.path.join(shapes, "qwen3-0.6b"),
         dummy + ["--dtype", "float32", "--max-num-seqs", "16", "--max-model-len", "512"]),
        ("Qwen3-0.6B shape, bf16, split, private pools, lists", os.path.join(shapes, "qwen3-0.6b"),
         dummy + ["--max-model-len", "1024"] +
         graph(graph_opt_level=1, use_cudagraph=True, full_cuda_graph=False, use_unique_memory_pool=False,
               cudagraph_capture_sizes=[1, 4, 8], cudagraph_capture_sizes_prefill=[64, 512],
               cudagraph_num_of_warmups=0)),
        ("15M Llama shape, f32, level 1, list 1, 3, 5, 7, 9, 64 sequences", os.path.join(shapes, "llama-15m"),
         dummy + ["--max-num-seqs", "64"] +
         graph(graph_opt_level=1, use_cudagraph=True, cudagraph_capture_sizes=[1, 3, 5, 7, 9])),
        ("15M Llama shape, bf16, level 0 and replay, private pools", os.path.join(shapes, "llama-15m"),
         dummy + ["--dtype", "bfloat16", "--max-num-seqs", "32"] +
         graph(use_cudagraph=True, use_unique_memory_pool=False, cudagraph_capture_sizes=[1, 8, 32])),
        ("tiny, level 1, one recording, verification on", os.path.join(source, "models", "tiny"),
         ["--threads", "2", "--graph-verify", "sample=10"] + graph(graph_opt_level=1, use_cudagraph=True)),
    ]
    smollm = os.path.expanduser("~/.cache/reprise/models/SmolLM2-135M-Instruct.Q4_1.gguf")
    if os.path.exists(smollm):
        rows.append(("SmolLM2-135M, GGUF to bf16, level 1, one recording", smollm,
                     ["--threads", "2"] + graph(graph_opt_level=1, use_cudagraph=True)))
    return rows


def main():
    reprise, source = sys.argv[1:3]
    print("| | " + " | ".join(name.replace("_bytes", "").replace("_", " ") for name in CATEGORIES) +
          " | equal | resident | beyond the plan |")
    print("|---|" + "---|" * (len(CATEGORIES) + 3))
    failed = False
    for name, model, flags in configurations(source):
        run = subprocess.run([reprise, "plan", "--model", model, "--actual", "--json"] + flags, check=True,
                             capture_output=True, text=True)
        plan = json.loads(run.stdout)
        off = [key for key in CATEGORIES if plan[key] != plan["actual"][key]]
        beyond = plan["resident_bytes"] - plan["total_bytes"]
        allowed = plan["total_bytes"] * 0.01 + 32e6
        failed |= bool(off) or abs(beyond) > allowed
        print(f"| {name} | " + " | ".join(f"{plan[key]:,}" for key in CATEGORIES) +
              f" | {'all' if not off else 'not ' + ', '.join(off)} | {plan['resident_bytes']:,} |"
              f" {beyond / 1e6:+.1f} MB of {allowed / 1e6:.1f} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
