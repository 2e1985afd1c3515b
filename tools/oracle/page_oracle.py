"""The web page at `/` in headless Chromium, against a server with the tiny model of the repository.

  chat      a message is sent by the keyboard alone, its answer streams, settings take part, errors are shown
  stop      Escape and the button end an answer, and the server is free again
  text      what a model says is text, never markup
  panel     what it shows is what the server's own endpoints say
  key       the shell needs none; the page asks for one
  names     every control has a name that a screen reader says
  looks     nothing is wider than a phone, text has contrast in both colour schemes; screenshots in build/page/

No message may appear on the browser's console, and nothing may be asked of another host.

usage: page_oracle.py --reprise PATH --shared DIR
"""
import argparse
import json
import re
import shutil
import time
from pathlib import Path

from common import finish, say

from playwright.sync_api import expect, sync_playwright

from server_process import Checks, Server

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "page"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
WIDE = {"viewport": {"width": 1280, "height": 800}}
# The ratio of two colours by WCAG; the worst of all texts that are shown.
CONTRAST = """() => {
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== '')) continue;
    const a = light(parse(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.textContent.slice(0, 40)];
  }
  return worst;
}"""


class Page:
    """A tab of its own; use as a context manager. Whatever the browser complains about is a failure."""

    def __init__(self, checks, browser, server, complaints=(), **options):
        self.checks, self.server = checks, server
        self.context = browser.new_context(**(WIDE | options))
        self.page = self.context.new_page()
        self.complaints, self.expected = [], complaints
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: checks.ok(request.url.startswith(server.url + "/"), f"asks {request.url}"))
        self.page.goto(server.url)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        bad = [c for c in self.complaints if not any(part in c for part in self.expected)]
        self.checks.equal(bad, [], "the browser's console")
        self.context.close()

    def __getitem__(self, selector):
        return self.page.locator(selector)

    def set(self, **fields):
        for name, value in fields.items():
            self[f"[name={name}]"].fill(str(value))

    def ask(self, text, wait=True):
        self["#message"].fill(text)
        self["#message"].press("Enter")
        if wait:
            self.wait_for_answer()

    def wait_for_answer(self):
        expect(self["#progress"]).to_have_text(re.compile("done|stopped|failed"), timeout=60_000)
        expect(self["article.assistant"].last).to_have_attribute("aria-busy", "false")

    def answer(self):
        return self["article.assistant .text"].last.text_content()

    def shot(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


def expected_answer(server, messages, **fields):
    status, reply = server.post("/v1/chat/completions", {"messages": messages} | fields)
    assert status == 200, reply
    return reply["choices"][0]["message"]["content"]


def make_endless(page):
    """What is asked from now on takes ten seconds and more of a server that runs one output at a time."""
    page.page.route("**/v1/chat/completions", lambda route: route.continue_(post_data=json.dumps(
        json.loads(route.request.post_data) | {"ignore_eos": True, "n": 128, "max_tokens": 400})))


def soon(page, truth, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if truth():
            return True
        time.sleep(0.02)
        if not page.page.is_closed():
            page.page.evaluate("0")  # lets the browser's messages through
    return False


def nothing_runs(server):
    return json.loads(server.get("/load")[1]) == {"num_requests_running": 0, "num_requests_waiting": 0}


def check_chat(checks, browser, server):
    settings = {"temperature": 1, "seed": 5, "max_tokens": 24}
    with Page(checks, browser, server) as page:
        expect(page["#health"]).to_have_text("serving")
        checks.equal(page["#model option"].all_text_contents(), ["tiny", "other"], "models")
        page.set(system="Be kind.", **settings)
        talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Once upon a time\nthere was"}]
        # By the keyboard alone: the field has the focus.
        page["#message"].focus()
        page.page.keyboard.type("Once upon a time")
        page.page.keyboard.press("Shift+Enter")
        page.page.keyboard.type("there was")
        page.page.keyboard.press("Enter")
        page.wait_for_answer()
        first = page.answer()
        checks.equal(first, expected_answer(server, talk, **settings), "the answer")
        checks.equal(page["article.user .text"].text_content(), talk[1]["content"], "what was asked")
        checks.equal(page["#message"].input_value(), "", "the field is empty again")
        checks.equal(page.page.evaluate("document.activeElement.id"), "message", "the focus stays")
        talk += [{"role": "assistant", "content": first}, {"role": "user", "content": "Go on"}]
        page.ask("Go on")
        checks.equal(page.answer(), expected_answer(server, talk, **settings), "the second answer")
        note = page["article.assistant .note"].last.text_content()
        checks.ok(re.search(r"\d+ tokens in, \d+ out .* tokens/s", note), f"note {note!r}")
        page["#raw summary"].click()
        sent = json.loads(page["#request"].text_content().split("\n", 1)[1])
        checks.equal((sent["messages"], sent["seed"], sent["temperature"], sent["stream"]), (talk, 5, 1, True), "the request that is shown")
        raw = page["#reply"].text_content()
        checks.ok(raw.startswith("data: {") and raw.endswith("data: [DONE]\n\n"), "the reply that is shown")
        # A stream, not one piece: it grew.
        page["#clear"].click()
        checks.equal(page["article"].count(), 0, "a new chat is empty")
        make_endless(page)
        page.page.evaluate("""() => { window.sizes = []; new MutationObserver(() => sizes.push(document.querySelector('article.assistant .text')?.textContent.length ?? 0))
            .observe(document.getElementById('log'), {subtree: true, childList: true, characterData: true}); }""")
        page.ask("Tell", wait=False)
        checks.ok(soon(page, lambda: len(set(page.page.evaluate("sizes"))) > 5), "an answer comes in pieces")
        page.page.keyboard.press("Escape")
        page.wait_for_answer()
        sizes = page.page.evaluate("sizes")
        checks.equal(sizes, sorted(sizes), "sizes while it streamed")
        page.page.unroute("**/v1/chat/completions")
        page.set(temperature=-1)
        page.ask("x", wait=False)
        checks.equal(page["article.user"].count(), 1, "a field out of range sends nothing")
        page["#defaults"].click()
        checks.equal([page[f"[name={n}]"].input_value() for n in ("temperature", "system", "seed")], ["", "", ""], "defaults")
        page["#model"].select_option("other")
        page.set(max_tokens=2)
        page["#clear"].click()
        page.ask("x")
        checks.equal(page["article.assistant .who"].text_content(), "other", "the model that was chosen")
    with Page(checks, browser, server, complaints=["400 (Bad Request)"]) as page:
        page.ask("word " * 5000)
        expect(page["article.assistant .problem"]).to_contain_text("--max-model-len")
        page.set(max_tokens=2)
        page.ask("x")
        checks.equal(json.loads(page["#request"].text_content().split("\n", 1)[1])["messages"], [{"role": "user", "content": "x"}],
                     "what got no answer is not asked again")


def check_stop(checks, browser, server):
    for way in ("Escape", "button", "closing"):
        with Page(checks, browser, server) as page:
            make_endless(page)
            page.ask("Tell", wait=False)
            expect(page["article.assistant .text"]).not_to_be_empty()
            expect(page["#stop"]).to_be_visible()
            expect(page["#send"]).to_be_hidden()
            checks.equal(page["article.assistant"].get_attribute("aria-busy"), "true", "busy while it is written")
            if way == "closing":
                page.page.close()
            elif way == "Escape":
                page.page.keyboard.press("Escape")
            else:
                page["#stop"].click()
            if way != "closing":
                page.wait_for_answer()
                expect(page["article.assistant .note"]).to_contain_text("stopped")
                expect(page["#send"]).to_be_visible()
                checks.equal(page.page.evaluate("document.activeElement.id"), "message", f"{way}: the focus")
            checks.ok(soon(page, lambda: nothing_runs(server), 1), f"{way}: the server goes on")


def check_text(checks, browser, server):
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>&lt;b&gt; **x** \u202e \U0001f600"
    events = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in (markup[:9], markup[9:])]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    body = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
    with Page(checks, browser, server) as page:
        page.page.on("dialog", lambda dialog: checks.ok(False, f"a dialog: {dialog.message}"))
        page.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
        page.ask(markup)
        checks.equal(page.answer(), markup, "markup in an answer")
        checks.equal(page["article.user .text"].text_content(), markup, "markup in a question")
        checks.equal(page["#log img, #log script, #log b"].count(), 0, "elements made of text")
    with Page(checks, browser, server) as page:
        error = 'data: {"error": {"message": "the engine stopped"}}\n\n'
        page.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body.split("\n\n")[0] + "\n\n" + error, content_type="text/event-stream"))
        page.ask("x")
        expect(page["article.assistant .problem"]).to_have_text("the engine stopped")
        checks.equal(page.answer(), markup[:9], "what came before an error stays")
        page.page.unroute("**/v1/chat/completions")
        page.page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body.split("\n\n")[0] + "\n\n", content_type="text/event-stream"))
        page.ask("x")
        expect(page["article.assistant .problem"].last).to_contain_text("before it was complete")


