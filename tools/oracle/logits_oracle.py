"""Log-probabilities of `reprise generate` against transformers, on every checkpoint of make_checkpoints.py.

For each: prompts of random ids (100 of them; for dynamic rotary also 50, which grow past the trained length while they
decode, and 30, which never reach it) and 32 greedy tokens, the whole vocabulary at every position, teacher-forced in
transformers on the tokens that reprise chose.
  float32   every |difference| <= 1e-4 max(1, |lp|), from the float32 file and from the bfloat16 file (widened); the token
            is transformers' own wherever its two best differ by more than 1e-3; and a prompt cut into chunks of 16 gives
            every bit again
  bfloat16  root mean square error at most 1.1 times that of transformers in bfloat16; both against transformers in
            float32 with the same rounded weights

usage: logits_oracle.py --reprise PATH [--shared DIR] [--only NAME] [--isa NAME]
"""
import argparse
import time
from pathlib import Path

from common import (RepriseFailed, cache_dir, finish, load_reference, np, reference_rows, rms, rows_of_answer, run_reprise,
                    say, torch)
from make_checkpoints import ensure, folders

NEW_TOKENS = 32
TOLERANCE = 1e-4
MARGIN = 1e-3
RMS_RATIO = 1.1


def prompts_of(spec):
    random = np.random.default_rng(sum(map(ord, spec.name)))
    return [random.integers(3, spec.vocab, length).tolist() for length in spec.prompt_lengths]


def generate(binary, isa, folder, spec, prompts, dtype, *flags):
    return run_reprise(binary, folder, [{"prompt_token_ids": p} for p in prompts], "--dtype", dtype, "--temperature", 0,
                       "--max-tokens", NEW_TOKENS, "--ignore-eos", "--logprobs", spec.vocab, "--prompt-logprobs", spec.vocab,
                       "--max-logprobs", -1, "--max-model-len", 256, "--isa", isa, *flags)


def read(answers, prompts, spec):
    """[(prompt, tokens, rows)] of the answers, each with all of its tokens."""
    read_back = []
    for answer, prompt in zip(answers, prompts):
        tokens = answer["outputs"][0]["token_ids"]
        if answer["prompt_token_ids"] != prompt or len(tokens) != NEW_TOKENS:
            raise RepriseFailed(f"a prompt of {len(prompt)} ids came back as {len(answer['prompt_token_ids'])}, "
                                f"with {len(tokens)} of {NEW_TOKENS} tokens")
        read_back.append((prompt, tokens, rows_of_answer(answer, spec.vocab)))
    return read_back


def compare_float32(runs, model):
    """(largest difference as a share of what is allowed, greedy tokens that differ although the margin is wide)"""
    worst, wrong = 0.0, 0
    for prompt, tokens, rows in runs:
        expected = reference_rows(model, prompt, tokens)
        worst = max(worst, float(np.max(np.abs(rows - expected) / (TOLERANCE * np.maximum(1, np.abs(expected))))))
        for row, token in zip(expected[len(prompt) - 1:], tokens):
            runner_up, best = np.sort(row)[-2:]
            wrong += best - runner_up > MARGIN and token != int(np.argmax(row))
    return worst, wrong


def compare_bfloat16(runs, exact, rounded):
    """(rms error of reprise, rms error of transformers in bfloat16)"""
    ours, theirs = [], []
    for prompt, tokens, rows in runs:
        expected = reference_rows(exact, prompt, tokens)
        ours.append((rows - expected).ravel())
        theirs.append((reference_rows(rounded, prompt, tokens) - expected).ravel())
    return rms(np.concatenate(ours)), rms(np.concatenate(theirs))


def without_metrics(answers):
    return [{key: value for key, value in answer.items() if key != "metrics"} for answer in answers]


def check(binary, isa, spec, folder):
    """(the line of the table, what failed)"""
    prompts, failures = prompts_of(spec), []
    exact = load_reference(folder["float32"], torch.float32)
    widened = load_reference(folder["bfloat16"], torch.float32)
    rounded = load_reference(folder["bfloat16"], torch.bfloat16)

    whole = generate(binary, isa, folder["float32"], spec, prompts, "float32")
    worst, wrong = compare_float32(read(whole, prompts, spec), exact)
    chunked = generate(binary, isa, folder["float32"], spec, prompts, "float32", "--max-num-batched-tokens", 16,
                       "--enable-chunked-prefill")
    same = without_metrics(whole) == without_metrics(chunked)
    worst_widened, wrong_widened = compare_float32(
        read(generate(binary, isa, folder["bfloat16"], spec, prompts, "float32"), prompts, spec), widened)
    ours, theirs = compare_bfloat16(
        read(generate(binary, isa, folder["bfloat16"], spec, prompts, "bfloat16"), prompts, spec), widened, rounded)

    if not max(worst, worst_widened) <= 1:
        failures.append(f"float32 differs by {max(worst, worst_widened):.3g} times what is allowed")
    if wrong + wrong_widened:
        failures.append(f"{wrong + wrong_widened} greedy tokens differ")
    if not same:
        failures.append("chunks of 16 change the answer")
    if not ours <= RMS_RATIO * theirs:
        failures.append(f"bfloat16 error is {ours / theirs:.3f} times that of transformers")
    line = (f"{spec.name:24} {worst:9.4f} {worst_widened:9.4f} {wrong + wrong_widened:6} {'same' if same else 'DIFFER':>7}"
            f" {ours:10.3e} {theirs:10.3e} {ours / theirs:6.3f}")
    return line, failures


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, required=True)
    arguments.add_argument("--shared", type=Path, help="not used: the checkpoints are made here")
    arguments.add_argument("--only", help="checkpoints whose name contains this")
    arguments.add_argument("--isa", default="auto", help="the level to test; default: the one that the command picks")
    options = arguments.parse_args()
    start, root, failures = time.time(), cache_dir() / "oracle-checkpoints", []
    chosen = ensure(root, options.only)
    say("float32: largest difference / allowed, from the float32 and the bfloat16 file; greedy tokens that differ; chunked")
    say(f"{'checkpoint':24} {'f32':>9} {'f32(bf16)':>9} {'tokens':>6} {'chunks':>7} {'bf16 rms':>10} {'theirs':>10} {'ratio':>6}")
    for spec in chosen:
        try:
            line, failed = check(options.reprise, options.isa, spec, folders(spec, root))
        except RepriseFailed as error:
            line, failed = f"{spec.name:24} (no answer)", [str(error)]
        say(line)
        failures += [f"{spec.name}: {what}" for what in failed]
    finish("logits", failures, f"{len(chosen)} checkpoints in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
