#!/usr/bin/env python3
"""Measures what the worst foreign input costs that the limits let through, and writes the table of docs/limits.md.

usage: limits_table.py [--reprise build/release/reprise] [--shared ../shared] [--only PATTERN] [--write]

Each row sends two inputs to the program: one above a limit, which must be refused in words that name the limit, and the
largest that passes. Cost is processor time (user and system, of all threads) and peak memory, less those of the same
command with a harmless input, so that the load of the model does not count. Exit 1 where an input costs more than
1 CPU-second or 500 MB, where one that should be refused passes, or where one that should pass is refused.
--write puts the table between the markers in docs/limits.md."""

import argparse
import dataclasses
import json
import os
import re
import resource
import struct
import sys
import tempfile
from typing import Callable, Optional

CPU_SECONDS = 1.0
BYTES = 500e6
GIVE_UP_CPU_S = 20  # the input is ended here: it has failed long before
MB = 1_000_000  # of a request
TINY = "models/tiny"


@dataclasses.dataclass
class Cost:
    cpu_s: float
    rss: int
    code: int
    out: str
    killed: bool
    refused: bool


class Launcher:
    """Starts the programs. It is forked before the inputs are made: a child's peak memory counts what its parent had at
    the fork, so the parent has to stay small."""

    def __init__(self, work: str):
        self.out_path = os.path.join(work, "out")
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        if os.fork() == 0:
            os.close(self.to_write)
            with os.fdopen(to_read) as commands:
                for line in commands:
                    os.write(from_write, (json.dumps(self.run(json.loads(line))) + "\n").encode())
            os._exit(0)
        os.close(to_read)
        self.answers = os.fdopen(self.from_read)

    def run(self, command: list) -> list:
        pid = os.fork()
        if pid == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (GIVE_UP_CPU_S, GIVE_UP_CPU_S + 1))
            out = os.open(self.out_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                os.execv(command[0], command)
            finally:
                os._exit(127)
        _, status, usage = os.wait4(pid, 0)
        return [status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]

    def measure(self, command: list) -> Cost:
        os.write(self.to_write, (json.dumps(command) + "\n").encode())
        status, cpu_s, rss = json.loads(self.answers.readline())
        with open(self.out_path, "rb") as out:
            text = out.read(20_000).decode("utf-8", "replace")
            if os.path.getsize(self.out_path) > 40_000:
                out.seek(-20_000, os.SEEK_END)
                text += out.read().decode("utf-8", "replace")
        killed = os.WIFSIGNALED(status)
        # `reprise tokenizer --batch` answers a bad line with an error and goes on.
        refused = not killed and (os.WEXITSTATUS(status) != 0 or '{"error":' in text)
        return Cost(cpu_s, rss, -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status), text, killed, refused)


class Inputs:
    """Writes inputs to files and makes the command lines that read them."""

    def __init__(self, reprise: str, work: str):
        self.reprise, self.work, self.count = reprise, work, 0

    def file(self, content, suffix: str) -> str:
        self.count += 1
        path = os.path.join(self.work, f"input{self.count}{suffix}")
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    def generate(self, line) -> list:
        """A line of a prompts file; the model is the one in the repository."""
        text = line if isinstance(line, (str, bytes)) else json.dumps(line, ensure_ascii=False)
        return [self.reprise, "generate", "--model", TINY, "--prompts-file", self.file(text, ".jsonl"), "--json",
                "--threads", "1", "--max-tokens", "1"]

    def batch(self, line, model: str = TINY) -> list:
        text = line if isinstance(line, (str, bytes)) else json.dumps(line, ensure_ascii=False)
        return [self.reprise, "tokenizer", "--model", model, "--batch", self.file(text, ".jsonl")]

    def template(self, source: str, **fields) -> list:
        line = {"messages": [{"role": "user", "content": "hi"}], **fields}
        return [*self.batch(line)[:-1], self.file(json.dumps(line), ".jsonl"), "--chat-template",
                self.file(source, ".jinja")]

    def plan(self, path: str) -> list:
        return [self.reprise, "plan", "--model", path, "--memory", "4GiB"]

    def folder(self, **files) -> str:
        """A model's folder: that of the repository, with these files (None: absent) in place of its own."""
        self.count += 1
        path = os.path.join(self.work, f"model{self.count}")
        os.mkdir(path)
        for name in os.listdir(TINY):
            if name not in files and name != "README.md":
                os.symlink(os.path.abspath(os.path.join(TINY, name)), os.path.join(path, name))
        for name, content in files.items():
            if content is not None:
                with open(os.path.join(path, name), "wb") as out:
                    out.write(content if isinstance(content, bytes) else content.encode())
        return path