def check_panel(checks, browser, server):
    with Page(checks, browser, server) as page:
        page.set(max_tokens=64, seed=1)
        page.ask("Tell")
        for _ in range(3):
            server.post("/v1/completions", {"prompt": "x", "max_tokens": 8})
        page.page.wait_for_timeout(2500)
        text = server.get("/metrics")[1]
        replayed = float(re.search(r"graph_steps_replayed_total (\d+)", text)[1])
        others = {k: float(v) for k, v in re.findall(r'graph_steps_not_replayed_total\{reason="(\w+)"\} (\d+)', text) if v != "0"}
        share = 100 * replayed / (replayed + sum(others.values()))
        shown = page["#replay-text"].text_content()
        checks.ok(abs(float(shown.split()[0]) - share) <= 0.5, f"steps replayed {shown}, {share} by the metrics")
        checks.equal(page["#reasons tr"].count(), len(others), f"reasons {others}")
        checks.equal((page["#running"].text_content(), page["#waiting"].text_content()), ("0", "0"), "load")
        checks.ok(re.fullmatch(r"\d+ ms|[\d.]+ s", page["#first-token"].text_content()), "time to the first token")
        checks.ok(page["#chart-line"].get_attribute("d").count("L") >= 1, "the chart has a line")
        captures = json.loads(server.get("/v1/graph")[1])["captures"]
        checks.ok(page["#captures"].text_content().startswith(f"{captures} captured"), page["#captures"].text_content())
        make_endless(page)
        page.ask("Tell", wait=False)
        expect(page["#running"]).to_have_text("1", timeout=10_000)
        expect(page["#waiting"]).not_to_have_text("0", timeout=10_000)
        expect(page["#kv-text"]).not_to_have_text("0 %", timeout=10_000)
        expect(page["#speed"]).not_to_have_text("0.0", timeout=10_000)
        page.page.keyboard.press("Escape")


