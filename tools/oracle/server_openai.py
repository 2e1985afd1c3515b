"""What the `openai` client must see. Every function takes (checks, server, model): `model` says which prompts suit it."""
import concurrent.futures
import itertools

import openai

from common import np


def complete(client, model, prompt, **fields):
    """Greedy, as many tokens as suit the model, unless `fields` say otherwise; what the client does not know goes into the body as it is."""
    known = {"temperature", "top_p", "max_tokens", "n", "best_of", "echo", "logprobs", "stop", "seed", "stream", "stream_options",
             "logit_bias", "presence_penalty", "frequency_penalty", "user"}
    own = {"temperature": 0, "max_tokens": model.short} | {k: v for k, v in fields.items() if k in known}
    return client.completions.create(model=model.name, prompt=prompt, **own,
                                     extra_body={k: v for k, v in fields.items() if k not in known})


def chat(client, model, messages=None, **fields):
    known = {"temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "logprobs", "top_logprobs", "stop", "seed",
             "stream", "stream_options", "logit_bias", "metadata", "store", "user", "service_tier"}
    own = {"temperature": 0, "max_tokens": model.short} | {k: v for k, v in fields.items() if k in known}
    if "max_completion_tokens" in own:
        del own["max_tokens"]
    return client.chat.completions.create(model=model.name, messages=messages or model.messages, **own,
                                          extra_body={k: v for k, v in fields.items() if k not in known})


def join(chunks):
    """What a stream adds up to, by choice: (text, reason, logprobs, ids), and the chunks."""
    chunks, parts = list(chunks), {}
    for chunk in chunks:
        for choice in chunk.choices:
            part = parts.setdefault(choice.index, {"text": "", "reason": None, "logprobs": [], "ids": []})
            part["text"] += choice.text if hasattr(choice, "text") else choice.delta.content or ""
            part["ids"] += (choice.model_extra or {}).get("completion_token_ids") or []
            if choice.logprobs is not None:
                part["logprobs"] += logprobs_of(choice)
            if choice.finish_reason is not None:
                part["reason"] = choice.finish_reason
    return parts, chunks


def logprobs_of(choice):
    """[(token, logprob, [(token, logprob) best first])] of either form."""
    logprobs = choice.logprobs
    if logprobs is None:
        return []
    if hasattr(logprobs, "content"):
        return [(t.token, t.logprob, [(o.token, o.logprob) for o in t.top_logprobs]) for t in logprobs.content]
    return [(token, value, sorted((top or {}).items(), key=lambda item: -item[1]))
            for token, value, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs)]


def text_of(choice):
    return choice.text if hasattr(choice, "text") else choice.message.content


def check_models(checks, server, model):
    client = server.openai()
    listed = client.models.list()
    checks.equal([m.id for m in listed.data], [model.name, "alias"], "models.list")
    checks.equal(client.models.retrieve("alias").id, "alias", "models.retrieve")
    checks.raises(openai.NotFoundError, lambda: client.models.retrieve("gpt-4"), "models.retrieve", 404, code="model_not_found")
    checks.equal(complete(client, model, model.prompts[0]).model, model.name, "model of a reply")
    named = client.completions.create(model="alias", prompt=model.prompts[0], max_tokens=1)
    checks.equal(named.model, "alias", "model of a reply by another name")


