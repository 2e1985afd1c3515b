#!/usr/bin/env python3
"""Runs every folder of ../shared/cases against the release and compares with the right value of its README.

  cases_oracle.py [--reprise build/release/reprise] [--shared ../shared] [NAME ...]

NAME: only these cases. Prints a line for each case, then how many are right; exit code 1 unless all are. Without
../shared/cases nothing runs (exit code 0, said). Needs Python's standard library only. `container-page-cache` lays files
over /sys/fs/cgroup in a private mount namespace; where none is allowed it is skipped, and said.
"""
import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SECONDS = 300  # for one command


class Wrong(Exception):
    """What was found instead of the right value."""


class Skipped(Exception):
    """Why this machine can't run the case."""


def expect(found, right, what):
    if found != right:
        raise Wrong(f"{what}: {str(found)[:300]}, expected {str(right)[:300]}")


class Case:
    """One case: its folder, the program, and a temporary folder for patched models."""

    def __init__(self, reprise, shared, folder, scratch):
        self.reprise, self.shared, self.folder, self.scratch = str(reprise), shared, folder, scratch
        self.stories = shared / "models" / "stories260k"

    def run(self, *arguments, ok=True, **options):
        done = subprocess.run([self.reprise, *map(str, arguments)], capture_output=True, timeout=SECONDS, **options)
        if ok and done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            raise Wrong(f"reprise {arguments[0]}: exit code {done.returncode}: {said[-1] if said else '(nothing said)'}")
        return done

    def lines(self, *arguments, **options):
        """The lines of JSON that a command prints."""
        return [json.loads(line) for line in self.run(*arguments, **options).stdout.decode().split("\n") if line]

    def generate(self, model, *arguments, **options):
        return self.lines("generate", "--model", model, "--json", *arguments, **options)

    def tokenize(self, model, requests):
        """Answers of `tokenizer --batch` to requests, in order."""
        file = self.scratch / "batch.jsonl"
        file.write_text("".join(json.dumps(request) + "\n" for request in requests))
        answers = self.lines("tokenizer", "--model", model, "--batch", file, ok=False)
        expect(len(answers), len(requests), "answers of tokenizer --batch")
        for answer in answers:
            if "error" in answer:
                raise Wrong(answer["error"])
        return answers

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def patched(self, name="model", **patches):
        """A copy of stories260k; `config={..}` is put over config.json, `tokenizer_config={..}` likewise."""
        model = self.scratch / name
        shutil.copytree(self.stories, model)
        for file in model.iterdir():
            file.chmod(0o644)
        for file, patch in patches.items():
            path = model / f"{file}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | patch))
        return model


def expect_stops_at_once(answers):
    for answer in answers:
        output = answer["outputs"][0]
        expect((output["finish_reason"], len(output["token_ids"])), ("stop", 1), "finish_reason and tokens")


def container_page_cache(case):
    mib = 1 << 20
    files = {"memory.max": f"{4 << 30}\n", "memory.current": f"{3993 * mib}\n",
             "memory.stat": f"anon {293 * mib}\nfile {3700 * mib}\nactive_file 0\ninactive_file {3700 * mib}\n"}
    root = case.scratch / "cgroup"
    root.mkdir()
    for name, text in files.items():
        (root / name).write_text(text)
    private = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    mount = f"mount --bind '{root}' /sys/fs/cgroup"
    if subprocess.run([*private, "sh", "-c", mount], capture_output=True).returncode != 0:
        raise Skipped("this machine allows no private mounts")
    done = subprocess.run([*private, "sh", "-c", mount + ' && exec "$@"', "sh", case.reprise, "plan", "--model",
                           REPOSITORY / "tools" / "shapes" / "qwen3-0.6b", "--json"],
                          capture_output=True, timeout=SECONDS)
    expect(done.returncode, 0, "exit code of plan")
    plan = json.loads(done.stdout)
    expect(plan["fits"], True, f"plan of {plan['total_bytes'] // 1000000} MB in 4 GiB less 293 MiB: fits")


def eos_of_the_tokenizer(case):
    model = case.patched(config=case.json("config.patch.json"))
    (model / "generation_config.json").unlink()
    expect_stops_at_once(case.generate(model, "--prompts-file", case.folder / "prompts.jsonl"))


def gguf_end_of_turn(case):
    for name, token in case.json("expect.json").items():
        answers = case.generate(case.folder / f"{name}.gguf", "--prompt", "Once", "--temperature", 0, "--max-tokens", 5,
                                "--logit-bias", json.dumps({str(token): 100}))
        try:
            expect_stops_at_once(answers)
        except Wrong as error:
            raise Wrong(f"{name}.gguf: {error}") from None
        expect(answers[0]["outputs"][0]["token_ids"], [token], f"{name}.gguf: tokens")