@dataclasses.dataclass
class Row:
    group: str
    what: str
    protects: str
    # The command for an input of this size; the size means what the row says (elements, bytes).
    make: Callable[[int], list]
    # Sizes: one that must be refused (0: everything up to 1 MB passes), the largest that passes (0: read from the
    # refusal's "at most N"; -1: none passes, the row is about the refusal), and a harmless one.
    above: int
    largest: int = 0
    harmless: int = 1
    unit: str = ""
    # How an error may name the limit.
    limit: str = r"(?:at most|more than(?: the)?|limit(?: is| of)?|larger than|deeper than|expected \d+ to|from \d+ to) ([\d,]+)"
    share: float = 1.0  # of the limit, for the input that passes: the rest is what surrounds it
    expect_error: bool = False  # the largest input passes the limit, and ends in an error of another kind


def rows(inputs: Inputs, shared: str) -> list:
    generate, batch, template, plan = inputs.generate, inputs.batch, inputs.template, inputs.plan
    prompt = {"prompt": "Once", "max_tokens": 1, "temperature": 0}
    field = lambda **fields: generate({**prompt, **fields})
    table = [
        # Sampling fields. 1 MB holds so many of each.
        Row("fields", "`n`", "sequences", lambda k: field(n=k), 20_000_000),
        Row("fields", "`bad_words`", "encoding each word twice", lambda k: field(bad_words=[f"w{i}" for i in range(k)]), 20_000),
        Row("fields", "length of a bad word", "encoding it", lambda k: field(bad_words=["a" * k]), 900_000, unit="bytes"),
        Row("fields", "`bad_words_token_ids`", "a search in each step", lambda k: field(bad_words_token_ids=[[i % 1500, 1] for i in range(k)]), 80_000),
        Row("fields", "length of a list in `bad_words_token_ids`", "a search in each step", lambda k: field(bad_words_token_ids=[[5] * k]), 300_000),
        Row("fields", "`stop`", "a search in each piece of text", lambda k: field(stop=[f"w{i}" for i in range(k)]), 20_000),
        Row("fields", "length of a stop string", "text that is held back", lambda k: field(stop=["a" * k]), 900_000, unit="bytes"),
        Row("fields", "`stop_token_ids`", "a search in each step", lambda k: field(stop_token_ids=[i % 1500 for i in range(k)]), 150_000),
        Row("fields", "`logit_bias`", "work in each step", lambda k: field(logit_bias={str(i): 1 for i in range(k)}), 80_000),
        Row("fields", "`logprobs`", "work and memory a token", lambda k: field(logprobs=k), 1_000_000),
        Row("fields", "`prompt_logprobs`", "work and memory a token", lambda k: field(prompt_logprobs=k), 1_000_000),
        Row("fields", "`max_tokens`", "positions", lambda k: field(max_tokens=k), 0, largest=2_000_000_000),
        Row("fields", "token ids of a prompt", "positions", lambda k: generate({"prompt_token_ids": [5] * k, "max_tokens": 1}), 300_000, largest=500),
        Row("fields", "text of a prompt, bytes", "encoding what cannot run", lambda k: generate({"prompt": "a " * (k // 2), "max_tokens": 1}), MB, largest=900, unit="bytes"),
        Row("fields", "roles and parts of `messages`", "memory of the conversation", lambda k: generate({"messages": [{"role": "user", "content": "x"}] * k, "max_tokens": 1}), 0, largest=MB // 35, expect_error=True),
        # JSON.
        Row("json", "keys of an object", "look-ups", lambda k: batch("{" + ",".join(f'"k{i}":1' for i in range(k)) + "}"), 0, largest=90_000, unit="keys", expect_error=True),
        Row("json", "keys of `chat_template_kwargs`", "look-ups", lambda k: batch({"messages": [], "chat_template_kwargs": {f"k{i}": 1 for i in range(k)}}), 0, largest=80_000, unit="keys", expect_error=True),
        Row("json", "equal keys of an object", "look-ups", lambda k: batch("{" + ",".join(['"k":1'] * k) + "}"), 0, largest=150_000, expect_error=True),
        Row("json", "nesting", "the stack", lambda k: batch('{"text":' + "[" * k + "]" * k + "}"), 400_000, unit="levels", expect_error=True),
        Row("json", "numbers in a list", "memory", lambda k: batch('{"token_ids":[' + ",".join(["5"] * k) + "]}"), 0, largest=MB // 2),
        Row("json", "empty lists in a list", "memory", lambda k: batch('{"text":[' + ",".join(["[]"] * k) + "]}"), 0, largest=MB // 3, expect_error=True),
        Row("json", "escapes in a string", "time", lambda k: batch('{"text":"' + "\\u00e9" * k + '"}'), 0, largest=MB // 6),
    ]
    # Templates: data of up to 1 MB, a short source that loops over it.
    text = "ab " * (MB // 3)
    loop = lambda body: "{% for i in range(99999) %}{% for j in range(99999) %}" + body + "{% endfor %}{% endfor %}"
    bodies = {
        "`strip`": "{% set x = s.strip() %}",
        "`removeprefix`": "{% set x = s.removeprefix('a') %}",
        "`%`": "{% set x = '%s' % s %}",
        "`tojson`": "{% set x = s|tojson %}",
        "`replace`": "{% set x = s|replace('a', 'b') %}",
        "`split`": "{% set x = s.split() %}",
        "`upper`": "{% set x = s|upper %}",
        "slices": "{% set x = s[::-1] %}",
        "`in`": "{% set x = 'zzz' in s %}",
        "`==`": "{% set x = s == t %}",
        "`+`": "{% set x = s + t %}",
        "`length`": "{% set x = s|length %}",
        "`indent`": "{% set x = s|indent(4) %}",
        "`title`": "{% set x = s|title %}",
        "`join`": "{% set x = l|join(',') %}",
        "`sort`": "{% set x = l|sort %}",
        "output": "{{ s }}",
        "nothing": "",
    }
    for name, body in bodies.items():
        data = {"s": text, "t": text[:-1] + "c"} if "l|" not in body else {"l": list(range(150_000))}
        if "t" in data and "t" not in body.split("{%")[-1].replace("set", ""):
            del data["t"]
        table.append(Row("templates", f"a loop of {name} over 1 MB", "time and memory of a render",
                         lambda k, body=body, data=data: template(loop(body) if k > 1 else "x", chat_template_kwargs=data),
                         0, largest=2, unit="steps, bytes and time", expect_error=True))
    table += [
        Row("templates", "names times iterations", "time of a render",
            lambda k: template("".join(f"{{% set v{i} = 1 %}}" for i in range(k)) + "{% for i in range(99999) %}{% for j in [1] %}{% set y = j %}{% endfor %}{% endfor %}"), 0, largest=40_000, unit="steps, bytes and time", expect_error=True),
        Row("templates", "keyword arguments of a call", "duplicate check", lambda k: template("{{ dict(" + ",".join(f"a{i}=1" for i in range(k)) + ") }}"), 0, largest=110_000),
        Row("templates", "elements of a list literal", "parsing", lambda k: template("{% set x = [" + ",".join("1" for i in range(k)) + "] %}"), 0, largest=400_000),
        Row("templates", "keys of a dict literal", "look-ups", lambda k: template("{% set x = {" + ",".join(f"'k{i}':1" for i in range(k)) + "} %}"), 0, largest=80_000),
        Row("templates", "parentheses", "the stack", lambda k: template("{{ " + "(" * k + "1" + ")" * k + " }}"), 100_000, share=0.4),
        Row("templates", "recursion of a macro", "the stack", lambda k: template("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(" + str(k) + ") }}"), 1_000_000, share=0.2),
        Row("templates", "source, bytes", "parsing", lambda k: template("x" * k), 3 * MB, largest=MB, unit="bytes"),
        Row("templates", "tags in a source of 1 MB", "parsing", lambda k: template("{{1}}" * k), 0, largest=MB // 5),
    ]
    # Texts for each vocabulary.
    texts = {"spaces": " ", "the letter a": "a", "random letters": None, "CJK": "\u4f60", "emoji": "\U0001F600",
             "line feeds": "\n", "digits": "7", "combining marks": "a\u0301\u0323", "special tokens": "<s>", "invalid UTF-8": None}
    folder = os.path.join(shared, "data", "tokenizers")
    vocabularies = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for model in [TINY, *(os.path.join(folder, name) for name in vocabularies)]:
        for name, piece in texts.items():
            def make(k, model=model, piece=piece, name=name):
                if name == "random letters":
                    state, letters = 1, []
                    for _ in range(k):
                        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
                        letters.append(chr(97 + (state >> 33) % 26))
                    return batch({"text": "".join(letters)}, model)
                if name == "invalid UTF-8":
                    return [inputs.reprise, "tokenizer", "--model", model, "--count", inputs.file(b"\xff" * k, ".txt")]
                return batch({"text": piece * max(1, k // len(piece.encode()))}, model)
            table.append(Row("tokenizers", f"1 MB of {name}, {os.path.basename(model)}", "time of encoding", make, 0, largest=MB))
    table.append(Row("tokenizers", "1 MB of token ids to text", "time of decoding", lambda k: batch({"token_ids": [300 + i % 1000 for i in range(k)]}), 0, largest=MB // 5))

    # Files. They may be larger than a request, and cost in proportion.
    def gguf(tensors: int, keys: int, size: int = 0) -> str:
        path = inputs.file(b"GGUF" + struct.pack("<IQQ", 3, tensors, keys), ".gguf")
        if size:
            os.truncate(path, size)  # sparse: the disk holds nothing of it
        return path
    def safetensors(header: bytes) -> str:
        return inputs.folder(**{"model.safetensors": struct.pack("<Q", len(header)) + header})
    names = lambda k: ("{" + ",".join(f'"t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(k)) + "}").encode()
    vocabulary = lambda k: json.dumps({"model": {"type": "BPE", "vocab": {f"t{i}": i for i in range(k)}, "merges": []}})
    run = lambda path: [inputs.reprise, "generate", "--model", path, "--prompt-ids", "5", "--max-tokens", "1", "--threads", "1"]
    table += [
        Row("files", "GGUF: count of tensors", "memory before they are read", lambda k: plan(gguf(k, 0) if k > 1 else TINY), 1 << 40, largest=-1, limit="(tensors)"),
        Row("files", "GGUF: count of tensors, a sparse file of 64 GB", "memory before they are read", lambda k: plan(gguf(k, 0, 64 << 30) if k > 1 else TINY), 1 << 30, largest=-1, limit="(tensors)"),
        Row("files", "GGUF: count of keys, a sparse file of 64 GB", "memory before they are read", lambda k: plan(gguf(0, k, 64 << 30) if k > 1 else TINY), 1 << 30, largest=-1, limit="(key|metadata|empty)"),
        Row("files", "safetensors: bytes of the header", "memory", lambda k: run(safetensors(b"{" + b" " * (k - 2) + b"}") if k > 2 else TINY), 200 * MB, largest=-1, harmless=1, limit="(header)"),
        Row("files", "safetensors: tensors of a header of 1 MB", "look-ups", lambda k: run(safetensors(names(k)) if k > 2 else TINY), 0, largest=16_000, expect_error=True),
        Row("files", "config.json of 1 MB of keys", "look-ups", lambda k: plan(inputs.folder(**{"config.json": "{" + ",".join(f'"k{i}":1' for i in range(k)) + "}"}) if k > 1 else TINY), 0, largest=90_000, expect_error=True),
        Row("files", "tokenizer.json: tokens, 1 MB", "look-ups", lambda k: batch({"text": "x"}, inputs.folder(**{"tokenizer.json": vocabulary(k)}) if k > 1 else TINY), 0, largest=70_000, expect_error=True),
        Row("files", "generation_config.json of nested lists", "the stack", lambda k: run(inputs.folder(**{"generation_config.json": "[" * k + "]" * k}) if k > 1 else TINY), 0, largest=400_000),
        Row("files", "bytes of a line of a prompts file", "memory", lambda k: generate('{"prompt":"Once","max_tokens":1' + " " * k + "}"), 0, largest=MB),
        Row("files", "lines of a prompts file", "memory of results", lambda k: generate('{"prompt_token_ids":[5],"max_tokens":1}\n' * k), 0, largest=2_000),
    ]
    return table


def problem_of(row: Row, refused: Optional[Cost], passed: Optional[Cost], limit: Optional[int]) -> list:
    problems = []
    for what, cost in (("refused", refused), ("passing", passed)):
        if cost is None:
            continue
        if cost.killed:
            problems.append(f"the {what} input was ended by signal {-cost.code}")
        elif cost.cpu_s > CPU_SECONDS:
            problems.append(f"the {what} input takes {cost.cpu_s:.2f} CPU-s")
        if cost.rss > BYTES:
            problems.append(f"the {what} input takes {cost.rss / 1e6:.0f} MB")
    if refused is not None and not refused.refused and not refused.killed:
        problems.append("no limit")
    elif refused is not None and not refused.killed and limit is None:
        problems.append(f"the refusal names no limit: {refused.out.strip()[-200:]}")
    if passed is not None and passed.refused and not row.expect_error and passed is not refused:
        problems.append(f"what should pass is refused: {passed.out.strip()[-200:]}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reprise", default="build/release/reprise")
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("--only", default="", help="rows whose group or name match this regular expression")
    parser.add_argument("--verbose", action="store_true", help="print what the program said")
    parser.add_argument("--write", action="store_true", help="put the table into docs/limits.md")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    reprise = os.path.abspath(options.reprise)
    failures, lines, group = 0, [], ""
    with tempfile.TemporaryDirectory() as work:
        launcher, inputs = Launcher(work), Inputs(reprise, work)
        for row in rows(inputs, options.shared):
            if not re.search(options.only, f"{row.group} {row.what}"):
                continue
            base = launcher.measure(row.make(row.harmless))

            def beside(cost: Cost) -> Cost:
                return dataclasses.replace(cost, cpu_s=max(0.0, cost.cpu_s - base.cpu_s), rss=max(0, cost.rss - base.rss))

            refused = passed = limit = None
            size = row.largest
            if row.above:
                refused = beside(launcher.measure(row.make(row.above)))
                named = re.search(row.limit, refused.out) if refused.refused else None
                if named is not None and row.largest == 0:
                    size = int(int(named.group(1).replace(",", "")) * row.share)
                limit = named.group(1) if named else None
                # What is not refused passes; its cost is that of the passing input.
                if not refused.refused and not refused.killed:
                    passed = refused
                    size = row.above
            if passed is None and size > 0:
                passed = beside(launcher.measure(row.make(size)))
            problems = problem_of(row, refused, passed, limit)
            failures += bool(problems)
            if row.group != group:
                group = row.group
                lines += ["", f"### {group.capitalize()}", "", "| input | limit | protects | largest that passes | refused |", "|---|---|---|---|---|"]
            cost_text = lambda cost: "" if cost is None else f"{cost.cpu_s:.2f} CPU-s, {cost.rss / 1e6:.0f} MB"
            shown = "none" if row.above and passed is refused else ((row.unit if "time" in row.unit else "by size") if not row.above else f"{limit} {row.unit}".strip() if limit else "not named")
            tried = f"{row.above:,}" if row.above and row.largest >= 0 else ""
            lines.append(f"| {row.what} | {shown} | {row.protects} | {cost_text(passed)} | "
                         f"{tried + ': ' if tried and refused is not passed else ''}{cost_text(refused) if refused is not passed else ''} |")
            print(f"{'ok  ' if not problems else 'FAIL'} {row.group}: {row.what}: limit {shown}; passes {cost_text(passed)}; "
                  f"refused {cost_text(refused) if refused is not passed else '-'}", flush=True)
            for problem in problems:
                print(f"       {problem}", flush=True)
            if options.verbose:
                for cost in (refused, passed):
                    print("       | " + (cost.out.strip()[-300:] if cost else "-"))
            for name in os.listdir(work):  # the disk need not hold all inputs at once
                path = os.path.join(work, name)
                if os.path.isfile(path):
                    os.unlink(path)
    print(f"limits: {failures} rows fail")
    if options.write:
        path = "docs/limits.md"
        with open(path, encoding="utf-8") as page:
            before, rest = page.read().split("<!-- table -->\n")
            after = rest.split("<!-- end of table -->\n")[1]
        with open(path, "w", encoding="utf-8") as page:
            page.write(before + "<!-- table -->\n" + "\n".join(lines[1:]) + "\n<!-- end of table -->\n" + after)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