def check_stream_is_whole(checks, server, model):
    client = server.openai()
    settings = [{}, {"temperature": 0.9, "seed": 7}, {"temperature": 1.2, "seed": 8, "n": 3, "top_p": 0.9},
                {"temperature": 0.8, "seed": 9, "logprobs": 5}, {"return_token_ids": True, "temperature": 0.7, "seed": 1, "n": 2},
                {"echo": True, "logprobs": 2, "n": 2, "seed": 3, "temperature": 1}, {"echo": True}, {"max_tokens": 1}]
    for fields, prompt in itertools.product(settings, model.prompts[:2]):
        whole = complete(client, model, prompt, **fields)
        parts, chunks = join(complete(client, model, prompt, stream=True, **fields))
        checks.equal(sorted(parts), [c.index for c in whole.choices], f"{fields}: choices")
        for choice in whole.choices:
            part = parts[choice.index]
            checks.equal(part["text"], choice.text, f"{fields}: text")
            checks.equal(part["reason"], choice.finish_reason, f"{fields}: finish_reason")
            checks.equal(part["logprobs"], logprobs_of(choice), f"{fields}: logprobs")
            checks.equal(part["ids"], (choice.model_extra or {}).get("completion_token_ids") or [], f"{fields}: ids")
        checks.equal({c.id for c in chunks} - {chunks[0].id}, set(), "one id")
        checks.equal({c.object for c in chunks}, {"text_completion"}, "object")
        checks.equal({c.system_fingerprint for c in chunks}, {whole.system_fingerprint}, "system_fingerprint")
    for fields in [{}, {"temperature": 1, "seed": 5, "n": 2}, {"logprobs": True, "top_logprobs": 4}, {"logprobs": True},
                   {"max_completion_tokens": 3}, {"return_token_ids": True}]:
        whole = chat(client, model, **fields)
        parts, chunks = join(chat(client, model, stream=True, **fields))
        for choice in whole.choices:
            checks.equal(choice.message.role, "assistant", "role")
            part = parts[choice.index]
            checks.equal(part["text"], choice.message.content, f"chat {fields}: text")
            checks.equal(part["reason"], choice.finish_reason, f"chat {fields}: finish_reason")
            checks.equal(part["logprobs"], logprobs_of(choice), f"chat {fields}: logprobs")
            checks.equal(part["ids"], (choice.model_extra or {}).get("completion_token_ids") or [], f"chat {fields}: ids")
        checks.equal(chunks[0].choices[0].delta.role, "assistant", "role of the first chunk")
        checks.equal({c.object for c in chunks}, {"chat.completion.chunk"}, "object")


def check_usage(checks, server, model):
    client = server.openai()
    for call in (lambda **f: complete(client, model, model.prompts[0], **f), lambda **f: chat(client, model, **f)):
        whole = call().usage
        checks.equal(whole.total_tokens, whole.prompt_tokens + whole.completion_tokens, "total_tokens")
        chunks = list(call(stream=True))
        checks.ok(all(c.usage is None and c.choices for c in chunks), "no usage unless asked for")
        chunks = list(call(stream=True, stream_options={"include_usage": True}))
        checks.equal(chunks[-1].choices, [], "choices of the last chunk")
        checks.equal(chunks[-1].usage, whole, "usage of the last chunk")
        checks.ok(all(c.usage is None for c in chunks[:-1]), "usage is null before")
        chunks = list(call(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}))
        counts = [c.usage.completion_tokens for c in chunks]
        checks.equal(counts, sorted(counts), "usage of each chunk grows")
        checks.equal(counts[0], 1, "usage of the first chunk")
        checks.equal(chunks[-1].usage, whole, "usage of the last chunk")
    two = complete(client, model, model.prompts[:2], n=2, temperature=1, seed=1, return_token_ids=True)
    ids = [c.model_extra["completion_token_ids"] for c in two.choices]
    checks.equal(two.usage.completion_tokens, sum(map(len, ids)), "usage of all outputs")


def check_several(checks, server, model):
    """n, lists of prompts, best_of, ids."""
    client = server.openai()
    prompts = model.prompts[:3]
    alone = [complete(client, model, p, n=2, temperature=1, seed=5).choices for p in prompts]
    together = complete(client, model, prompts, n=2, temperature=1, seed=5).choices
    checks.equal([c.index for c in together], list(range(6)), "indices")
    checks.equal([c.text for c in together], [c.text for choices in alone for c in choices], "a list of prompts")
    checks.ok(together[0].text != together[1].text, "outputs of one prompt differ")
    ids = [server.post("/tokenize", {"prompt": p})[1]["tokens"] for p in prompts]
    by_ids = complete(client, model, ids, n=2, temperature=1, seed=5).choices
    checks.equal([c.text for c in by_ids], [c.text for c in together], "a list of lists of ids")
    one = complete(client, model, ids[0], return_token_ids=True).choices[0]
    checks.equal(one.text, complete(client, model, prompts[0]).choices[0].text, "a list of ids")
    checks.equal(one.model_extra["prompt_token_ids"], ids[0], "prompt_token_ids")
    checks.equal(server.post("/detokenize", {"tokens": one.model_extra["completion_token_ids"]})[1]["prompt"].strip(),
                 one.text.strip(), "completion_token_ids")
    status, body = server.post("/v1/completions", {"prompt_token_ids": ids[0], "max_tokens": model.short, "temperature": 0})
    checks.equal((status, body["choices"][0]["text"]), (200, one.text), "prompt_token_ids in place of a prompt")
    every = complete(client, model, prompts[0], n=4, temperature=1, seed=2, logprobs=0).choices
    best = complete(client, model, prompts[0], n=1, best_of=4, temperature=1, seed=2)
    mean = [np.mean(c.logprobs.token_logprobs) for c in every]
    checks.equal([c.text for c in best.choices], [every[int(np.argmax(mean))].text], "best_of")
    checks.equal(best.choices[0].index, 0, "best_of: index")
    checks.ok(best.choices[0].logprobs is None, "best_of brings no logprobs that nobody asked for")
    rank = [every[i].text for i in np.argsort(-np.array(mean))[:2]]
    checks.equal([c.text for c in complete(client, model, prompts[0], n=2, best_of=4, temperature=1, seed=2).choices], rank,
                 "best_of 4, n 2")


