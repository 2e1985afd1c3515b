#!/usr/bin/env python3
"""Runs commands in a pseudo-terminal and draws what they really print as a self-contained SVG: the README's picture.

usage: tools/terminal_svg.py --out docs/session.svg [--columns 96] [--rows 32] 'COMMAND' ['COMMAND' ...]
The README's: './run demo' 'build/release/reprise generate --model models/tiny --prompt "It was a fine morning, and"
--max-tokens 40 --seed 7 --use-cudagraph'
Each command is shown after a prompt, then its output. Colours, bold, carriage returns, cursor-up and erasing are
followed, so a progress bar ends as it ended on the screen; of a long output the last rows are shown.
"""
import argparse, html, os, pty, re, sys
from pathlib import Path

COLOURS = ["#20242c", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"]
WIDTH, HEIGHT, MARGIN = 8.4, 19, 16


class Screen:
    """Lines of [character, (colour or None, bold, dim)] cells, as a terminal of a fixed width keeps them."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column, self.style = columns, [[]], 0, 0, (None, False, False)

    def put(self, character):
        if self.column >= self.columns:
            self.newline()
        line = self.lines[self.row]
        line += [(" ", (None, False, False))] * (self.column + 1 - len(line))
        line[self.column] = (character, self.style)
        self.column += 1

    def newline(self):
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])

    def restyle(self, numbers):
        for n in numbers or [0]:
            colour, bold, dim = self.style
            if n == 0:
                self.style = (None, False, False)
            elif n in (1, 2, 22):
                self.style = (colour, n == 1, n == 2)
            elif 30 <= n <= 37 or 90 <= n <= 97:
                self.style = (n % 10, bold, dim)
            elif n == 39:
                self.style = (None, bold, dim)

    def control(self, sequence):
        numbers = [int(n) for n in re.findall(r"\d+", sequence)]
        if sequence.endswith("m"):
            self.restyle(numbers)
        elif sequence.endswith("K"):
            del self.lines[self.row][0 if numbers == [2] else self.column:]
        elif sequence.endswith("A"):
            self.row = max(0, self.row - (numbers or [1])[0])

    def feed(self, text):
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b.|.", text, re.S):
            if token.startswith("\x1b["):
                self.control(token)
            elif token == "\n":
                self.newline()
            elif token == "\r":
                self.column = 0
            elif token == "\b":
                self.column = max(0, self.column - 1)
            elif token >= " ":
                self.put(token)


def capture(command, columns):
    os.environ.update(COLUMNS=str(columns), LINES="40", TERM="xterm-256color")
    output = bytearray()

    def read(descriptor):
        data = os.read(descriptor, 65536)
        output.extend(data)
        return data

    # Nobody types here: the command's terminal gets one end-of-file, which ends a chat that waits for a question.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    keys = iter([b"\x04"])
    status = pty.spawn(["bash", "-c", f"stty cols {columns} rows 40; {command}"], read, lambda _: next(keys, b""))
    if status:
        sys.exit(f"terminal_svg: {command!r} ended with status {os.waitstatus_to_exitcode(status)}")
    return output.decode(errors="replace")


def draw(lines, columns):
    width, height = columns * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
             f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">',
             '<rect width="100%" height="100%" rx="8" fill="#20242c"/>']
    parts += [f'<circle cx="{MARGIN + 4 + 18 * i}" cy="16" r="5" fill="{COLOURS[1 + 2 * i % 3]}"/>' for i in range(3)]
    for row, line in enumerate(lines):
        start = 0
        while start < len(line):
            end = start
            while end < len(line) and line[end][1] == line[start][1]:
                end += 1
            text = "".join(c for c, _ in line[start:end])
            if text.strip():
                colour, bold, dim = line[start][1]
                fill = COLOURS[colour if colour is not None else 7]
                weight = ' font-weight="bold"' if bold else ' opacity="0.65"' if dim else ""
                parts.append(f'<text x="{MARGIN + start * WIDTH:.1f}" y="{MARGIN + 20 + (row + 0.75) * HEIGHT:.1f}" '
                             f'xml:space="preserve" textLength="{len(text) * WIDTH:.1f}" fill="{fill}"{weight}>'
                             f"{html.escape(text)}</text>")
            start = end
    return "\n".join(parts + ["</svg>"]) + "\n"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--columns", type=int, default=96)
    arguments.add_argument("--rows", type=int, default=32)
    arguments.add_argument("commands", nargs="+")
    options = arguments.parse_args()
    screen = Screen(options.columns)
    for command in options.commands:
        screen.feed(f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m\n" + capture(command, options.columns))
        if screen.column:
            screen.newline()
    while screen.lines and not screen.lines[-1]:
        screen.lines.pop()
    options.out.write_text(draw(screen.lines[-options.rows:], options.columns))


main()
