#!/usr/bin/env python3
"""Compares `reprise tokenizer --batch` with Python's `tokenizers`, live: encode and decode, with and without special
tokens, on generated lines of mixed scripts, code, emoji, combining marks, odd blanks, digits, special tokens in the
text and broken UTF-8, and on long runs of one unit. Streamed text equals the library's decode too, where runs of byte
tokens are valid UTF-8 (elsewhere the library replaces whole runs, and a stream single bytes). Fixed seeds; prints
counts; exit code 1 on any difference.

  tokenizer_oracle.py [--reprise build/release/reprise] [--shared ../shared] [--lines 20000] [--seed 1] [DIR ...]

DIR: folders with a tokenizer.json; without any, the real vocabularies of ../shared/data/tokenizers, the stories model
and the tiny model of this repository, as far as they exist. Small models of other kinds (Unigram with and without byte
fallback and a character map, BPE with unusual stages) are trained or put together here and compared too.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import unicodedata

import tokenizers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tokenizer_models import make_models  # noqa: E402
from tokenizer_texts import long_runs, make_texts  # noqa: E402

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def default_folders(shared):
    folders = []
    for parent in (os.path.join(shared, "data", "tokenizers"), os.path.join(shared, "models"),
                   os.path.join(REPOSITORY, "models")):
        if os.path.isdir(parent):
            folders += [os.path.join(parent, name) for name in sorted(os.listdir(parent))]
    return [folder for folder in folders if os.path.exists(os.path.join(folder, "tokenizer.json"))]


class Program:
    def __init__(self, command):
        self.command = command

    def batch(self, folder, requests):
        """requests: JSON texts (bytes), one a line -> answers."""
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            file.write(b"\n".join(requests) + b"\n")
            file.flush()
            run = subprocess.run([self.command, "tokenizer", "--model", folder, "--batch", file.name],
                                 capture_output=True)
        if run.returncode != 0 and not run.stdout:
            sys.exit(f"{self.command} failed on {folder}: {run.stderr.decode(errors='replace')}")
        answers = run.stdout.decode().split("\n")
        if answers and answers[-1] == "":
            answers.pop()
        if len(answers) != len(requests):
            sys.exit(f"{self.command} on {folder}: {len(answers)} answers to {len(requests)} lines")
        return [json.loads(answer) for answer in answers]


def runs_are_valid(tokens):
    """Whether the byte tokens in a row are valid UTF-8, each run for itself."""
    run = b""
    for token in tokens + [""]:
        byte = re.fullmatch("<0x([0-9A-Fa-f]{2})>", token)
        if byte:
            run += bytes.fromhex(byte[1])
            continue
        try:
            run.decode()
        except UnicodeDecodeError:
            return False
        run = b""
    return True


def compare_long_runs(oracle, program, folder, size, differ):
    """Runs of `size` bytes; where the library is slow the later ones are shorter. -> count, seconds of the library."""
    texts, expected, spent = [], [], 0.0
    for text in long_runs(size):
        text = text[:len(text) if spent < 2 else len(text) // 10]
        begin = time.process_time()
        texts.append(text)
        expected.append(oracle.encode(text, add_special_tokens=False).ids)
        spent += time.process_time() - begin
    answers = program.batch(folder, [json.dumps({"text": text, "add_special_tokens": False}).encode()
                                     for text in texts])
    for text, ids, answer in zip(texts, expected, answers):
        if answer.get("token_ids") != ids:
            differ("encode", f"{text[:8]}... ({len(text)} characters)", ids[:16],
                   str(answer.get("token_ids", answer))[:80])
    return len(texts), spent


def compare(name, folder, program, lines, seed, show):
    oracle = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    oracle.no_truncation()
    oracle.no_padding()
    rng = random.Random(f"{seed} {name}")
    added = [token.content for token in oracle.get_added_tokens_decoder().values()]
    size = oracle.get_vocab_size(with_added_tokens=True)
    token_of = [oracle.id_to_token(id) or "" for id in range(size)]
    specials = {id for id, token in oracle.get_added_tokens_decoder().items() if token.special}
    texts = make_texts(rng, lines, added)
    differences = {"encode": 0, "decode": 0, "stream": 0}
    counts = {"encode": 0, "decode": 0, "stream": 0}

    def differ(kind, what, expected, got):
        differences[kind] += 1
        if differences[kind] <= show:
            print(f"  {kind} differs: {what!r}\n    expected {expected!r}\n    got      {got!r}")

    id_lists = []
    for special in (True, False):
        expected = []
        for start in range(0, len(texts), 1000):
            expected += [e.ids for e in oracle.encode_batch(texts[start:start + 1000], add_special_tokens=special)]
        answers = program.batch(folder, [json.dumps({"text": text, "add_special_tokens": special}).encode()
                                         for text in texts])
        for text, ids, answer in zip(texts, expected, answers):
            counts["encode"] += 1
            if answer.get("token_ids") != ids:
                differ("encode", text, ids, answer)
        id_lists += expected if special else []
    runs, library_s = compare_long_runs(oracle, program, folder, 150_000, differ)
    counts["encode"] += runs
    # Ids in an order that no text has: cut characters, special tokens anywhere.
    for _ in range(lines // 4):
        id_lists.append([rng.randrange(size) for _ in range(rng.randrange(1, 40))])
    low = min(size, 400)  # bytes and byte tokens live here
    for _ in range(lines // 4):
        id_lists.append([rng.randrange(low) for _ in range(rng.randrange(1, 12))])
    for skip in (True, False):
        expected = []
        for start in range(0, len(id_lists), 1000):
            expected += oracle.decode_batch(id_lists[start:start + 1000], skip_special_tokens=skip)
        answers = program.batch(folder, [json.dumps({"token_ids": ids, "skip_special_tokens": skip}).encode()
                                         for ids in id_lists])
        for ids, text, answer in zip(id_lists, expected, answers):
            counts["decode"] += 1
            if answer.get("text") != text:
                differ("decode", ids, text, answer)
        answers = program.batch(folder, [json.dumps({"token_ids": ids, "skip_special_tokens": skip,
                                                     "stream": True}).encode() for ids in id_lists])
        for ids, text, answer in zip(id_lists, expected, answers):
            if not runs_are_valid([token_of[id] for id in ids if not (skip and id in specials)]):
                continue
            counts["stream"] += 1
            if "".join(answer.get("pieces", [])) != text:
                differ("stream", ids, text, answer)
    print(f"{name}: {counts['encode']} encodings with {differences['encode']} differences, "
          f"{counts['decode']} decodings with {differences['decode']} differences, "
          f"{counts['stream']} streams with {differences['stream']} differences "
          f"({runs} long runs: {library_s:.1f} s of the library)", flush=True)
    return sum(differences.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reprise", default=os.path.join(REPOSITORY, "build", "release", "reprise"))
    parser.add_argument("--shared", default=os.environ.get("REPRISE_SHARED", os.path.join(REPOSITORY, "..", "shared")))
    parser.add_argument("--lines", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="differences to print of each kind and model")
    parser.add_argument("folders", nargs="*")
    arguments = parser.parse_args()
    program = Program(arguments.reprise)
    total = 0
    print(f"tokenizers {tokenizers.__version__}, Unicode {unicodedata.unidata_version}, seed {arguments.seed}")
    for folder in arguments.folders or default_folders(arguments.shared):
        total += compare(os.path.basename(folder.rstrip("/")), folder, program, arguments.lines, arguments.seed,
                         arguments.show)
    if not arguments.folders:
        with tempfile.TemporaryDirectory() as scratch:
            for name, folder in make_models(scratch, random.Random(arguments.seed)):
                # Variants of BPE that no real vocabulary here has: a tenth of the lines finds what differs.
                lines = arguments.lines if name.startswith("unigram") else arguments.lines // 10
                total += compare(name, folder, program, lines, arguments.seed, arguments.show)
    print(f"{total} differences")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()
