"""What the `anthropic` client must see. Every function takes (checks, server, model)."""
import concurrent.futures

import anthropic

from server_openai import chat


def message(client, model, messages=None, **fields):
    """Greedy; what the client does not know goes into the body as it is."""
    body = {k: fields.pop(k) for k in ("temperature", "top_p", "top_k", "seed", "min_p", "ignore_eos", "n", "temprature", "context_management",
                                       "request_id") if k in fields}
    return client.messages.create(model=model.name, messages=messages or model.messages, extra_body={"temperature": 0} | body,
                                  **({"max_tokens": model.short} | fields))


def text_of(reply):
    return "".join(block.text for block in reply.content)


def check_messages(checks, server, model):
    client = server.anthropic()
    reply = message(client, model)
    same = chat(server.openai(), model)
    checks.equal(text_of(reply), same.choices[0].message.content, "the text of the chat API")
    checks.equal((reply.usage.input_tokens, reply.usage.output_tokens), (same.usage.prompt_tokens, same.usage.completion_tokens), "usage")
    checks.equal((reply.role, reply.type, reply.model), ("assistant", "message", model.name), "form")
    checks.ok(reply.id.startswith("msg_") and reply._request_id == reply.id, "id")
    checks.equal(text_of(message(client, model, seed=3, temperature=1, top_p=0.9, top_k=20)),
                 chat(server.openai(), model, seed=3, temperature=1, top_p=0.9, top_k=20).choices[0].message.content, "sampling fields")
    blocks = [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in model.messages]
    checks.equal(text_of(message(client, model, blocks)), text_of(reply), "content blocks")
    system = [{"role": "system", "content": "Be brief.\nBe kind."}] + model.messages
    expected = chat(server.openai(), model, system).choices[0].message.content
    for form in ("Be brief.\nBe kind.", [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
                 [{"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=abc;"}, {"type": "text", "text": "Be brief.\nBe kind."}],
                 "x-anthropic-billing-header: cc_version=2;\nBe brief.\nBe kind."):
        checks.equal(text_of(message(client, model, system=form)), expected, f"system {form!r}")
    parts = [{"role": "user", "content": "One."}, {"role": "user", "content": "Two."}]
    checks.equal(text_of(message(client, model, parts)), text_of(message(client, model, [{"role": "user", "content": "One.\nTwo."}])),
                 "turns of one role in a row")


def check_stops(checks, server, model):
    client = server.anthropic()
    text = text_of(message(client, model, ignore_eos=True))
    reply = message(client, model, ignore_eos=True)
    checks.equal((reply.stop_reason, reply.stop_sequence), ("max_tokens", None), "max_tokens")
    ended = chat(server.openai(), model, max_tokens=60)
    reply = message(client, model, max_tokens=60)
    checks.equal(reply.stop_reason, {"stop": "end_turn", "length": "max_tokens"}[ended.choices[0].finish_reason], "the end of a turn")
    stops = [text[begin:begin + 3] for begin in range(0, len(text) - 3)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda stop: message(client, model, ignore_eos=True, stop_sequences=["\x00never", stop]), stops)
        for stop, reply in zip(stops, replies):
            checks.equal((text_of(reply), reply.stop_reason, reply.stop_sequence), (text[:text.find(stop)], "stop_sequence", stop), "stop")
    with client.messages.stream(model=model.name, messages=model.messages, max_tokens=model.short, stop_sequences=[text[5:8]],
                                extra_body={"temperature": 0}) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    checks.equal((streamed, final.stop_reason, final.stop_sequence), (text[:text.find(text[5:8])], "stop_sequence", text[5:8]), "streamed")


def check_stream(checks, server, model):
    client = server.anthropic()
    for fields in ({}, {"temperature": 1, "seed": 3}):
        whole = message(client, model, **fields)
        events = list(message(client, model, stream=True, **fields))
        kinds = [e.type for e in events]
        kinds = [k for i, k in enumerate(kinds) if i == 0 or k != kinds[i - 1]]
        checks.equal([k for k in kinds if k != "ping"],
                     ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"],
                     "events")
        checks.equal(events[0].message.usage.input_tokens, whole.usage.input_tokens, "input_tokens of message_start")
        checks.equal("".join(e.delta.text for e in events if e.type == "content_block_delta"), text_of(whole), "text")
        last = next(e for e in events if e.type == "message_delta")
        checks.equal((last.delta.stop_reason, last.usage.output_tokens), (whole.stop_reason, whole.usage.output_tokens), "message_delta")
    with client.messages.stream(model=model.name, messages=model.messages, max_tokens=model.short, extra_body={"temperature": 0}) as stream:
        final = stream.get_final_message()
    whole = message(client, model)
    checks.equal((text_of(final), final.usage.output_tokens, final.stop_reason),
                 (text_of(whole), whole.usage.output_tokens, whole.stop_reason), "the client's own joining of a stream")


def check_left_out(checks, server, model):
    client = server.anthropic()
    tool = {"name": "look", "description": "x", "input_schema": {"type": "object"}}
    raw = client.messages.with_raw_response.create(
        model=model.name, max_tokens=model.short, metadata={"user_id": "me"}, thinking={"type": "disabled"}, tools=[tool], tool_choice={"type": "auto"},
        messages=[{"role": "user", "content": [{"type": "text", "text": model.messages[0]["content"], "cache_control": {"type": "ephemeral"}}]}],
        extra_body={"temperature": 0, "context_management": {}}, extra_headers={"anthropic-beta": "some-beta"})
    named = set(raw.headers["x-reprise-ignored"].split(", "))
    checks.equal(named, {"metadata", "thinking", "tools", "tool_choice", "cache_control", "context_management", "betas"}, "x-reprise-ignored")
    checks.equal(text_of(raw.parse()), text_of(message(client, model, model.messages[:1])), "the reply without them")
    plain = client.messages.with_raw_response.create(model=model.name, max_tokens=2, messages=model.messages)
    checks.ok("x-reprise-ignored" not in plain.headers, "no header where nothing was left out")
    beta = client.beta.messages.create(model=model.name, max_tokens=2, messages=model.messages, betas=["x-1"])
    checks.equal(beta.type, "message", "the client's beta interface")


def check_count(checks, server, model):
    client = server.anthropic()
    for messages, system in ((model.messages, "Be brief."), (model.messages[:1], [{"type": "text", "text": "x"}])):
        counted = client.messages.count_tokens(model=model.name, messages=messages, system=system).input_tokens
        checks.equal(counted, message(client, model, messages, system=system, max_tokens=1).usage.input_tokens, "count_tokens")
    long = [{"role": "user", "content": "word " * 9000}]
    checks.ok(client.messages.count_tokens(model=model.name, messages=long).input_tokens > 2048, "a conversation that fits nowhere")


def check_errors(checks, server, model):
    client = server.anthropic()
    refused = anthropic.BadRequestError

    def with_content(block):
        return [{"role": "user", "content": [block]}]

    cases = [
        (lambda: message(client, model, with_content({"type": "image", "source": {"type": "url", "url": "x"}})), ["image"]),
        (lambda: message(client, model, with_content({"type": "document", "source": {"type": "text", "data": "x", "media_type": "text/plain"}})), ["document"]),
        (lambda: message(client, model, temprature=1), ["temperature"]), (lambda: message(client, model, n=2), ["n"]),
        (lambda: message(client, model, max_tokens=0), ["max_tokens"]), (lambda: message(client, model, temperature=-1), ["temperature"]),
        (lambda: message(client, model, thinking={"type": "enabled", "budget_tokens": 1024}), ["thinking"]),
        (lambda: message(client, model, [{"role": "user", "content": "word " * 9000}]), ["--max-model-len"]),
        (lambda: message(client, model, [{"role": "user", "content": "word " * 9000}], stream=True), ["--max-model-len"]),
        (lambda: message(client, model, [{"role": "robot", "content": "x"}]), ["robot"]),
        (lambda: message(client, model, stop_sequences=["x"] * 129), ["stop_sequences", "128"]),
        (lambda: message(client, model, [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]), ["messages"]),
    ]
    for call, says in cases:
        checks.raises(refused, call, says, 400, says=says + ["invalid_request_error"])
    checks.raises(anthropic.NotFoundError, lambda: client.messages.create(model="claude", max_tokens=1, messages=model.messages), "model", 404,
                  says=["not_found_error"])
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for body in ({"messages": model.messages, "max_tokens": "x"}, {"max_tokens": 5}, {"messages": [], "max_tokens": 5}):
            status, reply = server.post(path, body)
            checks.equal((status, reply["type"], reply["error"]["type"], sorted(reply)),
                         (400, "error", "invalid_request_error", ["error", "type"]), f"{path} {body}")
    status, reply = server.post("/v1/messages", {"messages": model.messages})
    checks.ok(status == 400 and "max_tokens" in reply["error"]["message"], "max_tokens is missing")
    status, text = server.get("/v1/messages")
    checks.ok(status == 405 and '"type":"error"' in text, "GET of a POST")


CHECKS = [check_messages, check_stops, check_stream, check_left_out, check_count, check_errors]
