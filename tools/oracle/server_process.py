"""A `reprise serve` of its own for a check: started on a free port of this machine, ended by SIGTERM."""
import json
import signal
import subprocess
import time
import urllib.error
import urllib.request

import anthropic
import openai

API_KEY = "not asked for"


class Server:
    """Use as a context manager. `url`: "http://127.0.0.1:PORT"."""

    def __init__(self, binary, model, *flags, key=API_KEY):
        self.key = key
        self.process = subprocess.Popen(
            [str(binary), "serve", "--model", str(model), "--host", "127.0.0.1", "--port", "0", "--log", "off",
             *map(str, flags)], stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith("ready: "):
                self.url = line.split()[1]
                return
        raise SystemExit(f"reprise serve: exit code {self.process.wait()}: {''.join(said)}")

    def openai(self, key=None, **options):
        return openai.OpenAI(base_url=self.url + "/v1", api_key=key or self.key, max_retries=0, timeout=120, **options)

    def anthropic(self, key=None):
        return anthropic.Anthropic(base_url=self.url, api_key=key or self.key, max_retries=0, timeout=120)

    def get(self, path):
        """(status, text)"""
        return self.send(urllib.request.Request(self.url + path))

    def post(self, path, body):
        """(status, JSON)"""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        status, text = self.send(request)
        return status, json.loads(text)

    def send(self, request):
        request.add_header("Authorization", f"Bearer {self.key}")
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if code != 0:
            raise SystemExit(f"reprise serve ended with exit code {code}")


class Checks:
    """Counts what was checked and remembers what was wrong."""

    def __init__(self):
        self.count, self.failures, self.where = 0, [], ""

    def ok(self, condition, what):
        self.count += 1
        if not condition:
            self.failures.append(f"{self.where}: {what}")

    def equal(self, got, expected, what):
        self.ok(got == expected, f"{what}: {got!r}, expected {expected!r}")

    def raises(self, kind, call, what, status=None, param=None, code=None, says=()):
        """The error of an SDK, with what it knows of the server's answer."""
        try:
            call()
        except kind as error:
            if status is not None:
                self.equal(error.status_code, status, f"{what}: status")
            if param is not None:
                self.equal(error.param, param, f"{what}: param")
            if code is not None:
                self.equal(error.code, code, f"{what}: code")
            for part in says:
                self.ok(part in str(error), f"{what}: {part!r} is not in: {error}")
        except Exception as error:  # noqa: BLE001
            self.ok(False, f"{what}: {type(error).__name__} ({error}), expected {kind.__name__}")
        else:
            self.ok(False, f"{what}: was served, expected {kind.__name__}")

    def run(self, name, check, *arguments):
        """A check that throws is one that failed; the others go on."""
        self.where, began = name, time.monotonic()
        try:
            check(self, *arguments)
        except Exception as error:  # noqa: BLE001
            self.ok(False, f"{type(error).__name__}: {error}")
        if time.monotonic() - began > 10:
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