def check_key(checks, browser, binary, model):
    with Server(binary, model, "--api-key", "right", key="right") as server:
        with Page(checks, browser, server, complaints=["401 (Unauthorized)"]) as page:
            expect(page["#key"]).to_be_focused()
            expect(page["#health"]).to_have_text("needs an API key")
            page.page.keyboard.type("wrong")
            page.page.keyboard.press("Enter")
            expect(page["#key-error"]).to_contain_text("does not know this key")
            page.shot("key")
            page["#key"].fill("right")
            page.page.keyboard.press("Enter")
            expect(page["#key-form"]).to_be_hidden()
            expect(page["#health"]).to_have_text("serving")
            page.set(max_tokens=3)
            page.ask("Tell")
            checks.ok(page.answer() != "", "an answer")
            checks.ok("right" not in page["#request"].text_content(), "the key is not shown")
            page.page.reload()
            expect(page["#health"]).to_have_text("serving")


def check_names(checks, browser, server):
    with Page(checks, browser, server) as page:
        page.set(max_tokens=3)
        page.ask("Tell")
        page["#raw summary"].click()
        # What a screen reader is told: roles with names.
        tree = page["body"].aria_snapshot()
        for line in ("banner", 'main "Chat"', 'complementary "Settings and server"', 'log "Conversation"', 'textbox "Message"', 'button "Send"',
                     'combobox "Model"', 'spinbutton "Temperature"', 'textbox "System prompt"', 'meter "KV cache in use"', 'heading "Reprise" [level=1]'):
            checks.ok(line in tree, f"{line} is not in what a screen reader sees: {tree}")
        nameless = re.findall(r"- (?:button|textbox|spinbutton|combobox|meter|img|link)(?:$|:)", tree, re.M)
        checks.equal(nameless, [], "controls without a name")
        # Every control can be reached by the keyboard.
        wanted = page.page.evaluate("""[...document.querySelectorAll('button, input, select, textarea, summary')].filter((e) => e.checkVisibility()).length""")
        reached = set()
        page.page.evaluate("document.activeElement.blur()")
        for _ in range(2 * wanted):
            page.page.keyboard.press("Tab")
            reached.add(page.page.evaluate("(document.activeElement.matches('button, input, select, textarea, summary') && [...document.querySelectorAll('*')].indexOf(document.activeElement)) || 0"))
        checks.equal(len(reached - {0}), wanted, "controls reached by Tab")


