#!/usr/bin/env python3
"""Writes tests/tokenizer/golden: three small tokenizers (byte-level BPE, SentencePiece-style BPE with byte fallback,
Unigram), trained here by Python's `tokenizers` from a fixed seed, and what that library answers for texts that are hard
to tokenize. `./run test` compares against these files, without Python.

A line of cases.jsonl is either a text {"bytes": hex, "ids": [..], "ids_plain": [..]} (with and without special tokens;
bytes that are no UTF-8 were decoded with errors="replace") or {"decode": [..], "text": "..", "text_skip": ".."}.

The Unigram trainer answers differently from run to run (the order of a hash table), so tokenizers that exist are kept and
only their cases are written anew; --retrain trains them all again.
"""
import json
import os
import random
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(ROOT, "oracle"))
from tokenizer_models import common_texts  # noqa: E402
from tokenizer_texts import broken_bytes, make_texts  # noqa: E402


def byte_level(rng):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(make_texts(rng, 1000), trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tokenizer


def sentencepiece(rng):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    # Trained word by word, as SentencePiece does; used without a pre-tokenizer, as its conversions are.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    byte_tokens = [f"<0x{b:02X}>" for b in range(256)]
    tokenizer.train_from_iterator(common_texts(rng, 800), trainers.BpeTrainer(
        vocab_size=1100, special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens, show_progress=False))
    document = json.loads(tokenizer.to_str())
    document["pre_tokenizer"] = None
    document["added_tokens"] = [token for token in document["added_tokens"] if token["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                                             special_tokens=[("<s>", 1)])
    return tokenizer


def unigram(rng):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(common_texts(rng, 600), trainers.UnigramTrainer(
        vocab_size=900, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                             special_tokens=[("</s>", 1)])
    return tokenizer


def main():
    for name, make in (("bpe", byte_level), ("sentencepiece", sentencepiece), ("unigram", unigram)):
        folder = os.path.join(ROOT, "..", "tests", "tokenizer", "golden", name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "tokenizer.json")
        if "--retrain" in sys.argv or not os.path.exists(path):
            document = json.loads(make(random.Random(name)).to_str())
            with open(path, "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, separators=(",", ":"))
                file.write("\n")
        tokenizer = Tokenizer.from_file(path)
        rng = random.Random(name + " cases")
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        inputs = [text.encode()[:400] for text in make_texts(rng, 120, added)] + [broken_bytes(rng) for _ in range(50)]
        size = tokenizer.get_vocab_size()
        id_lists = [[rng.randrange(min(size, 300)) for _ in range(rng.randrange(1, 16))] for _ in range(60)]
        with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as file:
            def write(case):
                file.write(json.dumps(case, ensure_ascii=False, separators=(",", ":")) + "\n")
            for data in inputs:
                text = data.decode("utf-8", errors="replace")
                ids = tokenizer.encode(text).ids
                write({"bytes": data.hex(), "ids": ids,
                       "ids_plain": tokenizer.encode(text, add_special_tokens=False).ids})
                id_lists.append(ids)
            for ids in id_lists[:120]:
                write({"decode": ids, "text": tokenizer.decode(ids, skip_special_tokens=False),
                       "text_skip": tokenizer.decode(ids, skip_special_tokens=True)})


if __name__ == "__main__":
    main()