def check_echo(checks, server, model):
    """As evaluation harnesses call it: sums of the prompt's log-probabilities."""
    client = server.openai()
    for prompt in model.prompts[:3]:
        ids = server.post("/tokenize", {"prompt": prompt})[1]["tokens"]
        for limit in (0, 1):
            choice = complete(client, model, [ids], echo=True, logprobs=1, max_tokens=limit).choices[0]
            lists = choice.logprobs
            checks.equal({len(l) for l in (lists.tokens, lists.token_logprobs, lists.top_logprobs, lists.text_offset)},
                         {len(ids) + limit}, "one entry for each token")
            checks.equal((lists.token_logprobs[0], lists.top_logprobs[0]), (None, None), "nothing predicts the first token")
            checks.ok(all(v <= max(top.values()) for v, top in zip(lists.token_logprobs[1:], lists.top_logprobs[1:])), "the best")
            checks.ok(all(top[t] == v for t, v, top in
                          zip(lists.tokens[1:], lists.token_logprobs[1:], lists.top_logprobs[1:])), "the token itself is listed")
            checks.equal(choice.finish_reason, "length", "finish_reason")
            if limit == 0:
                checks.equal(choice.text.strip(), prompt.strip(), "the text is the prompt")
                checks.equal(lists.token_logprobs[1:], model.prompt_logprobs(prompt), "those of `reprise generate`")
        checks.ok(complete(client, model, prompt, echo=True).choices[0].text.strip().startswith(prompt.strip()), "echo")
    usage = complete(client, model, model.prompts[0], echo=True, max_tokens=0).usage
    checks.equal(usage.completion_tokens, 0, "completion_tokens")


def check_logprobs(checks, server, model):
    client = server.openai()
    for prompt in model.prompts[:3]:
        wanted = model.generate([{"prompt": prompt, "max_tokens": model.short, "temperature": 0}], "--logprobs", 5)[0]["outputs"][0]
        choice = complete(client, model, prompt, logprobs=5, return_token_ids=True).choices[0]
        checks.equal(choice.model_extra["completion_token_ids"], wanted["token_ids"], "ids")
        checks.equal(choice.logprobs.token_logprobs, [t["logprob"] for t in wanted["logprobs"]], "token_logprobs")
        for got, right in zip(logprobs_of(choice), wanted["logprobs"]):
            # Tokens of one text share an entry.
            checks.ok({v for _, v in got[2]} <= {v for _, v in right["top"]} and got[2][0][1] == right["top"][0][1],
                      f"top_logprobs {got[2]} of {right['top']}")
        offsets = choice.logprobs.text_offset
        checks.equal(offsets, [sum(map(len, choice.logprobs.tokens[:i])) for i in range(len(offsets))], "text_offset")
        conversation = [{"role": "user", "content": prompt}]
        talk = chat(client, model, conversation, logprobs=True, top_logprobs=5).choices[0]
        content = talk.logprobs.content
        checks.ok(all(len(t.top_logprobs) == 5 and t.top_logprobs[0].logprob >= t.logprob for t in content), "five best")
        said = bytes(itertools.chain.from_iterable(t.bytes for t in content))
        checks.ok(said.decode(errors="replace").strip().startswith(talk.message.content.strip()), "bytes of tokens are the text")
        plain = chat(client, model, conversation, logprobs=True).choices[0].logprobs.content
        checks.equal([(t.token, t.logprob, t.top_logprobs) for t in plain], [(t.token, t.logprob, []) for t in content],
                     "logprobs without top_logprobs")
    checks.ok(chat(client, model).choices[0].logprobs is None, "no logprobs unless asked for")