def gguf_mistral_nemo_vocabulary(case):
    for text, ids in case.json("expect.json"):
        answer = case.tokenize(case.folder / "vocab.gguf", [{"text": text, "add_special_tokens": False}])[0]
        expect(answer["token_ids"], ids, f"ids of {text!r}")


def gguf_template_that_does_not_parse(case):
    answers = case.generate(case.folder / "model.gguf", "--prompt", "Once", "--max-tokens", 2)
    expect(len(answers[0]["outputs"]), 1, "outputs of a plain prompt")


def long_run_of_blanks(case):
    count = 120000  # found by comparing with tokenizers: expect.json has the ids' count and digest only
    texts = {"blanks": " " * count, "tabs then a": "\t" * count + "a", "nbsp": "\u00a0" * count}
    for name, right in case.json("expect.json").items():
        vocabulary, _, text = name.partition("/")
        ids = case.tokenize(case.shared / "data" / "tokenizers" / vocabulary,
                            [{"text": texts[text], "add_special_tokens": False}])[0]["token_ids"]
        digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()
        expect([len(ids), digest], right, f"{name}: ids")


def nan_in_weights(case):
    answers = case.generate(case.folder, "--prompts-file", case.folder / "prompts.jsonl", ok=False)
    expect([answer["index"] for answer in answers], [0, 1, 2], "indices of the lines")
    for answer in answers:
        if "error" in answer and (answer["index"] != 1 or "nan" not in answer["error"].lower()):
            raise Wrong(f"prompt {answer['index']}: {answer['error']}")


def outputs_are_independent(case):
    for name, count in (("unseeded", 24), ("seeded", 12)):
        answers = case.generate(case.stories, "--prompts-file", case.folder / f"{name}.jsonl")
        outputs = {tuple(output["token_ids"]) for answer in answers for output in answer["outputs"]}
        expect(len(outputs), count, f"different outputs of {name}.jsonl")


