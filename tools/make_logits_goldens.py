"""Makes tests/models/golden: tiny random checkpoints and what transformers says of them, for tests that run without Python.

A folder holds config.json and weights as transformers saves them, and expected.json:
  cases            [{prompt, tokens, rows}]: tokens are transformers' greedy ones; rows[i] has the log-probability of every
                   token of the vocabulary after the first i + 1 tokens of prompt + tokens (float32, eager attention, as
                   generation runs: the prompt at once, then a token at a time with a cache)
  bfloat16_rms     root mean square error of transformers in bfloat16 over the prompts' rows and the first of decoding,
                   against transformers in float32; only where the weights are stored in bfloat16
Weights stored in bfloat16 serve both dtypes: the float32 rows are of the same rounded numbers.

usage: make_logits_goldens.py     (in the oracle's environment: see ./run oracle)
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "oracle"))

from common import load_reference, np, reference_rows, rms, say, torch
from make_checkpoints import Checkpoint, build_model, write

OUT = ROOT / "tests" / "models" / "golden"
NEW_TOKENS = 10
MARGIN = 1e-2  # greedy steps closer than this are a matter of rounding: such a prompt is not taken
TRAINED = {"original_max_position_embeddings": 16}
LONG = (40, 9)

# (checkpoint, dtype of the file): every family, and every feature that is easy to get wrong.
GOLDENS = [
    (Checkpoint("llama-llama3-bias", "llama", 28, 7, 1, 16, 45, 67, tied=True, theta=500000.0, old_dialect=True,
                rope={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **TRAINED},
                extra={"attention_bias": True, "mlp_bias": True}, prompt_lengths=LONG), "bfloat16"),
    (Checkpoint("llama-dynamic", "llama", 36, 4, 2, 16, 50, 71, tied=False, old_dialect=True, max_positions=16,
                rope={"rope_type": "dynamic", "factor": 4.0}, sharded=True, prompt_lengths=(40, 12, 3)), "float32"),
    (Checkpoint("mistral-window-yarn", "mistral", 24, 3, 1, 64, 37, 61, tied=False, extra={"sliding_window": 7},
                rope={"rope_type": "yarn", "factor": 4.0, **TRAINED}, prompt_lengths=LONG), "bfloat16"),
    (Checkpoint("qwen2-window", "qwen2", 32, 2, 1, None, 41, 73, tied=True, layers=3, theta=1e6,
                extra={"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1}, prompt_lengths=LONG),
     "bfloat16"),
    (Checkpoint("qwen3-linear", "qwen3", 30, 3, 1, 80, 33, 63, tied=True, rope={"rope_type": "linear", "factor": 2.5},
                prompt_lengths=LONG), "bfloat16"),
    (Checkpoint("qwen3-hd128", "qwen3", 20, 2, 2, 128, 31, 59, tied=False, old_dialect=True, prompt_lengths=(40,)), "bfloat16"),
    # A base and a length with which truncation changes the ramp.
    (Checkpoint("ernie-bias-yarn", "ernie", 26, 8, 1, 16, 43, 65, tied=False, theta=100.0, old_dialect=True,
                rope={"rope_type": "yarn", "factor": 8.0, "truncate": False, "original_max_position_embeddings": 32},
                extra={"use_bias": True}, prompt_lengths=LONG), "bfloat16"),
    (Checkpoint("ernie-plain", "ernie", 40, 6, 2, 16, 61, 77, tied=True, theta=500000.0, prompt_lengths=LONG), "float32"),
]


def greedy(model, prompt):
    """(tokens, rows), or None where two tokens are too close at some step."""
    tokens = []
    while len(tokens) < NEW_TOKENS:
        row = reference_rows(model, prompt, tokens + [0])[-1]
        runner_up, best = np.sort(row)[-2:]
        if best - runner_up < MARGIN:
            return None
        tokens.append(int(np.argmax(row)))
    return tokens, reference_rows(model, prompt, tokens)


def cases_of(spec, model):
    random, cases = np.random.default_rng(1), []
    for length in spec.prompt_lengths:
        found = None
        while found is None:
            prompt = random.integers(3, spec.vocab, length).tolist()
            found = greedy(model, prompt)
        cases.append((prompt, *found))
    return cases


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    for spec, stored in GOLDENS:
        folder = OUT / spec.name
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as made:
            write(build_model(spec), spec, Path(made) / "model", getattr(torch, stored))
            for file in (Path(made) / "model").iterdir():
                if file.name != "generation_config.json":
                    (folder / file.name).write_bytes(file.read_bytes())
        model = load_reference(folder, torch.float32)
        cases = cases_of(spec, model)
        expected = {"cases": [{"prompt": prompt, "tokens": tokens, "rows": [[round(float(x), 6) for x in row] for row in rows]}
                              for prompt, tokens, rows in cases]}
        if stored == "bfloat16":
            rounded = load_reference(folder, torch.bfloat16)
            expected["bfloat16_rms"] = rms(np.concatenate([
                (reference_rows(rounded, prompt, [0]) - rows[:len(prompt)]).ravel() for prompt, _, rows in cases]))
        (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")
        size = sum(file.stat().st_size for file in folder.iterdir())
        say(f"{spec.name:22} {stored:9} {len(cases)} cases {size / 1e3:6.1f} kB   {expected.get('bfloat16_rms', '')}")
    say(f"{sum(f.stat().st_size for f in OUT.rglob('*') if f.is_file()) / 1e3:.0f} kB in all")


if __name__ == "__main__":
    main()
