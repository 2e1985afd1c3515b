"""Texts that tokenizers get wrong: generated from a seed, for the tokenizer oracle and the goldens."""
import unicodedata

WORDS = """the of and to in is you that it he was for on are as with his they I at be this have from or one had by
word but not what all were we when your can said there use an each which she do how their if will up other about out
many then them these so some her would make like him into time has look two more write go see number no way could
people my than first water been call who oil its now find long down day did get come made may part don't I'm we'll
they've she'd it's you're WE'LL I'VE It'S y'all rock'n'roll naïve café résumé Straße İstanbul ſhort""".split()
CODE = ["def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) {\n\ta[i] += b[i];\n}", "#include <vector>\n",
        "std::cout << \"hi\\n\";", "SELECT * FROM t WHERE a >= 10;", "{\"key\": [1, 2.5e-3, null]}", "x = y if z else w",
        "\t\t\tif (p == NULL) goto out;", "// comment   \r\n", "<div class='a b'>text</div>", "$PATH:/usr/bin/env",
        "a->b.c()[0]", "0x1F_FFu64", "camelCaseName snake_case_name", "!@#$%^&*()_+-=[]{}|;:',.<>/?`~", "'''doc'''"]
BLANKS = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u180e",
          "\u2028", "\x0b", "\x0c", "\x85", "\ufeff", "    ", "\t \t", "\n \n  ", "\u202f", "\u1680"]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "❤️", "1️⃣", "☺", "🫠", "🧑🏿‍🚀", "👨‍", "‍", "️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x5F4),
           (0x600, 0x6FF), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE01, 0xE5B), (0xF00, 0xFDA),
           (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137C), (0x1780, 0x17F9), (0x1E00, 0x1FFE),
           (0x2000, 0x206F), (0x2070, 0x20BF), (0x2100, 0x218B), (0x2190, 0x23FF), (0x2460, 0x25FF),
           (0x3001, 0x30FF), (0x3131, 0x318E), (0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xA48C),
           (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE20, 0xFEFC), (0xFF01, 0xFFEE),
           (0x10300, 0x1034A), (0x1D400, 0x1D7FF), (0x1F100, 0x1F1FF), (0x1F300, 0x1FAF6), (0x20000, 0x2A6DF)]
MARKS = [chr(c) for c in list(range(0x300, 0x330)) + [0x5B0, 0x5C1, 0x64B, 0x651, 0x93C, 0x94D, 0xE38, 0x1DC4, 0x20D0,
                                                     0x3099, 0x302A, 0xFE20]]
SPECIALS = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<0x0A>", "<0xE2>", "▁", "Ġ", "<|",
            "|>", "<|endof", "<pad>", "[MASK]", "<|eot_id|>", "<|begin_of_text|>"]


def assigned(code):
    # This Python's Unicode is the common ground: later characters are letters to one library and nothing to another.
    return unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")


def random_character(rng, code_ranges):
    while True:
        code = rng.randint(*rng.choice(code_ranges))
        if assigned(code):
            return chr(code)


def broken_bytes(rng):
    """Bytes that are no UTF-8 here and there."""
    pieces = []
    for _ in range(rng.randrange(1, 8)):
        kind = rng.randrange(4)
        if kind == 0:
            pieces.append(bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6))))
        elif kind == 1:
            whole = rng.choice(EMOJI).encode()
            pieces.append(whole[:rng.randrange(len(whole)) + 1])
        elif kind == 2:
            pieces.append(rng.choice([b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xff"]))
        else:
            pieces.append(rng.choice(WORDS).encode())
    return b"".join(pieces)


def piece(rng, added):
    kind = rng.randrange(16)
    if kind < 4:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 9)))
    if kind == 4:
        return rng.choice(CODE)
    if kind == 5:
        return rng.choice(EMOJI) * rng.randrange(1, 3)
    if kind == 6:
        return "".join(rng.choice(BLANKS) for _ in range(rng.randrange(1, 4)))
    if kind == 7:
        return "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 9)))
    if kind == 8:
        base = rng.choice(["a", "e", "ก", "か", "ㄱ", "ا", "क", "q"])
        return base + "".join(rng.choice(MARKS) for _ in range(rng.randrange(1, 5)))
    if kind == 9:
        return rng.choice(added) if added and rng.random() < 0.7 else rng.choice(SPECIALS)
    if kind == 10:
        return rng.choice(["'s", "'LL", "’s", "...", "—", "!!!", "?!", "1,234.56", "½", "²³", "Ⅷ", "①", "٣٤", "%", "$5"])
    if kind == 11:
        return broken_bytes(rng).decode("utf-8", errors="replace")
    if kind == 12:
        block = [rng.choice(SCRIPTS)]
        return "".join(random_character(rng, block) for _ in range(rng.randrange(1, 12)))
    if kind == 13:
        return rng.choice(WORDS).upper() + rng.choice(WORDS).title()
    if kind == 14:
        return rng.choice("abcxyz=-_ .\n*#") * rng.randrange(1, 60)
    return "".join(random_character(rng, SCRIPTS) for _ in range(rng.randrange(1, 6)))


def make_texts(rng, count, added=()):
    """`count` texts. `added`: token texts to strew in."""
    added = list(added)
    return ["".join(piece(rng, added) + rng.choice(["", "", " ", "\n", "  "]) for _ in range(rng.randrange(0, 12)))
            for _ in range(count)]


def long_runs(size):
    """Texts of about `size` bytes, each of one unit: where limits of regular expressions and quadratic merges show."""
    for unit in (" ", "\n", "\t \n", "a", "é", "😀", "你", "0", "!", "▁", "aB1 ", "\u0301"):
        yield unit * (size // len(unit.encode()))
