"""What the `openai` client must see of /v1/responses. Every function takes (checks, server, model)."""
import concurrent.futures
import json
import urllib.request

import openai
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server_openai import chat

EVENT = TypeAdapter(ResponseStreamEvent)
LOGPROBS = "message.output_text.logprobs"
ORDER = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
         "response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done"]
# What the Codex command line sends with `wire_api = "responses"`.
CODEX = {
    "instructions": "You are a coding agent.\nBe brief.",
    "tools": [{"type": "function", "name": "shell", "description": "Runs a command", "strict": False,
               "parameters": {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}, "required": ["command"]}},
              {"type": "web_search", "external_web_access": False}, {"type": "custom", "name": "apply_patch", "description": "x"}],
    "tool_choice": "auto", "parallel_tool_calls": False, "reasoning": {"effort": "medium", "summary": "auto"}, "store": False, "stream": True,
    "include": ["reasoning.encrypted_content"], "prompt_cache_key": "0198f7b1", "service_tier": "auto", "text": {"verbosity": "low"},
    "input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>none</permissions>"}]},
              {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "<environment_context>x</environment_context>"}]},
              {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tell me a story."}]}],
}


def respond(client, model, given=None, **fields):
    """Greedy; what the client does not know goes into the body as it is."""
    extra = {k: fields.pop(k) for k in list(fields) if k in ("seed", "min_p", "top_k", "ignore_eos", "stop", "n", "temprature", "messages",
                                                             "request_id", "max_tokens", "min_tokens")}
    return client.responses.create(model=model.name, input=model.messages if given is None else given, extra_body=extra,
                                   **({"temperature": 0, "max_output_tokens": model.short} | fields))


def valid(checks, response):
    """As the client's own types have it, which it does not check by itself."""
    try:
        Response.model_validate(response.to_dict())
        checks.ok(True, "types")
    except ValueError as error:
        checks.ok(False, f"types of a response: {error}")
    return response


def plain(response):
    """Without what differs from one reply to the next."""
    body = json.loads(json.dumps(response.to_dict()))
    for name in ("id", "created_at"):
        del body[name]
    for item in body["output"]:
        del item["id"]
    return body


def check_responses(checks, server, model):
    client = server.openai()
    reply = valid(checks, respond(client, model))
    same = chat(client, model)
    checks.equal(reply.output_text, same.choices[0].message.content, "the text of the chat API")
    usage = reply.usage
    checks.equal((usage.input_tokens, usage.output_tokens, usage.total_tokens),
                 (same.usage.prompt_tokens, same.usage.completion_tokens, same.usage.total_tokens), "usage")
    checks.equal((usage.input_tokens_details.cached_tokens >= 0, usage.output_tokens_details.reasoning_tokens), (True, 0), "usage's details")
    checks.equal((reply.object, reply.model, reply.error, len(reply.output), reply.output[0].role), ("response", model.name, None, 1, "assistant"), "form")
    checks.ok(reply.id.startswith("resp_") and reply.output[0].id.startswith("msg_"), "ids")
    question = model.messages[-1]["content"]
    expected = respond(client, model, question).output_text
    for items in ([{"role": "user", "content": question}], [{"type": "message", "role": "user", "content": question}],
                  [{"role": "user", "content": [{"type": "input_text", "text": question}]}]):
        checks.equal(respond(client, model, items).output_text, expected, f"input {items}")
    system = [{"role": "system", "content": "Be brief.\nBe kind."}] + model.messages
    expected = chat(client, model, system).choices[0].message.content
    for items, instructions in ((model.messages, "Be brief.\nBe kind."), (system, None), ([system[0] | {"role": "developer"}] + model.messages, ""),
                                ([{"role": "developer", "content": "Be kind."}] + model.messages, "Be brief.")):
        checks.equal(respond(client, model, items, instructions=instructions).output_text, expected, f"instructions {instructions!r}, {items}")
    sampled = {"temperature": 0.9, "seed": 3, "top_p": 0.9, "top_k": 20, "min_p": 0.01}
    checks.equal(respond(client, model, **sampled).output_text, chat(client, model, **sampled).choices[0].message.content, "sampling fields")
    # A reply comes back as history, with all its fields.
    talk = [{"role": "user", "content": question}] + [item.to_dict() for item in reply.output] + [{"role": "user", "content": "Go on."}]
    expected = chat(client, model, [{"role": "user", "content": question}, {"role": "assistant", "content": reply.output_text},
                                    {"role": "user", "content": "Go on."}])
    again = client.responses.with_raw_response.create(model=model.name, input=talk, max_output_tokens=model.short, temperature=0)
    checks.equal(again.parse().output_text, expected.choices[0].message.content, "a reply as history")
    checks.ok("x-reprise-ignored" not in again.headers, "nothing of it is left out")
    named = respond(client, model, metadata={"a": "b"}, request_id="mine-1", user="me", store=False, truncation="disabled",
                    text={"format": {"type": "text"}}, prompt_cache_key="k", safety_identifier="s", service_tier="auto")
    checks.equal((named.id, named.metadata, named.store, named.output_text), ("resp_mine-1", {"a": "b"}, False, reply.output_text), "taken fields")
    checks.equal((named.temperature, named.max_output_tokens, respond(client, model, temperature=0.7, top_p=0.35).top_p), (0, model.short, 0.35), "repeated")


