#!/usr/bin/env python3
"""Trains models/tiny: a Llama of about a million parameters that imitates the novels of Jane Austen.

The tests and the offline demo need a real model that fits in the repository: trained weights (so that logits have
margins), grouped heads, tied embeddings, an own byte-level BPE tokenizer and a chat template. The text is the
Debian package r-cran-janeaustenr: six novels in the public domain, packaged under the MIT licence.

usage: nice -n 19 PYTHON tools/train_tiny.py [--steps N] [--out models/tiny]
       PYTHON: the virtual environment of `./run oracle`; needs apt-get and dpkg-deb to fetch the text.
On one thread of one kind of CPU the same seed gives the same bytes; on another CPU a model of the same quality.
"""
import argparse, json, re, subprocess, tempfile, time, zlib
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

PACKAGE = "r-cran-janeaustenr"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
            "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
VOCAB, WINDOW, BATCH = 1536, 192, 16


def novels(folder):
    """The six novels as lists of lines. An R data base is a row of blocks: the size unpacked, then a zlib stream; a
    line is a CHARSXP: the flags 00 04 00 09 (ASCII) or 00 08 00 09 (UTF-8), a length, the bytes."""
    subprocess.run(["apt-get", "download", PACKAGE], cwd=folder, check=True, capture_output=True)
    subprocess.run(["dpkg-deb", "-x", *[p.name for p in Path(folder).glob("*.deb")], "."], cwd=folder, check=True)
    data = next(Path(folder).glob("**/janeaustenr/data/Rdata.rdb")).read_bytes()
    books = []
    while data:
        unpacker = zlib.decompressobj()
        block, data, lines, at = unpacker.decompress(data[4:]), unpacker.unused_data, [], 0
        while (at := min((i for i in (block.find(b"\0\4\0\t", at), block.find(b"\0\x08\0\t", at)) if i >= 0),
                         default=-1)) >= 0:
            size = int.from_bytes(block[at + 4:at + 8], "big")
            lines.append(block[at + 8:at + 8 + size].decode())
            at += 8 + size
        books.append(lines)
    return books


def paragraphs(lines):
    text = re.sub(r"[ \t]+", " ", "\n".join(lines)).replace("_", "")
    found = (" ".join(p.split()) for p in re.split(r"\n\s*\n", text))
    return [p for p in found if p]


def documents(books):
    """Prose: chapters of running text. Talk: a paragraph of speech and the one that answers it, as a chat."""
    prose, talk = [], []
    for lines in books:
        chapter, before = [], ""
        for p in paragraphs(lines):
            if re.match(r"(chapter|volume)\b", p, re.I) and len(p) < 40:
                prose.append("\n".join(chapter))
                chapter, before = [], ""
                continue
            chapter.append(p)
            if before.startswith('"') and p.startswith('"') and len(before) < 400 and len(p) < 500:
                talk.append(f"<|im_start|>user\n{before.replace(chr(34), '')}<|im_end|>\n"
                            f"<|im_start|>assistant\n{p.replace(chr(34), '')}<|im_end|>\n")
            before = p
        prose.append("\n".join(chapter))
    return [d for d in prose if len(d) > 500], talk


def train_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    return tokenizer


def stream(tokenizer, docs):
    ids = []
    for encoding in tokenizer.encode_batch(docs):
        ids += encoding.ids + [0]
    return torch.tensor(ids)


def windows(ids, rng, count):
    starts = rng.integers(0, len(ids) - WINDOW - 1, count)
    return torch.stack([ids[s:s + WINDOW + 1] for s in starts])


def loss_of(model, batch):
    logits = model(batch[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))