def long_run(case, prompts):
    """A run of equal prompts, started."""
    file = case.scratch / f"{prompts}.jsonl"
    file.write_text('{"prompt": "Once upon a time", "max_tokens": 200, "ignore_eos": true}\n' * prompts)
    return subprocess.Popen([case.reprise, "generate", "--model", str(case.stories), "--json", "--threads", "1",
                             "--prompts-file", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            # A background job of a shell ignores SIGINT, and so would the program.
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def results_as_they_come(case):
    count = 200
    process = long_run(case, count)
    times = []
    start = time.monotonic()
    for line in process.stdout:
        expect(json.loads(line)["index"], len(times), "index of a line")
        times.append(time.monotonic() - start)
    expect((process.wait(), len(times)), (0, count), "exit code and lines")
    if times[0] > times[-1] / 2:
        raise Wrong(f"the first line came after {times[0]:.2f} s of {times[-1]:.2f}")
    process = long_run(case, 100 * count)  # so long that it can't end before the signal
    first = [process.stdout.readline() for _ in range(10)]
    process.send_signal(signal.SIGINT)
    rest, said = process.stdout.read(), process.stderr.read()  # communicate() would miss what readline() has buffered
    process.wait()
    lines = [json.loads(line) for line in b"".join(first).splitlines() + rest.splitlines()]
    if process.returncode <= 0:
        raise Wrong(f"after Ctrl-C: exit code {process.returncode}")
    if not 10 <= len(lines) < 100 * count or str(len(lines)) not in said.decode():
        raise Wrong(f"after Ctrl-C: {len(lines)} lines; said: {said.decode().strip()}")
    for answer in lines:
        expect(len(answer["outputs"][0]["token_ids"]), 200, "after Ctrl-C: tokens of a finished prompt")


def standard_output_that_fails(case):
    if not os.path.exists("/dev/full"):
        raise Skipped("this machine has no /dev/full")
    model = ["--model", str(case.stories)]
    commands = [["tokenizer", *model, "--encode", "Once"], ["plan", *model], ["check", *model], ["explain", *model],
                ["graph", *model], ["collect-env"], ["generate", *model, "--prompt", "Once", "--max-tokens", "2"]]
    for command in [*commands, *[[*c, "--json"] for c in commands if c[0] not in ("tokenizer", "graph")]]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([case.reprise, *command], stdout=full, stderr=subprocess.PIPE, timeout=SECONDS)
        errors = [line for line in done.stderr.decode().splitlines() if line.startswith("reprise: error:")]
        expect((done.returncode, len(errors)), (1, 1), f"{command[0]}: exit code and lines of error")


def template_arguments_in_generate(case):
    model = case.patched(tokenizer_config=case.json("tokenizer_config.patch.json"))
    file = case.folder / "prompts.jsonl"
    requests = [json.loads(line) for line in file.read_text().splitlines()]
    right = case.tokenize(model, [{name: request[name] for name in ("messages", "tools", "chat_template_kwargs")
                                   if name in request} | {"add_generation_prompt": True} for request in requests])
    answers = case.generate(model, "--prompts-file", file)
    expect([a["prompt_token_ids"] for a in answers], [r["token_ids"] for r in right], "prompt_token_ids")


def template_that_does_not_parse(case):
    model = case.patched(tokenizer_config=case.json("tokenizer_config.patch.json"))
    plain = ["--max-tokens", 2]
    case.generate(model, "--prompt", "Once", *plain)
    case.generate(model, "--prompt-ids", "1,5,6", *plain)
    case.run("tokenizer", "--model", model, "--encode", "Once")
    refused = case.generate(model, "--chat", "--prompt", "Once", *plain, ok=False)
    if "nosuchtag" not in refused[0].get("error", ""):
        raise Wrong(f"a chat answers {refused[0]}, expected an error that names the tag")


def tied_pair_under_other_name(case):
    right = case.json("expect.json")
    answer = case.generate(case.folder, "--dtype", "float32", "--prompt-ids",
                           ",".join(map(str, right["prompt_token_ids"])), "--max-tokens", 1, "--temperature", 0,
                           "--logprobs", len(right["top"]))[0]
    top = answer["outputs"][0]["logprobs"][0]["top"]
    expect([token for token, _ in top], [token for token, _ in right["top"]], "the best tokens")
    for (_, found), (_, expected) in zip(top, right["top"]):
        if abs(found - expected) > 2e-5:
            raise Wrong(f"log-probabilities {top}, expected {right['top']}")


def tokens_beside_tokenizer_json(case):
    for file in sorted(case.folder.glob("*.expect.json")):
        name = file.name.removesuffix(".expect.json")
        patch = case.folder / f"{name}.tokenizer_config.patch.json"
        model = case.patched(name, tokenizer_config=json.loads(patch.read_text()) if patch.exists() else {})
        added = case.folder / f"{name}.added_tokens.json"
        if added.exists():
            shutil.copy(added, model / "added_tokens.json")
        for text, ids in json.loads(file.read_text()):
            expect(case.tokenize(model, [{"text": text}])[0]["token_ids"], ids, f"{name}: ids of {text!r}")


CASES = {function.__name__.replace("_", "-"): function for function in (
    container_page_cache, eos_of_the_tokenizer, gguf_end_of_turn, gguf_mistral_nemo_vocabulary,
    gguf_template_that_does_not_parse, long_run_of_blanks, nan_in_weights, outputs_are_independent, results_as_they_come,
    standard_output_that_fails, template_arguments_in_generate, template_that_does_not_parse, tied_pair_under_other_name,
    tokens_beside_tokenizer_json)}


def outcome(case, name):
    if name not in CASES:
        return "WRONG", "this script has no check for it"
    try:
        CASES[name](case)
    except Skipped as reason:
        return "skipped", str(reason)
    except Wrong as error:
        return "WRONG", str(error)
    except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError) as error:
        return "WRONG", f"{type(error).__name__}: {error}"
    return "right", ""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, default=REPOSITORY / "build" / "release" / "reprise")
    arguments.add_argument("--shared", type=Path, default=REPOSITORY.parent / "shared")
    arguments.add_argument("names", nargs="*", metavar="NAME")
    options = arguments.parse_args()
    root = options.shared.resolve() / "cases"
    if not root.is_dir():
        print(f"cases: skipped: {root} does not exist")
        return 0
    names = options.names or sorted(folder.name for folder in root.iterdir() if folder.is_dir())
    right, skipped = 0, []
    for name in names:
        with tempfile.TemporaryDirectory() as scratch:
            case = Case(options.reprise.resolve(), options.shared.resolve(), root / name, Path(scratch))
            how, why = outcome(case, name)
        right += how == "right"
        if how == "skipped":
            skipped.append(name)
        print(f"{how:8} {name}{': ' if why else ''}{why}", flush=True)
    print(f"{right} of {len(names)} right" + (f", skipped: {', '.join(skipped)}" if skipped else ""))
    return 0 if right + len(skipped) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
