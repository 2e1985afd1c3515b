"""Small tokenizers of kinds that the real vocabularies do not cover, trained or put together from a seed."""
import collections
import json
import os
import struct
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_texts import make_texts


def build_charsmap(mapping):
    """A SentencePiece character map ({text: replacement}) as Darts lays it out: a double array, placed first fit."""
    blob, offsets = b"", {}
    for key in sorted(mapping):
        offsets[key.encode()] = len(blob)
        blob += mapping[key].encode() + b"\0"
    root = {}
    for key, value in offsets.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[None] = value
    units, used = [0] * 256, [True] + [False] * 255

    def place(node, position):
        labels = sorted(byte for byte in node if byte is not None)
        slots = ([0] if None in node else []) + labels
        base = 1
        while any((base ^ slot) < len(used) and used[base ^ slot] for slot in slots) or (base ^ position) >= 1 << 21:
            base += 1
        grow = max(base ^ slot for slot in slots) + 256 - len(units)
        if grow > 0:
            units.extend([0] * grow)
            used.extend([False] * grow)
        for slot in slots:
            used[base ^ slot] = True
        units[position] |= (base ^ position) << 10
        if None in node:
            units[position] |= 1 << 8
            units[base] = node[None] | 1 << 31
        for label in labels:
            units[base ^ label] |= label
        for label in labels:
            place(node[label], base ^ label)

    place(root, 0)
    trie = struct.pack(f"<{len(units)}I", *units)
    return struct.pack("<I", len(trie)) + trie + blob


def nfkc_like_charsmap():
    mapping = {}
    for code in list(range(0x20, 0x600)) + list(range(0x1E00, 0x2200)) + list(range(0xFB00, 0xFB10)) + list(
            range(0xFF01, 0xFF5F)) + [0x3000, 0x00AD]:
        text = chr(code)
        normal = unicodedata.normalize("NFKC", text)
        if normal != text:
            mapping[text] = normal
        decomposed = unicodedata.normalize("NFD", text)
        if decomposed != text and len(decomposed) == 2:
            mapping[decomposed] = unicodedata.normalize("NFC", text)
    mapping.update({"\t": " ", "\n": " ", "\r": " ", "\u200b": "", "\u00ad": "", "\u0001": ""})
    return build_charsmap(mapping)


def common_texts(rng, count):
    """Training texts without rare characters, so that some stay unknown and a small vocabulary holds the others."""
    texts = make_texts(rng, count)
    for special in ("<pad>", "</s>", "<unk>"):  # the trainer would make them tokens a second time
        texts = [text.replace(special, "") for text in texts]
    counts = collections.Counter("".join(texts))
    return ["".join(c for c in text if counts[c] >= 8) for text in texts]


def unigram(rng, byte_fallback, charsmap):
    tokenizer = Tokenizer(models.Unigram())
    steps = [normalizers.Replace(Regex(" {2,}"), " ")]
    if charsmap:
        steps.insert(0, normalizers.Precompiled(nfkc_like_charsmap()))
        steps.append(normalizers.Strip(left=False, right=True))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always" if charsmap else "first")
    specials = ["<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(common_texts(rng, 1500), trainers.UnigramTrainer(
        vocab_size=1200, special_tokens=specials, unk_token="<unk>", show_progress=False))
    document = json.loads(tokenizer.to_str())
    if byte_fallback:
        document["model"]["byte_fallback"] = True
        known = {entry[0] for entry in document["model"]["vocab"]}
        document["model"]["vocab"] += [[f"<0x{b:02X}>", -20.0] for b in range(256) if f"<0x{b:02X}>" not in known]
        document["decoder"] = {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                                       "split": True}]}
    else:
        document["decoder"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                             special_tokens=[("</s>", 1)])
    return tokenizer


def bpe(rng, normalizer, pre_tokenizer, decoder, alphabet=(), added=(), **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
    specials = [options["unk_token"]] if options.get("unk_token") else []
    if options.get("byte_fallback"):
        specials += [f"<0x{b:02X}>" for b in range(256)]
    extra = {key: options[key] for key in ("continuing_subword_prefix", "end_of_word_suffix") if key in options}
    tokenizer.train_from_iterator(make_texts(rng, 600), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=specials, initial_alphabet=list(alphabet), show_progress=False,
        limit_alphabet=400, **extra))
    document = json.loads(tokenizer.to_str())
    if options.get("byte_fallback"):  # as Llama has them: ordinary tokens, not added ones
        document["added_tokens"] = [t for t in document["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_tokens(list(added))
    return tokenizer


def all_models(rng):
    byte_alphabet = pre_tokenizers.ByteLevel.alphabet()
    split = pre_tokenizers.Split
    odd_tokens = [AddedToken("hello", single_word=True), AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True),
                  AddedToken("<b>", lstrip=True, rstrip=True, special=True), AddedToken("ÉTÉ", normalized=True),
                  AddedToken("the", normalized=False, single_word=True), AddedToken(" two words "),
                  AddedToken("<|im_start|>", special=True), AddedToken("<|im_", special=False)]
    yield "unigram", unigram(rng, False, False)
    yield "unigram-bytes", unigram(rng, True, False)
    yield "unigram-charsmap", unigram(rng, False, True)
    yield "smollm-like", bpe(
        rng, None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                            pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        decoders.ByteLevel(), byte_alphabet, odd_tokens)
    yield "prefix-space", bpe(rng, normalizers.NFKC(), pre_tokenizers.ByteLevel(add_prefix_space=True),
                              decoders.ByteLevel(), byte_alphabet, odd_tokens)
    yield "lowercase-accents", bpe(
        rng, normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(),
                                   normalizers.Strip()]),
        pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation("contiguous")]),
        None, (), odd_tokens, unk_token="<unk>", fuse_unk=True)
    yield "clip-like", bpe(
        rng, normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        pre_tokenizers.Sequence([split(Regex(r"'s|'t|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                                 pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        decoders.BPEDecoder(suffix="</w>"), byte_alphabet, odd_tokens, unk_token="<unk>", end_of_word_suffix="</w>",
        continuing_subword_prefix="##")
    yield "llama-like", bpe(
        rng, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                           decoders.Strip(" ", 1, 0)]),
        (), odd_tokens, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    yield "nfkd-splits", bpe(
        rng, normalizers.Sequence([normalizers.Prepend("^"), normalizers.NFKD(), normalizers.Nmt()]),
        pre_tokenizers.Sequence([split("e", "merged_with_previous"), split(Regex(r"\d"), "merged_with_next"),
                                 split(Regex(r"[aeiou]+"), "contiguous"), pre_tokenizers.CharDelimiterSplit("x"),
                                 pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=False)]),
        decoders.Sequence([decoders.Replace(Regex("a+"), "<a>"), decoders.Fuse(), decoders.Strip("^", 2, 0)]),
        (), odd_tokens, unk_token="<unk>", fuse_unk=False)
    yield "whole-words", bpe(
        rng, normalizers.ByteLevel(), split(Regex(r"\w+|\W"), "isolated"), decoders.ByteLevel(), byte_alphabet,
        odd_tokens, ignore_merges=True)
    yield "o200k-like", bpe(
        rng, None,
        pre_tokenizers.Sequence([
            split(Regex(r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
                        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
                        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
                        r"|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
        decoders.ByteLevel(), byte_alphabet, odd_tokens, ignore_merges=True)


def make_models(folder, rng):
    """Yields (name, folder of its tokenizer.json)."""
    for name, tokenizer in all_models(rng):
        path = os.path.join(folder, name)
        os.makedirs(path)
        tokenizer.save(os.path.join(path, "tokenizer.json"))
        yield name, path