@torch.no_grad()
def held_out_loss(model, ids):
    """Mean loss over the held-out stream, cut into windows that don't overlap."""
    rows = (len(ids) - 1) // WINDOW
    batch = torch.stack([ids[i * WINDOW:i * WINDOW + WINDOW + 1] for i in range(rows)])
    model.eval()
    total = sum(loss_of(model, part).item() * len(part) for part in batch.split(32))
    model.train()
    return total / rows


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal by a quintic Newton-Schulz iteration: about half the steps of AdamW for
    the matrices of a small model (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks").
    torch's own does it in bf16, which a CPU without bf16 instructions emulates slowly."""

    def __init__(self, parameters, lr, momentum=0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(average, group["momentum"])
                x = x.T if p.shape[0] > p.shape[1] else x
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.T if p.shape[0] > p.shape[1] else x
                p.add_(x, alpha=-group["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5)


def train(model, prose, talk, held_out, steps):
    rng = np.random.default_rng(1)
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "embed" in n]
    optimizers = [Muon(hidden, lr=0.02), torch.optim.AdamW(others, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0)]
    peaks = [0.02, 4e-3]
    curve, recent, start = [], [], time.time()
    for step in range(steps):
        warm, left = min(1.0, (step + 1) / 50), 1 - step / steps
        for optimizer, peak in zip(optimizers, peaks):
            optimizer.param_groups[0]["lr"] = peak * min(warm, left / 0.6)  # linear to zero over the last 60 %
        batch = torch.cat([windows(prose, rng, BATCH * 3 // 4), windows(talk, rng, BATCH // 4)])
        loss = loss_of(model, batch)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        recent.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0:
            curve.append((step + 1, sum(recent) / len(recent), held_out_loss(model, held_out)))
            recent = []
            print(f"step {step + 1}: train {curve[-1][1]:.3f}, held out {curve[-1][2]:.3f}, {time.time() - start:.0f} s",
                  flush=True)
    return curve


def export(out, model, tokenizer):
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "model_max_length": model.config.max_position_embeddings, "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE}, indent=2) + "\n")
    for file in out.iterdir():
        file.chmod(0o644)
    (out / "generation_config.json").write_text(json.dumps({
        "eos_token_id": [2, 0], "pad_token_id": 0, "do_sample": True, "temperature": 0.7, "top_p": 0.9}, indent=2) + "\n")


def card(out, model, curve, tokens, minutes):
    size = sum(p.stat().st_size for p in out.iterdir() if p.name != "README.md")
    rows = "\n".join(f"| {step} | {train:.3f} | {held:.3f} |" for step, train, held in curve)
    c = model.config
    (out / "README.md").write_text(f"""# models/tiny: a very small Llama for tests and the offline demo

It imitates the novels of Jane Austen and knows nothing else: word-like, often grammatical, never informed. It is here
so that the tests and `REPRISE_OFFLINE=1 ./run demo` have a trained model without a download.

| | |
|---|---|
| architecture | `LlamaForCausalLM`, {model.num_parameters():,} parameters, bf16, {size / 1e6:.1f} MB in all |
| shape | {c.num_hidden_layers} layers, hidden {c.hidden_size}, feed-forward {c.intermediate_size}, {c.num_attention_heads} heads of {c.hidden_size // c.num_attention_heads}, {c.num_key_value_heads} key/value heads, tied embeddings |
| context | {c.max_position_embeddings} positions (trained on windows of {WINDOW}) |
| tokenizer | own byte-level BPE, {VOCAB} tokens, trained on the same text |
| chat | `<|im_start|>role ... <|im_end|>`; the answers were learnt from neighbouring paragraphs of dialogue |
| data | *Sense and Sensibility*, *Pride and Prejudice*, *Mansfield Park*, *Emma*, *Northanger Abbey*, *Persuasion*: {tokens:,} tokens; the last 4 % of each novel held out |
| source | Debian package `{PACKAGE}` (from Project Gutenberg's texts) |
| licence of the data | the novels are in the public domain; the package is under the MIT licence |
| licence of this model | Apache-2.0, as the repository |
| training | {curve[-1][0]} steps of {BATCH} x {WINDOW} tokens, Muon and AdamW, one CPU thread, {minutes:.0f} minutes |

Loss in nats a token (train: mean since the row before):

| step | train | held out |
|---|---|---|
{rows}

To make it again: `nice -n 19 PYTHON tools/train_tiny.py`, with the Python of the virtual environment that
`./run oracle` makes. The same CPU model gives the same bytes, another CPU a model of the same quality.
""")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--steps", type=int, default=1000)
    arguments.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "models" / "tiny")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        books = novels(folder)
    cut = [int(len(b) * 0.96) for b in books]
    prose, talk = documents([b[:c] for b, c in zip(books, cut)])
    unseen, _ = documents([b[c:] for b, c in zip(books, cut)])
    tokenizer = train_tokenizer(prose + talk)
    prose_ids, talk_ids, held_out = (stream(tokenizer, docs) for docs in (prose, talk, unseen))
    print(f"{len(prose)} chapters, {len(talk)} answers; {len(prose_ids)} + {len(talk_ids)} tokens, "
          f"{len(held_out)} held out", flush=True)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=128, intermediate_size=352, num_hidden_layers=5, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, tie_word_embeddings=True, rms_norm_eps=1e-5,
        bos_token_id=None, eos_token_id=2, pad_token_id=0, attn_implementation="sdpa", use_cache=False))
    model.config.use_cache = True
    curve = train(model, prose_ids, talk_ids, held_out[:200 * WINDOW + 1], options.steps)
    export(options.out, model, tokenizer)
    card(options.out, model, curve, len(prose_ids) + len(talk_ids), (time.time() - start) / 60)


main()