def check_stop_strings(checks, server, model):
    """At every place of the text, whole and streamed: never leaked, never lost."""
    client = server.openai()
    # What the model says is searched, so the text is compared as it is said.
    common = {"max_tokens": model.short, "ignore_eos": True, "skip_special_tokens": False}
    text = complete(client, model, model.prompts[0], **common).choices[0].text

    def one(place):
        begin, length, stream = place
        stop = text[begin:begin + length]
        right = text[:text.find(stop)]
        fields = common | {"stop": [stop, "\x00never"], "stream": stream}
        reply = complete(client, model, model.prompts[0], **fields)
        if stream:
            part = join(reply)[0][0]
            return place, stop, (right, "stop"), (part["text"], part["reason"])
        return place, stop, (right, "stop"), (reply.choices[0].text, reply.choices[0].finish_reason)

    places = [(b, n, s) for b in range(len(text)) for n in (1, 3, 9) for s in (False, True) if b + n <= len(text)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for place, stop, right, got in pool.map(one, places):
            checks.equal(got, right, f"stop {stop!r} at {place}")
    kept = complete(client, model, model.prompts[0], stop=text[5:9], include_stop_str_in_output=True)
    checks.equal(kept.choices[0].text, text[:text.find(text[5:9]) + 4], "include_stop_str_in_output")
    talk = chat(client, model, ignore_eos=True).choices[0].message.content
    ended = chat(client, model, ignore_eos=True, stop=talk[4:7]).choices[0]
    checks.equal((ended.message.content, ended.finish_reason), (talk[:talk.find(talk[4:7])], "stop"), "stop of a chat")


def check_ids(checks, server, model):
    """stop_token_ids, min_tokens, ignore_eos, bad_words, logit_bias."""
    client, prompt = server.openai(), model.prompts[0]
    ids = complete(client, model, prompt, return_token_ids=True, ignore_eos=True).choices[0].model_extra["completion_token_ids"]
    first = ids.index(ids[6])
    stopped = complete(client, model, prompt, stop_token_ids=[ids[6]], return_token_ids=True, ignore_eos=True).choices[0]
    checks.equal((stopped.model_extra["completion_token_ids"], stopped.finish_reason), (ids[:first + 1], "stop"), "stop_token_ids")
    later = complete(client, model, prompt, stop_token_ids=[ids[0]], min_tokens=5, return_token_ids=True).choices[0]
    checks.ok(len(later.model_extra["completion_token_ids"]) >= 5, "min_tokens")
    biased = complete(client, model, prompt, logit_bias={str(ids[3]): 100}, max_tokens=4, return_token_ids=True).choices[0]
    checks.equal(biased.model_extra["completion_token_ids"], [ids[3]] * 4, "logit_bias")
    never = complete(client, model, prompt, logit_bias={str(ids[0]): -100}, max_tokens=4, return_token_ids=True).choices[0]
    checks.ok(ids[0] not in never.model_extra["completion_token_ids"], "logit_bias -100")
    text = complete(client, model, prompt).choices[0].text
    word = next(w for w in text.split() if w.isalpha() and len(w) > 2)
    without = complete(client, model, prompt, bad_words=[word]).choices[0].text
    checks.ok(without != text, f"bad_words {word!r}: {without!r}")
    without = complete(client, model, prompt, bad_words_token_ids=[[ids[2]]], return_token_ids=True).choices[0]
    checks.ok(ids[2] not in without.model_extra["completion_token_ids"], "bad_words_token_ids")
    ended = complete(client, model, prompt, logit_bias={str(model.eos): 100}, max_tokens=4).choices[0]
    checks.equal((ended.text, ended.finish_reason), ("", "stop"), "the end of text")
    ended = complete(client, model, prompt, logit_bias={str(model.eos): 100}, max_tokens=4, ignore_eos=True).choices[0]
    checks.equal(ended.finish_reason, "length", "ignore_eos")


def check_chat(checks, server, model):
    client = server.openai()
    whole = chat(client, model)
    parts = [{"role": m["role"], "content": [{"type": "text", "text": m["content"]}]} for m in model.messages]
    checks.equal(chat(client, model, parts).choices[0].message.content, whole.choices[0].message.content, "content parts")
    ids = server.post("/tokenize", {"messages": model.messages})[1]
    checks.equal(ids["count"], whole.usage.prompt_tokens, "tokens of messages")
    checks.equal(server.post("/tokenize", {"messages": parts})[1], ids, "tokens of content parts")
    raw = client.chat.completions.with_raw_response.create(model=model.name, messages=model.messages, max_tokens=2,
                                                           extra_body={"request_id": "mine-1"})
    checks.equal((raw.parse().id, raw.headers["x-request-id"]), ("chatcmpl-mine-1", "chatcmpl-mine-1"), "request_id")
    checks.equal(chat(client, model, ids["tokens"]).choices[0].message.content, whole.choices[0].message.content, "ids as messages")
    taken = chat(client, model, metadata={"a": "b"}, store=False, user="me", service_tier="auto")
    checks.equal(taken.choices[0].message.content, whole.choices[0].message.content, "fields that change nothing")
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]
    checks.raises(openai.BadRequestError, lambda: chat(client, model, image), "an image", 400, "messages", says=["image_url"])
    said = whole.choices[0].message.content
    # The client takes an end by length for an error.
    with client.chat.completions.stream(model=model.name, messages=model.messages, max_tokens=model.short, temperature=0, stop=said[9:12]) as stream:
        final = stream.get_final_completion()
    checks.equal(final.choices[0].message.content, said[:said.find(said[9:12])], "the client's own joining of a stream")


