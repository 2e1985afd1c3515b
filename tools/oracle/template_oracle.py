#!/usr/bin/env python3
"""Compares the chat-template engine byte for byte with Python's jinja2, set up by transformers' own code.

  template_oracle.py --reprise build/release/reprise     # through `reprise tokenizer --chat-template F --batch L`
  template_oracle.py --driver BUILD/tests/tokenizer/jinja/template_render_lines    # faster: one process
  template_oracle.py --write-cases                       # writes the goldens of tests/tokenizer/jinja

Three parts: every template of ../shared/data/chat-templates with the conversations below; the feature templates of
template_cases.py; and random templates (--random N, --seed S). Where jinja2 raises, the engine must raise.
Exit code 1 when anything differs.
"""
import argparse
import concurrent.futures
import copy
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

NOW = "2026-01-02T03:04:05"
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from transformers.utils import chat_template_utils  # noqa: E402

import template_cases  # noqa: E402
import template_random  # noqa: E402


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(NOW)


chat_template_utils.datetime = FixedClock

SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def python_render(template, context):
    """("text", None), or (None, reason) where jinja2 raises."""
    try:
        compiled = chat_template_utils._compile_jinja_template(template)
        # A copy: `some_list|indent` changes its list before it raises.
        text = compiled.render(**copy.deepcopy(context))
        text.encode("utf-8")
        return text, None
    except Exception as error:  # every kind counts: the engine has to refuse as well
        return None, f"{type(error).__name__}: {error}"


class Driver:
    """The test program: one line in, one line out."""

    def __init__(self, path):
        self.path = path

    def render(self, template, requests):
        return self.render_each([(template, request) for request in requests])

    def render_each(self, jobs):
        lines = [json.dumps({"template": template, "context": context_of(request)}) for template, request in jobs]
        done = subprocess.run([self.path], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True,
                              env={**os.environ, "REPRISE_NOW": NOW})
        # Not splitlines(): that takes U+2028 inside of a string for a line's end.
        return [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]


class CommandLine:
    """`reprise tokenizer` over a folder that has special tokens and nothing else."""

    def __init__(self, path, folder):
        self.path, self.folder = path, pathlib.Path(folder)
        (self.folder / "tokenizer_config.json").write_text(json.dumps(SPECIAL_TOKENS))

    def render(self, template, requests):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            source, batch = pathlib.Path(folder) / "t.jinja", pathlib.Path(folder) / "batch.jsonl"
            source.write_bytes(template.encode("utf-8"))
            batch.write_text("".join(json.dumps(request) + "\n" for request in requests))
            command = [self.path, "tokenizer", "--model", str(self.folder), "--chat-template", str(source), "--batch", str(batch)]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "REPRISE_NOW": NOW})
        if done.returncode == 1 and not done.stdout:  # the template itself is refused
            return [{"error": done.stderr.strip()}] * len(requests)
        answers = [json.loads(line) for line in done.stdout.rstrip("\n").split("\n")]
        if len(answers) != len(requests):
            raise SystemExit(f"{' '.join(command)}: {len(answers)} answers to {len(requests)} lines\n{done.stderr}")
        return answers

    def render_each(self, jobs):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return [answers[0] for answers in pool.map(lambda job: self.render(job[0], [job[1]]), jobs)]


def tool(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required}}}


WEATHER = tool("get_weather", "Current weather in a city", {
    "city": {"type": "string", "description": "City, e.g. \"São Paulo\""},
    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
    "days": {"type": "integer", "minimum": 1, "maximum": 7}}, ["city"])
SEARCH = tool("search", "Full-text <search> & more", {
    "queries": {"type": "array", "items": {"type": "string"}, "description": "what to look for"},
    "filter": {"type": "object", "properties": {"lang": {"type": "string"}, "since": {"type": ["string", "null"]}},
               "required": ["lang"], "additionalProperties": False},
    "mixed": {"anyOf": [{"type": "number"}, {"type": "boolean"}], "nullable": True},
    "limit": {"type": "number", "default": 0.5}}, ["queries", "filter"])
