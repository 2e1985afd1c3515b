#!/usr/bin/env python3
"""Writes src/tokenizer/jinja/unicode_tables.inc: where Python's str knows more than Unicode's categories: digits
that are not decimal, letters that are numbers, Other_Lowercase and Other_Uppercase.

Run: tools/make_template_unicode.py > src/tokenizer/jinja/unicode_tables.inc
"""
import unicodedata

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) != "Cn"]
category = unicodedata.category


def pack(entries):
    """Several entries a line, then the end of the table."""
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 110:
            print(line)
            line = "   "
        line += f" {entry},"
    print(f"{line}\n}};\n")


def ranges(name, comment, predicate):
    found = []
    for c in POINTS:
        if predicate(chr(c)):
            if found and found[-1][1] == c - 1:
                found[-1][1] = c
            else:
                found.append([c, c])
    print(f"// {comment}\nconstexpr PointRange k{name}[] = {{")
    pack([f"{{0x{first:X}, 0x{last:X}}}" for first, last in found])


print(f"// Written by tools/make_template_unicode.py from Python's Unicode {unicodedata.unidata_version}.")
ranges("Digit", "str.isdigit beyond category Nd.", lambda c: c.isdigit() and category(c) != "Nd")
ranges("Numeric", "str.isnumeric beyond categories N*.", lambda c: c.isnumeric() and category(c)[0] != "N")
ranges("OtherLower", "str.islower beyond category Ll.", lambda c: c.islower() and category(c) != "Ll")
ranges("OtherUpper", "str.isupper beyond category Lu.", lambda c: c.isupper() and category(c) != "Lu")