def check_looks(checks, browser, server):
    for scheme in ("light", "dark"):
        for size, options in (("wide", WIDE), ("phone", PHONE)):
            with Page(checks, browser, server, color_scheme=scheme, reduced_motion="reduce", **options) as page:
                expect(page["#health"]).to_have_text("serving")
                where = f"{size}-{scheme}"
                page.shot(f"{where}-empty")
                page.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
                page.set(temperature=0.8, max_tokens=60, seed=3, system="You tell short stories.")
                if size == "phone":
                    page.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
                page.ask("Once upon a time there was a little girl who")
                page.ask("And then?")
                page.page.wait_for_timeout(1500)
                page.shot(where)
                if size == "phone":
                    page.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; }); scrollTo(0, 800)")
                    page.page.wait_for_timeout(100)
                    page.shot(f"{where}-panels")
                width = page.page.evaluate("document.documentElement.scrollWidth - innerWidth")
                checks.ok(width <= 0, f"{where}: {width} pixels wider than the screen")
                ratio, text = page.page.evaluate(CONTRAST)
                checks.ok(ratio >= 4.5, f"{where}: contrast {ratio:.1f} of {text!r}, expected 4.5")
    for zoom in (320,):  # the width that WCAG asks for
        with Page(checks, browser, server, viewport={"width": zoom, "height": 600}) as page:
            width = page.page.evaluate("document.documentElement.scrollWidth - innerWidth")
            checks.ok(width <= 0, f"{zoom} pixels: {width} wider than the screen")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reprise", type=Path, required=True)
    arguments.add_argument("--shared", type=Path, required=True)
    options = arguments.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        say("page: skipped, there is no chromium (apt-get install chromium)")
        return
    checks, model = Checks(), ROOT / "models" / "tiny"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with Server(options.reprise, model, "--served-model-name", "tiny", "--served-model-name", "other", "--max-num-seqs", 1) as server:
            for check in (check_chat, check_stop, check_text, check_panel, check_names, check_looks):
                checks.run(check.__name__, check, browser, server)
        checks.run("check_key", check_key, browser, options.reprise, model)
        browser.close()
    finish("page", checks.failures, f"{checks.count} checks, screenshots in {SCREENSHOTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
