"""What the oracles share: running the reprise command, and log-probabilities as transformers has them.

A "row" is one distribution over the vocabulary: row i is what follows the first i + 1 tokens of the sequence. A prompt
of n tokens with m generated ones has n - 1 + m rows, the last of them predicting the last generated token.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Set before torch is imported anywhere: oneDNN may otherwise pick tile instructions that some virtual machines advertise
# and then refuse.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
import transformers

# The checkpoints are so small that a second thread of torch costs more than it brings (30 times, on a busy machine).
torch.set_num_threads(1)
torch.set_grad_enabled(False)
transformers.utils.logging.disable_progress_bar()


def cache_dir():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reprise"


class RepriseFailed(Exception):
    """The command ended with an error, or answered what is not the documented form."""


def run_reprise(binary, model, requests, *flags, expect_errors=False):
    """Answers of `reprise generate` to requests (dicts, lines of a prompts file), in their order."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as prompts:
        prompts.write("".join(json.dumps(r) + "\n" for r in requests))
        prompts.flush()
        command = [str(binary), "generate", "--model", str(model), "--prompts-file", prompts.name, "--json",
                   *map(str, flags)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 and not expect_errors:
        said = (done.stderr.strip() or "(nothing on standard error)").splitlines()
        raise RepriseFailed(f"exit code {done.returncode}: {' '.join(command)}\n    " + "\n    ".join(said[-5:]))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if [a["index"] for a in answers] != list(range(len(requests))):
        raise RepriseFailed(f"{len(requests)} prompts, indices {[a['index'] for a in answers]}: {' '.join(command)}")
    return answers


def rows_of_answer(answer, vocab_size):
    """The distributions of an answer made with whole-vocabulary logprobs: float64 [rows, vocab]."""
    entries = answer["prompt_logprobs"][1:] + answer["outputs"][0]["logprobs"]
    rows = np.full((len(entries), vocab_size), np.nan)
    for row, entry in zip(rows, entries):
        ids, values = zip(*entry["top"])
        row[list(ids)] = values
        if row[entry["token_id"]] != entry["logprob"]:
            raise RepriseFailed(f"token {entry['token_id']} has {entry['logprob']} and, in top, {row[entry['token_id']]}")
        if list(values) != sorted(values, reverse=True):
            raise RepriseFailed("top is not in descending order")
    if np.isnan(rows).any():
        raise RepriseFailed(f"{int(np.isnan(rows).sum())} of {rows.size} log-probabilities are missing or not numbers")
    return rows


def load_reference(model_dir, dtype, **kwargs):
    """The model in transformers, with the attention written out (no fused kernels)."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=dtype, attn_implementation="eager", **kwargs).eval()


def forget_length(model):
    """Dynamic rotary keeps the longest length it has met in the module: a new sequence starts from none."""
    rotary = model.model.rotary_emb
    rotary.max_seq_len_cached = rotary.original_max_seq_len
    rotary.inv_freq = rotary.original_inv_freq.clone()


def reference_rows(model, prompt, generated):
    """Teacher-forced as generation runs: the prompt at once, then a token at a time with a cache. float64 [rows, vocab]."""
    forget_length(model)
    cache = transformers.DynamicCache(config=model.config)
    rows = []
    for ids in [prompt] + [[t] for t in generated[:-1]]:
        logits = model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True).logits[0]
        rows.append(torch.log_softmax(logits.double(), dim=-1).numpy())
    return np.concatenate(rows)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def say(line=""):
    print(line, flush=True)


def finish(name, failures, summary):
    for failure in failures:
        say(f"FAILED {failure}")
    say(f"{name}: {'FAILED' if failures else 'ok'}, {summary}, {len(failures)} failures")
    sys.exit(1 if failures else 0)