def check_status(checks, server, model):
    client = server.openai()
    reply = valid(checks, respond(client, model, ignore_eos=True))
    checks.equal((reply.status, reply.incomplete_details.reason, reply.output[0].status), ("incomplete", "max_output_tokens", "incomplete"), "cut off")
    text = reply.output_text
    ended = respond(client, model, ignore_eos=True, stop=[text[5:8]])
    checks.equal((ended.status, ended.incomplete_details, ended.output[0].status, ended.output_text),
                 ("completed", None, "completed", text[:text.find(text[5:8])]), "a stop string")
    places = [text[begin:begin + 3] for begin in range(len(text) - 3)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for stop, got in zip(places, pool.map(lambda stop: respond(client, model, ignore_eos=True, stop=["\x00never", stop]), places)):
            checks.equal(got.output_text, text[:text.find(stop)], f"stop {stop!r}")


def check_stream(checks, server, model):
    client = server.openai()
    for fields in ({}, {"ignore_eos": True}, {"temperature": 1, "seed": 3}, {"include": [LOGPROBS], "top_logprobs": 3}, {"stop": "e"},
                   {"metadata": {"a": "b"}, "instructions": "Be brief."}):
        whole = respond(client, model, **fields)
        events = list(respond(client, model, stream=True, **fields))
        for event in events:
            try:
                EVENT.validate_python(event.to_dict())
                checks.ok(True, "types")
            except ValueError as error:
                checks.ok(False, f"types of {event.type}: {error}")
        checks.equal([e.sequence_number for e in events], list(range(len(events))), "sequence_number")
        kinds = [e.type for i, e in enumerate(events) if i == 0 or e.type != events[i - 1].type]
        wanted = [k for k in ORDER if k != "response.output_text.delta" or whole.output_text != ""]
        checks.equal(kinds, wanted + [f"response.{whole.status}"], f"{fields}: events")
        deltas = [e for e in events if e.type == "response.output_text.delta"]
        part = whole.output[0].content[0]
        checks.equal("".join(e.delta for e in deltas), part.text, f"{fields}: text")
        checks.equal([t.to_dict() for e in deltas for t in e.logprobs], [t.to_dict() for t in part.logprobs], f"{fields}: logprobs")
        last = events[-1].response
        checks.equal(plain(last), plain(whole), f"{fields}: the last event")
        checks.equal(events[-2].item.to_dict(), last.output[0].to_dict(), "the item when it is done")
        checks.equal(events[-3].part.to_dict(), last.output[0].content[0].to_dict(), "the part when it is done")
        checks.equal({e.item_id for e in deltas} - {last.output[0].id}, set(), "item_id")
        checks.equal((events[0].response.status, events[0].response.output, events[0].response.id), ("in_progress", [], last.id), "the first event")
    said = respond(client, model).output_text
    with client.responses.stream(model=model.name, input=model.messages, temperature=0, max_output_tokens=model.short, extra_body={"stop": said[9:12]}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    checks.equal(final.output_text, said[:said.find(said[9:12])], "the client's own joining of a stream")


def check_logprobs(checks, server, model):
    client = server.openai()
    for top in (0, 1, 5):
        part = respond(client, model, include=[LOGPROBS], top_logprobs=top).output[0].content[0]
        content = chat(client, model, logprobs=True, top_logprobs=top).choices[0].logprobs.content
        checks.equal([t.to_dict() for t in part.logprobs], [t.to_dict() for t in content], f"those of the chat API, {top}")
    checks.equal(respond(client, model).output[0].content[0].logprobs, [], "none unless asked for")
    checks.equal(respond(client, model, top_logprobs=0).output[0].content[0].logprobs, [], "none by top_logprobs 0 alone")


def check_codex(checks, server, model):
    """The body as it is sent, and the events that it waits for."""
    body = CODEX | {"model": model.name, "max_output_tokens": model.short}
    request = urllib.request.Request(server.url + "/v1/responses", json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Accept": "text/event-stream", "Authorization": f"Bearer {server.key}",
                                      "OpenAI-Beta": "responses=experimental", "originator": "codex_cli_rs", "session_id": "0198f7b1"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        left_out = set(reply.headers["x-reprise-ignored"].split(", "))
        events = [json.loads(line[6:]) for line in reply.read().decode().splitlines() if line.startswith("data: ")]
    checks.equal(left_out, {"tools", "tool_choice", "parallel_tool_calls", "reasoning", "include.reasoning.encrypted_content", "text.verbosity"}, "left out")
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    last = events[-1]
    checks.ok(last["type"] in ("response.completed", "response.incomplete") and last["response"]["usage"]["total_tokens"] > 0, last)
    checks.equal([item["content"][0]["text"] for item in done], ["".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")], "text")
    # The next turn, with what it got.
    turn = [{"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "gAAAA"}, done[0],
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]}]
    status, reply = server.post("/v1/responses", body | {"stream": False, "input": body["input"] + turn})
    checks.equal((status, reply.get("object")), (200, "response"), f"the next turn: {reply}")


def check_count(checks, server, model):
    client = server.openai()
    for items, instructions in (("Hello.", None), (model.messages, "Be brief.")):
        counted = client.responses.input_tokens.count(model=model.name, input=items, instructions=instructions)
        checks.equal((counted.object, counted.input_tokens),
                     ("response.input_tokens", respond(client, model, items, instructions=instructions, max_output_tokens=1).usage.input_tokens), "count")
    checks.ok(client.responses.input_tokens.count(model=model.name, input="word " * 9000).input_tokens > 2048, "a text that fits nowhere")


def check_errors(checks, server, model):
    client = server.openai()
    cases = [
        ({"previous_response_id": "resp_1"}, "previous_response_id", ["keeps none"]), ({"conversation": "conv_1"}, "conversation", ["keeps none"]),
        ({"background": True}, "background", []), ({"prompt": {"id": "pmpt_1"}}, "prompt", []), ({"temperature": -1}, "temperature", ["-1"]),
        ({"text": {"format": {"type": "json_object"}}}, "text.format", ["json_object"]), ({"max_output_tokens": 0}, "max_output_tokens", ["0"]),
        ({"top_logprobs": 3}, "top_logprobs", [LOGPROBS]), ({"top_logprobs": 21, "include": [LOGPROBS]}, "top_logprobs", ["20"]),
        ({"temprature": 1}, "temprature", ["temperature"]), ({"n": 2}, "n", []), ({"max_tokens": 2}, "max_tokens", []), ({"messages": []}, "messages", []),
        ({"truncation": "middle"}, "truncation", ["auto"]), ({"metadata": {"a": "x" * 513}}, "metadata", ["512"]), ({"min_tokens": 99}, "min_tokens", []),
    ]
    for stream in (False, True):
        for fields, param, says in cases:
            checks.raises(openai.BadRequestError, lambda f=fields: respond(client, model, stream=stream, **f), fields, 400, param, says=says)
        for items, says in (([], []), ([{"role": "robot", "content": "x"}], ["robot"]), ([{"type": "item_reference", "id": "msg_1"}], ["item_reference"]),
                            ([{"type": "function_call_output", "call_id": "c", "output": "x"}], ["function_call_output"]),
                            ([{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}], ["input_image"]),
                            ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], ["user"])):
            checks.raises(openai.BadRequestError, lambda i=items: respond(client, model, i, stream=stream), items, 400, "input", says=says)
        checks.raises(openai.BadRequestError, lambda: respond(client, model, "word " * 9000, stream=stream), "too long", 400, "input", "context_length_exceeded")
        checks.raises(openai.NotFoundError, lambda: client.responses.create(model="gpt-5", input="x", stream=stream), "model", 404, "model", "model_not_found")
    checks.raises(openai.NotFoundError, lambda: client.responses.retrieve("resp_1"), "nothing is kept", 404)
    status, reply = server.post("/v1/responses", {"model": model.name})
    checks.equal((status, reply["error"]["param"]), (400, "input"), "no input")


CHECKS = [check_responses, check_status, check_stream, check_logprobs, check_codex, check_count, check_errors]