def check_errors(checks, server, model):
    client = server.openai()
    bad = [
        ({"temperature": -1}, "temperature", ["-1"]), ({"temperature": "hot"}, "temperature", ["hot"]), ({"top_p": 2}, "top_p", ["2"]),
        ({"n": 0}, "n", []), ({"n": 129}, "n", ["128"]), ({"best_of": 1, "n": 2}, "best_of", []),
        ({"stop": ["x"] * 129}, "stop", ["128"]), ({"logit_bias": {"5": 1000}}, "logit_bias", ["1000"]),
        ({"logit_bias": {"five": 1}}, "logit_bias", ["five"]), ({"logprobs": 21}, "logprobs", ["20"]), ({"max_tokens": -1}, "max_tokens", []),
        ({"temprature": 1}, "temprature", ["temperature"]), ({"suffix": "x"}, "suffix", []), ({"min_tokens": 99}, "min_tokens", []),
        ({"stream_options": {"include_usage": True}}, "stream_options", ["stream"]), ({"response_format": {"type": "json_object"}}, "response_format", []),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options", ["usage"]),
    ]
    for fields, param, says in bad:
        checks.raises(openai.BadRequestError, lambda f=fields: complete(client, model, "x", **f), fields, 400, param, says=says)
    for fields, param in [({"tools": []}, "tools"), ({"top_logprobs": 3}, "top_logprobs"), ({"logprobs": 3}, "logprobs"),
                          ({"echo": True}, "echo"), ({"guided_json": {}}, "guided_json")]:
        checks.raises(openai.BadRequestError, lambda f=fields: chat(client, model, **f), fields, 400, param)
    limit = client.models.retrieve(model.name).model_extra["max_model_len"]
    for stream in (False, True):
        checks.raises(openai.BadRequestError, lambda: complete(client, model, [5] * (limit + 7), stream=stream), "too long", 400, "prompt",
                      "context_length_exceeded", [str(limit + 7), str(limit - 1)])
        checks.raises(openai.BadRequestError, lambda: chat(client, model, [{"role": "user", "content": "word " * 9000}], stream=stream),
                      "chat too long", 400, "messages", "context_length_exceeded", [str(limit - 1)])
    checks.raises(openai.BadRequestError, lambda: complete(client, model, []), "no prompt", 400, "prompt")
    checks.raises(openai.BadRequestError, lambda: complete(client, model, ["x"] * 1025), "1025 prompts", 400, "prompt", says=["1024"])
    checks.raises(openai.BadRequestError, lambda: complete(client, model, [10 ** 6]), "no such id", 400, "prompt")
    checks.raises(openai.BadRequestError, lambda: chat(client, model, [{"content": "x"}]), "no role", 400)
    checks.raises(openai.NotFoundError, lambda: client.completions.create(model="gpt-4", prompt="x"), "model", 404, "model",
                  "model_not_found")
    checks.raises(openai.NotFoundError, lambda: client.embeddings.create(model=model.name, input="x"), "path", 404)
    checks.equal(server.get("/v1/completions")[0], 405, "GET of a POST")
    checks.equal(complete(client, model, model.prompts[0]).object, "text_completion", "served afterwards")


def check_tokenize(checks, server, model):
    for text in model.prompts + ["naïve café — 你好, 👩‍👩‍👧‍👦", "  two  blanks\n\ttabs", ""]:
        status, ids = server.post("/tokenize", {"prompt": text, "add_special_tokens": False})
        checks.equal((status, len(ids["tokens"])), (200, ids["count"]), "count")
        checks.equal(server.post("/detokenize", {"tokens": ids["tokens"]}), (200, {"prompt": text}), "there and back")
    checks.equal(server.post("/tokenize", {"text": "x"})[0], 400, "a wrong field")
    checks.equal(server.post("/detokenize", {"tokens": [-1]})[0], 400, "a wrong id")


CHECKS = [check_models, check_stream_is_whole, check_usage, check_several, check_echo, check_logprobs, check_stop_strings, check_ids,
          check_chat, check_errors, check_tokenize]
