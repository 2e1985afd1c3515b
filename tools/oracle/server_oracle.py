"""`reprise serve` as the clients of OpenAI and Anthropic see it, with the tiny trained model in the shared data and with
SmolLM2-135M-Instruct where its file is at hand.

  openai, responses, anthropic  every endpoint and field by the real clients (server_openai.py, server_responses.py,
                     server_anthropic.py)
  doors              keys, --max-concurrency
  bits               20 probes alone, among 64 requests and after a restart: text and log-probabilities are equal, and equal
                     to those of `reprise generate`
  openapi            Schemathesis makes requests of /openapi.json: no 5xx, no reply that it does not name
  metrics            what prometheus_client reads from /metrics is what the client counted

usage: server_oracle.py --reprise PATH --shared DIR
"""
import argparse
import concurrent.futures
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import cache_dir, finish, run_reprise, say

import anthropic
import openai
from prometheus_client.parser import text_string_to_metric_families

import server_anthropic
import server_openai
import server_responses
from server_openai import chat, complete, join
from server_process import Checks, Server
from smollm_oracle import FILE

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}Once{% endif %}"
PROBES = 20


class Model:
    """A model to serve, and what `reprise generate` says about it."""

    def __init__(self, binary, name, path, prompts, messages, eos, short, *flags):
        self.binary, self.name, self.path, self.prompts, self.messages = binary, name, path, prompts, messages
        self.eos, self.flags = eos, flags
        self.short = short  # tokens, where many requests are made

    def serve(self, *more, **options):
        return Server(self.binary, self.path, "--served-model-name", self.name, "--served-model-name", "alias", *self.flags, *more, **options)

    def generate(self, requests, *flags):
        return run_reprise(self.binary, self.path, requests, *flags)

    def prompt_logprobs(self, prompt):
        answer = self.generate([{"prompt": prompt, "max_tokens": 0}], "--prompt-logprobs", 1)[0]
        return [entry["logprob"] for entry in answer["prompt_logprobs"][1:]]