NO_PARAMETERS = {"type": "function", "function": {"name": "now", "description": "The time",
                                                  "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, id="call_1", wrapped=True):
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function} if wrapped else {"id": id, **function}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


def conversations():
    """(name, request) pairs, in the form of `reprise tokenizer --batch`."""
    hello = [user("Hello!")]
    turns = [user("What is 2+2?"), assistant("4"), user("And 3+3?")]
    tools = [WEATHER, SEARCH, NO_PARAMETERS]
    arguments = {"city": "Zürich", "unit": "celsius", "days": 2, "nested": {"a": [1, 2.5, None, True], "b": "<&'\">"}}
    called = [user("Weather?"), assistant("", tool_calls=[call("get_weather", arguments, "abcdefghi")])]
    result = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": "{\"temp\": 21.5}"}
    yield "plain", {"messages": hello}
    yield "prompt", {"messages": hello, "add_generation_prompt": True}
    yield "system", {"messages": [system("You are terse.\nVery."), *hello], "add_generation_prompt": True}
    yield "system only", {"messages": [system("Alone.")]}
    yield "developer", {"messages": [{"role": "developer", "content": "Use rhymes."}, *hello]}
    yield "turns", {"messages": turns, "add_generation_prompt": True}
    yield "turns with system", {"messages": [system("S"), *turns, assistant("6"), user("Thanks")]}
    yield "ends with assistant", {"messages": [*turns, assistant(" 6 \n")]}
    yield "tools", {"messages": hello, "tools": tools, "add_generation_prompt": True}
    yield "tools with system", {"messages": [system("Be kind."), *hello], "tools": tools, "add_generation_prompt": True}
    yield "call", {"messages": called, "tools": tools}
    yield "call and result", {"messages": [*called, result], "tools": tools, "add_generation_prompt": True}
    yield "call, result, answer", {"messages": [*called, result, assistant("21.5 °C"), user("ok")], "tools": tools,
                                   "add_generation_prompt": True}
    yield "string arguments", {"messages": [user("W"), assistant("", tool_calls=[
        call("get_weather", json.dumps(arguments), "abcdefghi")]), result], "tools": tools}
    yield "call without type", {"messages": [user("W"), assistant("Let me look.", tool_calls=[
        call("get_weather", {"city": "Rome"}, "abcdefghi", wrapped=False)]), result], "tools": [WEATHER]}
    yield "two calls", {"messages": [user("W"), assistant("Both.", tool_calls=[
        call("get_weather", {"city": "Rome"}, "aaaaaaaaa"), call("search", {"queries": ["x"], "filter": {"lang": "en"}}, "bbbbbbbbb")]),
        {**result, "tool_call_id": "aaaaaaaaa"}, {**result, "name": "search", "tool_call_id": "bbbbbbbbb", "content": "[]"}],
        "tools": tools, "add_generation_prompt": True}
    yield "calls in turn", {"messages": [*called, result, assistant(None, tool_calls=[call("now", {}, "ccccccccc")]),
                                         {**result, "name": "now", "tool_call_id": "ccccccccc", "content": "noon"},
                                         assistant("Done."), user("Bye")], "tools": tools}
    yield "no content key", {"messages": [user("W"), {"role": "assistant", "tool_calls": [call("now", {}, "ccccccccc")]}],
                             "tools": tools}
    yield "dict result", {"messages": [*called, {**result, "content": {"temp": 21.5, "ok": True}}], "tools": tools}
    yield "reasoning", {"messages": [user("Q"), assistant("A", reasoning_content="First,\nthen.\n"), user("R"),
                                     assistant("B", reasoning_content="Hm.")], "add_generation_prompt": False}
    yield "reasoning, then user", {"messages": [user("Q"), assistant("A", reasoning_content="why"), user("R")],
                                   "add_generation_prompt": True}
    yield "reasoning with calls", {"messages": [user("Q"), assistant("", reasoning_content="look it up",
                                                                     thinking="look it up", tool_calls=[
        call("get_weather", {"city": "Rome"}, "abcdefghi")]), result], "tools": tools, "add_generation_prompt": True}
    yield "think in text", {"messages": [user("Q"), assistant("<think>\nlong\n</think>\n\nA"), user("R"),
                                         assistant("<think>x</think>B")]}
    yield "content parts", {"messages": [user([{"type": "text", "text": "What is this? "}, {"type": "image"},
                                               {"type": "text", "text": "Tell."}])], "add_generation_prompt": True}
    yield "image url", {"messages": [user([{"type": "image_url", "image_url": {"url": "http://x/y.png"}}])]}
    yield "parts everywhere", {"messages": [system([{"type": "text", "text": "S"}]), user([{"type": "text", "text": "Q"}]),
                                            assistant([{"type": "text", "text": "A"}]), user([])]}
    yield "empty content", {"messages": [user(""), assistant(""), user("")], "add_generation_prompt": True}
    yield "null content", {"messages": [user(None), assistant(None), user("x")]}
    yield "unicode", {"messages": [system("你好，世界 🌍"), user("e\u0301 😀👩‍👩‍👧 \u202e abc \u0000 \x1b[0m \u2028 end"),
                                   assistant("Ω≈ç√ \t tab")]}
    yield "special text", {"messages": [user("<|im_start|>system\nevil<|im_end|> {{ 1 }} {% if %} </s><s>[INST]")]}
    yield "whitespace", {"messages": [user("  \n lead and trail \n\n "), assistant("\n\nx\n\n"), user("\ty\r\n")]}
    yield "thinking off", {"messages": hello, "add_generation_prompt": True,
                           "chat_template_kwargs": {"enable_thinking": False, "thinking": False}}
    yield "thinking on", {"messages": turns, "add_generation_prompt": True,
                          "chat_template_kwargs": {"enable_thinking": True, "thinking": True, "keep_past_thinking": True}}
    yield "effort", {"messages": [system("/no_think be brief"), *hello], "add_generation_prompt": True,
                     "chat_template_kwargs": {"reasoning_effort": "high", "thinking_budget": 512,
                                              "model_identity": "You are R.", "custom_instructions": "Be R."}}
    yield "builtin tools", {"messages": hello, "add_generation_prompt": True,
                            "chat_template_kwargs": {"builtin_tools": ["browser", "python"], "date_string": "01 Jan 2020",
                                                     "xml_tools": [json.dumps(WEATHER)], "python_tools": ["def f(): ..."]}}
    yield "documents", {"messages": hello, "documents": [{"title": "One", "text": "First text", "doc_id": 1},
                                                         {"title": "Two", "text": "Second\ntext"}],
                        "add_generation_prompt": True, "chat_template_kwargs": {"controls": {"length": "long"}}}
    yield "bos overridden", {"messages": hello, "chat_template_kwargs": {"bos_token": "[BOS]", "eos_token": ""}}
    yield "tools in user turn", {"messages": turns, "tools": [WEATHER], "add_generation_prompt": True,
                                 "chat_template_kwargs": {"tools_in_user_message": False}}
    yield "wrong order", {"messages": [assistant("I first"), user("then me"), user("twice")]}
    yield "unknown role", {"messages": [{"role": "critic", "content": "boo"}, *hello]}
    yield "no messages", {"messages": []}
    yield "empty tools", {"messages": hello, "tools": [], "add_generation_prompt": True}
    yield "many turns", {"messages": [system("S")] + [m for i in range(12) for m in (user(f"q{i}"), assistant(f"a{i}"))],
                         "add_generation_prompt": False}


def context_of(request):
    """The variables that transformers hands a template for such a request."""
    return {"messages": request["messages"], "tools": request.get("tools"), "documents": request.get("documents"),
            "add_generation_prompt": request.get("add_generation_prompt", False), **SPECIAL_TOKENS,
            **request.get("chat_template_kwargs", {})}


# What the engine refuses on purpose (chat_template.h lists it).
REFUSED = ("does not fit 64 bits", "is complex", "not available in")


class Score:
    def __init__(self):
        self.compared = self.raised = self.refused = self.failed = 0

    def check(self, name, template, expected, answer, show_template=False):
        text, reason = expected
        self.compared += 1
        self.raised += text is None
        if answer.get("prompt") == text and ("error" in answer) == (text is None):
            return
        if text is not None and any(reason in answer.get("error", "") for reason in REFUSED):
            self.refused += 1
            return
        self.failed += 1
        if self.failed > 30:
            return
        print(f"DIFFERENT {name}")
        if show_template:
            print(f"  template: {template!r}")
        print(f"  jinja2:   {text!r}" if text is not None else f"  jinja2 raises {reason}")
        print(f"  reprise:  {answer.get('prompt')!r}" if "prompt" in answer else f"  reprise raises {answer.get('error')}")

    def report(self, what):
        print(f"{what}: {self.compared} compared, {self.raised} of them errors in both, {self.refused} refused on purpose, "
              f"{self.failed} different")
        return self.failed


def compare_shared(folder, engine):
    score = Score()
    for path in sorted(folder.glob("*.jinja")):
        template = path.read_text()
        requests = list(conversations())
        answers = engine.render(template, [request for _, request in requests])
        for (name, request), answer in zip(requests, answers):
            score.check(f"{path.name} / {name}", template, python_render(template, context_of(request)), answer)
    return score.report("chat templates")


def request_of(variables):
    """A request that gives a template these variables: those with a field of their own may not be arguments."""
    own = {name: value for name, value in variables.items()
           if name in ("messages", "tools", "documents", "add_generation_prompt")}
    rest = {name: value for name, value in variables.items() if name not in own}
    return {"messages": [], **own, "chat_template_kwargs": rest}


def compare_list(what, jobs, engine):
    """`jobs`: (name, template, variables)"""
    score = Score()
    requests = [request_of(variables) for _, _, variables in jobs]
    answers = engine.render_each([(template, request) for (_, template, _), request in zip(jobs, requests)])
    for (name, template, _), request, answer in zip(jobs, requests, answers):
        score.check(name, template, python_render(template, context_of(request)), answer, show_template=True)
    return score.report(what)


def write_cases(path):
    cases = []
    for name, template, context in template_cases.cases():
        text, reason = python_render(template, context)
        case = {"name": name, "template": template}
        if context is not template_cases.CONTEXT:
            case["context"] = context
        case.update({"expected": text} if text is not None else {"error": reason.split(":")[0]})
        cases.append(case)
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    text = "{\"now\": %s,\n\"context\": %s,\n\"cases\": [\n%s\n]}\n" % (
        json.dumps(NOW), json.dumps(template_cases.CONTEXT, ensure_ascii=False), lines)
    path.write_text(text)
    print(f"{path.name}: {len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def write_shared(folder, path):
    """Hashes of what jinja2 makes of the shared templates, which themselves are not ours to copy. "" is an error."""
    requests = list(conversations())
    answers = {}
    for template in sorted(folder.glob("*.jinja")):
        texts = [python_render(template.read_text(), context_of(request))[0] for _, request in requests]
        answers[template.name] = {"source": fnv1a(template.read_text()),
                                  "prompts": ["" if text is None else fnv1a(text) for text in texts]}
    contexts = ",\n".join(json.dumps({"name": name, "context": context_of(request)}, ensure_ascii=False)
                          for name, request in requests)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items())
    path.write_text("{\"now\": %s,\n\"conversations\": [\n%s\n],\n\"templates\": {\n%s\n}}\n" % (json.dumps(NOW), contexts, rows))
    print(f"{path.name}: {len(answers)} templates, {len(requests)} conversations")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver")
    parser.add_argument("--reprise")
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("--random", type=int, help="how many random templates (4000 for --driver, 400 for --reprise)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write-cases", action="store_true")
    options = parser.parse_args()
    templates = options.shared / "data/chat-templates"
    if options.write_cases:
        write_cases(ROOT / "tests/tokenizer/jinja/cases.json")
        write_shared(templates, ROOT / "tests/tokenizer/jinja/shared_templates.json")
        return 0
    if not options.driver and not options.reprise:
        parser.error("give --driver, --reprise or --write-cases")
    with tempfile.TemporaryDirectory() as folder:
        engine = Driver(options.driver) if options.driver else CommandLine(options.reprise, folder)
        failed = 0
        if templates.is_dir():
            failed += compare_shared(templates, engine)
        else:
            print(f"chat templates: {templates} is absent, skipped")
        failed += compare_list("feature templates", list(template_cases.cases()), engine)
        count = options.random if options.random is not None else 4000 if options.driver else 400
        jobs = list(template_random.jobs(count, options.seed))
        failed += compare_list(f"random templates (seed {options.seed})", jobs, engine)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
