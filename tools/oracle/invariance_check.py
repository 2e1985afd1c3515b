"""Batch invariance on a real model: 64 requests of mixed lengths to SmolLM2-135M-Instruct, half greedy and half seeded, have
the same tokens and the same log-probabilities, bit for bit, whatever runs beside them.

For float32 and bfloat16 and every ISA level of this machine, the answers alone (one sequence at a time) are compared with
  batch      all 64 in one batch
  chunked    prompts cut into chunks of 16 tokens
  preempted  so few KV blocks that sequences are thrown out and computed again
  threads    1 and 2
Nine significant digits tell every float apart, so equal text is equal bits. The scalar level takes a third of a second of
processor time a token: it gets 4 very short requests, in a batch and with 1 thread (tests/models/invariance_test.cc has all
of it on tiny models).

usage: invariance_check.py --reprise PATH [--model PATH] [--isa NAME] [--dtype NAME] [--requests N]
"""
import argparse
import json
import os
import random
import subprocess
import time
from pathlib import Path

from common import RepriseFailed, finish, run_reprise, say
from smollm_oracle import model_file

ISAS = ["scalar", "avx2", "avx512", "avx512_bf16", "amx"]
COMMON = ("--logprobs", 3, "--max-model-len", 512, "--ignore-eos", "--block-size", 16)
ALONE = ("--max-num-seqs", 1, "--threads", 2)
WAYS = {
    "batch": ("--max-num-seqs", 64, "--threads", 2),
    "chunked": ("--max-num-seqs", 8, "--max-num-batched-tokens", 16, "--enable-chunked-prefill", "--threads", 2),
    "preempted": ("--max-num-seqs", 64, "--num-gpu-blocks-override", 40, "--threads", 2),
    "1 thread": ("--max-num-seqs", 64, "--threads", 1),
}


SCALAR_WAYS = ("batch", "1 thread")


def requests(count, longest, most_tokens):
    """Prompts of 1 to `longest` ids, 2 to `most_tokens` tokens; every other one is drawn with a seed."""
    source, made = random.Random(3), []
    for i in range(count):
        request = {"prompt_token_ids": [source.randrange(3, 49152) for _ in range(1 if i == 0 else source.randint(2, longest))],
                   "max_tokens": source.randint(2, most_tokens), "temperature": 0}
        if i % 2:
            request |= {"temperature": 0.8, "top_p": 0.95, "seed": 1000 + i}
        if i % 8 < 2:
            request["prompt_logprobs"] = 1
        made.append(request)
    return made


def runnable(binary, model):
    """ISA levels that the command accepts here."""
    found = []
    for isa in ISAS:
        done = subprocess.run([str(binary), "generate", "--model", str(model), "--prompt-ids", "5", "--max-tokens", "1",
                               "--isa", isa, "--json"], capture_output=True, text=True)
        if done.returncode == 0:
            found.append(isa)
        else:
            say(f"{isa}: not here ({done.stderr.strip()})")
    return found


def preemptions(answers):
    return sum(a["metrics"].get("preemptions", 0) for a in answers)


def content(answer):
    """What must not change, as text."""
    return json.dumps({"outputs": answer["outputs"], "prompt_logprobs": answer.get("prompt_logprobs")})


def check(binary, model, dtype, isa, made):
    """Prints a line for each way; returns what failed."""
    failures = []
    flags = (*COMMON, "--dtype", dtype, "--isa", isa)
    start = time.time()
    alone = run_reprise(binary, model, made, *flags, *ALONE)
    tokens = sum(len(a["outputs"][0]["token_ids"]) for a in alone)
    say(f"{isa:11} {dtype:8} {'alone':9} {len(made)} requests, {sum(len(r['prompt_token_ids']) for r in made)} prompt tokens, "
        f"{tokens} tokens, {time.time() - start:.0f} s")
    for way, way_flags in WAYS.items():
        if isa == "scalar" and way not in SCALAR_WAYS:
            continue
        start = time.time()
        answers = run_reprise(binary, model, made, *flags, *way_flags)
        wrong = [i for i, (a, b) in enumerate(zip(alone, answers)) if content(a) != content(b)]
        preempted = preemptions(answers)
        say(f"{isa:11} {dtype:8} {way:9} {len(made) - len(wrong)} of {len(made)} identical, {preempted} preemptions, "
            f"{time.time() - start:.0f} s")
        if wrong:
            failures.append(f"{isa}, {dtype}, {way}: requests {wrong} differ from their answers alone")
        if way == "preempted" and preempted == 0 and len(made) == 64:
            failures.append(f"{isa}, {dtype}: nothing was preempted, the case shows nothing")
    return failures


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, required=True)
    arguments.add_argument("--shared", type=Path, help="not used")
    arguments.add_argument("--model", type=Path, help="instead of SmolLM2 (a vocabulary of at least 49152)")
    arguments.add_argument("--isa", action="append", help="only this level (repeatable)")
    arguments.add_argument("--dtype", choices=["float32", "bfloat16"], action="append")
    arguments.add_argument("--requests", type=int, default=64)
    options = arguments.parse_args()
    os.environ.pop("REPRISE_ISA", None)
    model, failures = options.model or model_file(), []
    levels = options.isa or runnable(options.reprise, model)
    for isa in levels:
        made = requests(4, 6, 3) if isa == "scalar" else requests(options.requests, 64, 32)
        for dtype in options.dtype or ["float32", "bfloat16"]:
            try:
                failures += check(options.reprise, model, dtype, isa, made)
            except RepriseFailed as error:
                failures.append(f"{isa}, {dtype}: {error}")
    finish("invariance", failures, f"{options.requests} requests at {', '.join(levels)}")


if __name__ == "__main__":
    main()