def probes(model):
    """Greedy and seeded ones in turn, of the API's fields."""
    requests = []
    for i in range(PROBES):
        request = {"prompt": model.prompts[i % len(model.prompts)] + " and" * (i // len(model.prompts)), "max_tokens": 8 + i, "logprobs": 5}
        request |= {"temperature": 0} if i % 2 == 0 else {"temperature": 0.7 + i / 20, "seed": i, "top_p": 0.95}
        requests.append(request)
    return requests


def ask(client, model, request, stream):
    fields = {k: v for k, v in request.items() if k != "prompt"}
    reply = complete(client, model, request["prompt"], return_token_ids=True, stream=stream, **fields)
    if stream:
        part = join(reply)[0][0]
        return part["text"], part["ids"], part["logprobs"]
    choice = reply.choices[0]
    return choice.text, choice.model_extra["completion_token_ids"], server_openai.logprobs_of(choice)


def check_bits(checks, model):
    requests = probes(model)
    with model.serve() as server:
        client = server.openai()
        alone = [ask(client, model, r, stream=i % 3 == 0) for i, r in enumerate(requests)]
        noise = [{"prompt": model.prompts[i % len(model.prompts)] * (1 + i % 5), "max_tokens": 5 + i, "temperature": 1} for i in range(64 - PROBES)]
        mixed = [r for pair in zip(requests, noise) for r in pair] + noise[PROBES:]
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            answers = list(pool.map(lambda item: ask(client, model, item[1], stream=item[0] % 5 == 0), enumerate(mixed)))
        for i, answer in enumerate(alone):
            checks.equal(answers[2 * i], answer, f"probe {i} among 64")
    with model.serve() as server:
        client = server.openai()
        for i, request in reversed(list(enumerate(requests))):
            checks.equal(ask(client, model, request, stream=i % 3 == 1), alone[i], f"probe {i} after a restart")
    for i, (answer, offline) in enumerate(zip(alone, model.generate(requests))):
        output = offline["outputs"][0]
        checks.equal((answer[0], answer[1]), (output["text"], output["token_ids"]), f"probe {i}: generate's text and ids")
        checks.equal([v for _, v, _ in answer[2]], [t["logprob"] for t in output["logprobs"]], f"probe {i}: generate's log-probabilities")


def check_doors(checks, model):
    with model.serve("--api-key", "one", "--api-key", "two", "--max-concurrency", "1", key="two") as server:
        for key in ("one", "two"):
            checks.equal(complete(server.openai(key), model, "x", max_tokens=1).object, "text_completion", f"key {key}")
            checks.equal(server.anthropic(key).messages.create(model=model.name, max_tokens=1, messages=model.messages).type, "message", key)
        stranger = server.openai("three")
        checks.raises(openai.AuthenticationError, lambda: complete(stranger, model, "x"), "a wrong key", 401, code="invalid_api_key")
        checks.raises(openai.AuthenticationError, lambda: stranger.models.list(), "a wrong key", 401)
        checks.raises(anthropic.AuthenticationError, lambda: server.anthropic("three").messages.create(
            model=model.name, max_tokens=1, messages=model.messages), "a wrong key", 401, says=["authentication_error"])
        server.key = "three"
        checks.equal([server.get(path)[0] for path in ("/health", "/ping", "/metrics", "/load")], [200, 200, 401, 401], "open doors")
        server.key = "two"
        client = server.openai()
        for _ in range(50):
            complete(client, model, "x", max_tokens=1)  # one after the other there is always a place
        stream = complete(client, model, model.prompts[0], max_tokens=400, ignore_eos=True, n=128, stream=True)
        next(iter(stream))
        checks.raises(openai.RateLimitError, lambda: complete(client, model, "x"), "a second request", 429)
        checks.raises(anthropic.RateLimitError, lambda: server.anthropic().messages.create(
            model=model.name, max_tokens=1, messages=model.messages), "a second request", 429, says=["rate_limit_error"])
        stream.close()
        for _ in range(100):  # its client is gone, so its place is free soon
            time.sleep(0.02)
            try:
                checks.equal(complete(client, model, "x", max_tokens=1).object, "text_completion", "served again")
                break
            except openai.RateLimitError:
                pass
        else:
            checks.ok(False, "the place of a client that went away was not free within 2 s")


def check_metrics(checks, model):
    with model.serve() as server:
        client, ended, prompt_tokens, output_tokens = server.openai(), [], 0, 0
        replies = [complete(client, model, model.prompts[i % 3], n=1 + i % 2, max_tokens=3 + i, seed=i, temperature=1) for i in range(12)]
        replies += [chat(client, model, max_tokens=5) for _ in range(5)]
        for reply in replies:
            prompt_tokens += reply.usage.prompt_tokens
            output_tokens += reply.usage.completion_tokens
            ended.append(reply.choices[0].finish_reason)
        for _ in range(3):
            *_, last = complete(client, model, model.prompts[0], stream=True, stream_options={"include_usage": True})
            prompt_tokens += last.usage.prompt_tokens
            output_tokens += last.usage.completion_tokens
        checks.raises(openai.BadRequestError, lambda: complete(client, model, "x", temperature=-1), "a bad request")
        status, text = server.get("/metrics")
        checks.equal(status, 200, "status")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = {s.name: s.value for family in families.values() for s in family.samples if not s.labels}
        for family in families.values():
            checks.ok(family.documentation and family.type in ("counter", "gauge", "histogram") and family.name.startswith("reprise:"),
                      f"{family.name}: {family.type}, {family.documentation!r}")
        checks.equal(families["reprise:requests_number"].samples[0].value, 21, "requests_number")
        checks.equal(samples["reprise:request_success_total"], 20, "request_success_total")
        checks.equal(samples["reprise:prompt_tokens_total"], prompt_tokens, "prompt_tokens_total")
        checks.equal(samples["reprise:generation_tokens_total"], output_tokens, "generation_tokens_total")
        checks.equal(samples["reprise:num_requests_running"] + samples["reprise:num_requests_waiting"], 0, "nothing runs")
        checks.equal(samples["reprise:free_gpu_block_num"], samples["reprise:max_gpu_block_num"], "all blocks are free")
        for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds", "request_prompt_tokens",
                     "request_generation_tokens", "request_inference_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds"):
            family = families[f"reprise:{name}"]
            count = samples[f"reprise:{name}_count"]
            buckets = [s.value for s in family.samples if s.name.endswith("_bucket")]
            checks.ok(count in (20, 21) and buckets == sorted(buckets) and buckets[-1] == count, f"{name}: {count}, {buckets}")
        checks.equal(samples["reprise:request_prompt_tokens_sum"], prompt_tokens, "request_prompt_tokens_sum")
        checks.equal(samples["reprise:request_generation_tokens_sum"], output_tokens, "request_generation_tokens_sum")


def check_openapi(checks, model):
    with model.serve() as server, tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", server.url + "/openapi.json", "--seed", "1", "--max-examples", "20", "--no-color",
             # With these, all that comes after would wait.
             "--exclude-path", "/v1/pause", "--exclude-path", "/v1/sleep", "--checks",
             "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method"],
            capture_output=True, text=True, cwd=place)
        cases = re.search(r"(\d+) generated", done.stdout)
        checks.ok(done.returncode == 0 and cases is not None and int(cases[1]) > 1000, f"exit code {done.returncode}: {done.stdout[-3000:]} {done.stderr[-1000:]}")
        checks.equal(json.loads(server.get("/load")[1]), {"num_requests_running": 0, "num_requests_waiting": 0}, "nothing runs afterwards")


def check_model(checks, model):
    began = time.monotonic()
    with model.serve() as server:
        for family, module in (("openai", server_openai), ("responses", server_responses), ("anthropic", server_anthropic)):
            for check in module.CHECKS:
                checks.run(f"{model.name} {family} {check.__name__}", check, server, model)
    for check in (check_doors, check_bits, check_metrics):
        checks.run(f"{model.name} {check.__name__}", check, model)
    say(f"{model.name}: {checks.count} checks so far, {time.monotonic() - began:.0f} s")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, required=True)
    arguments.add_argument("--shared", type=Path, required=True)
    options = arguments.parse_args()
    checks = Checks()
    messages = [{"role": "user", "content": "Tell me a story."}]
    stories = options.shared / "models" / "stories260k"
    if stories.is_dir():
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as template:
            template.write(TEMPLATE)
            template.flush()
            prompts = ["Once upon a time", "Lily and Tom went to the park", "The little dog was", "One day, a big bear"]
            tiny = Model(options.reprise, "stories", stories, prompts, messages, 2, 24, "--chat-template", template.name)
            check_model(checks, tiny)
            checks.run("stories check_openapi", check_openapi, tiny)
    else:
        say(f"stories: skipped, {options.shared} has no models/stories260k")
    smollm = cache_dir() / "models" / FILE
    if smollm.exists():
        prompts = ["The capital of France is", "Once upon a time, in a village by the sea,", "Water boils at", "def add(a, b):\n"]
        check_model(checks, Model(options.reprise, "smollm", smollm, prompts, messages, 2, 12))
    else:
        say("smollm: skipped, its file is not in the cache (./run oracle smollm fetches it)")
    finish("server", checks.failures, f"{checks.count} checks")


if __name__ == "__main__":
    main()
