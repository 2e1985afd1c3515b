"""Honest clients beside clients that break off, send rubbish or vanish, against a `reprise serve` of its own.

Honest clients ask seeded requests again and again: each reply must be the one that the first time gave. At the end, when
nothing runs any more, memory, descriptors, threads and free KV blocks must be what they were after the first tenth of the
time, when every kind of request had been made.

usage: soak.py --reprise PATH [--model DIR] [--minutes M] [--seed N]
exit code 0: all of it holds; 1: what does not is printed
"""
import argparse
import collections
import json
import random
import signal
import socket
import struct
import threading
import time
import urllib.request

from served import Server

HONEST, RANDOM = 4, 8  # threads
RSS_MARGIN = 16 << 20  # bytes; what an allocator keeps differs from run to run
TEXT = "It was a truth that everybody in the house knew, and nobody said. "


def requests():
    """(path, body) of every generating endpoint, streamed and not; each has one right reply."""
    out = []
    for i in range(6):
        sampling = {"temperature": 0} if i % 2 == 0 else {"temperature": 0.9, "seed": i}
        common = sampling | {"max_tokens": 4 + 7 * i, "stream": i % 3 == 0}
        out.append(("/v1/completions", common | {"prompt": TEXT * (1 + i), "logprobs": 2, "n": 1 + i % 2}))
        messages = [{"role": "user", "content": TEXT * (1 + i % 3)}]
        out.append(("/v1/chat/completions", common | {"messages": messages}))
        out.append(("/v1/messages", common | {"messages": messages}))
    return out


def head(path, length, more=""):
    return f"POST {path} HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\n{more}Content-Length: {length}\r\n\r\n".encode()


def whole(path, body):
    data = json.dumps(body).encode()
    return head(path, len(data)) + data


def meaning(text, stream):
    """What a reply says: text, log-probabilities and ends of each output, however a stream was cut into pieces."""
    pieces = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")] if stream else [json.loads(text)]
    said = collections.defaultdict(list)
    for piece in pieces:
        for choice in piece.get("choices", []):
            part = choice.get("message") or choice.get("delta") or choice
            said[choice["index"], "text"].append(part.get("text") or part.get("content") or "")
            for name, values in (choice.get("logprobs") or {}).items():
                if name != "text_offset":
                    said[choice["index"], name].append(values or [])
            said[choice["index"], "end"].append([choice["finish_reason"] or ""])
        said["text"].append("".join(block["text"] for block in piece.get("content", [])) + piece.get("delta", {}).get("text", ""))
        said["end"].append([(piece if not stream else piece.get("delta", {})).get("stop_reason") or ""])
    return {key: sum(parts, type(parts[0])()) if not isinstance(parts[0], str) else "".join(parts) for key, parts in said.items()} | {
        key: [end for end in sum(parts, []) if end] for key, parts in said.items() if key == "end" or key[1] == "end"}


class Soak:
    def __init__(self, server, seed):
        self.server, self.seed = server, seed
        self.stop, self.pause = threading.Event(), threading.Event()
        self.idle = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.counts, self.wrong, self.first = collections.Counter(), [], {}

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def fail(self, what):
        with self.lock:
            self.wrong.append(what)

    def loop(self, random_source, work):
        while not self.stop.is_set():
            if self.pause.is_set():
                self.idle.release()
                while self.pause.is_set() and not self.stop.is_set():
                    time.sleep(0.05)
                continue
            work(random_source)

    def honest(self, source):
        path, body = source.choice(requests())
        key = path + json.dumps(body)
        request = urllib.request.Request(f"http://127.0.0.1:{self.server.port}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                raw = reply.read().decode()
            text = meaning(raw, body["stream"])
        except Exception as error:
            return self.fail(f"honest {path}: {error!r} {getattr(error, 'read', lambda: b'')()[:300]}")
        if path.endswith("completions") and body["stream"] and not raw.rstrip().endswith("data: [DONE]"):
            self.fail(f"honest {path}: a stream without its end")
        with self.lock:
            first = self.first.setdefault(key, text)
        if text != first:
            self.fail(f"honest {path}: another reply than the first time to {key[:200]}")
        self.count("honest replies")

    def broken(self, source):
        kind = source.choice([name for name in dir(self) if name.startswith("do_")])
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=2) as connection:
                getattr(self, kind)(connection, source)
        except OSError:
            pass  # the server may close such a connection at any time
        self.count(kind[3:].replace("_", " "))

    # --- what clients do to a server
    def do_nothing(self, connection, source):
        time.sleep(source.random() * 0.2)

    def do_half_a_request(self, connection, source):
        data = whole(*source.choice(requests()))
        connection.sendall(data[:source.randrange(len(data))])
        time.sleep(source.random() * 0.3)

    def do_flipped_bytes(self, connection, source):
        data = bytearray(whole(*source.choice(requests())))
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        connection.sendall(data)
        connection.settimeout(1)
        connection.recv(4096)

    def do_rubbish(self, connection, source):
        connection.sendall(source.randbytes(source.randrange(1, 20000)))
        connection.recv(4096)

    def do_huge_head(self, connection, source):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: soak\r\n" + b"x: " + b"y" * source.randrange(1, 300000) + b"\r\n\r\n")
        connection.recv(4096)

    def do_declare_gigabytes(self, connection, source):
        connection.sendall(head("/v1/completions", source.randrange(1 << 30, 1 << 62)))
        connection.recv(4096)

    def do_endless_chunks(self, connection, source):
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: soak\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(source.randrange(50)):
            connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")

    def do_deep_json(self, connection, source):
        data = b"[" * source.randrange(1, 200000)
        connection.sendall(head("/v1/completions", len(data)) + data)
        connection.recv(4096)

    def do_many_prompts(self, connection, source):
        connection.sendall(whole("/v1/completions", {"prompt": ["x"] * source.randrange(1, 5000), "max_tokens": 1}))
        connection.recv(4096)
        self.reset(connection)

    def do_wrong_fields(self, connection, source):
        path, body = source.choice(requests())
        body[source.choice([*body, "no such field"])] = source.choice([None, -1, 1e300, [], {}, "x", True, [[1]], {"a": {}}])
        connection.sendall(whole(path, body))
        connection.recv(4096)

    def do_vanish(self, connection, source):
        """While it waits, in prefill or while tokens stream; by an end of file or a reset."""
        path, body = source.choice(requests())
        connection.sendall(whole(path, body | {"max_tokens": 300, "stream": source.random() < 0.7}))
        for _ in range(source.randrange(4)):
            connection.recv(source.randrange(1, 2000))
        time.sleep(source.random() * 0.05)
        if source.random() < 0.5:
            self.reset(connection)

    def do_read_slowly(self, connection, source):
        connection.sendall(whole("/v1/completions", {"prompt": TEXT, "max_tokens": 200, "n": 8, "stream": True, "logprobs": 5}))
        for _ in range(source.randrange(30)):
            connection.recv(64)
            time.sleep(0.02)

    def do_pipeline(self, connection, source):
        data = b"".join(whole(*source.choice(requests())) for _ in range(source.randrange(1, 8)))
        connection.sendall(data + b"GET /nowhere HTTP/1.1\r\nHost: soak\r\n\r\n")
        connection.recv(source.randrange(1, 100000))

    def do_a_byte_at_a_time(self, connection, source):
        for byte in whole(*source.choice(requests()))[:source.randrange(1, 200)]:
            connection.sendall(bytes([byte]))
            time.sleep(0.002)

    def reset(self, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def run(self, minutes):
        threads = []
        for i in range(HONEST + RANDOM):
            work = self.honest if i < HONEST else self.broken
            threads.append(threading.Thread(target=self.loop, args=(random.Random(self.seed * 1000 + i), work)))
        for thread in threads:
            thread.start()
        begin, end = time.time(), time.time() + 60 * minutes
        before, slowest = None, 0
        while time.time() < end and self.server.process.poll() is None:
            time.sleep(1)
            start = time.time()
            if self.server.get("/health") is not None:
                slowest = max(slowest, time.time() - start)
            if before is None and time.time() > begin + 6 * minutes:
                self.pause.set()
                for _ in threads:
                    self.idle.acquire()
                before = self.server.state()
                self.pause.clear()
        self.stop.set()
        for thread in threads:
            thread.join()
        after = self.server.state()
        for what, value in sorted(self.counts.items()):
            print(f"{value:9} {what}")
        print(f"before {before}\nafter  {after}\nslowest /health {slowest * 1000:.0f} ms")
        for key in ("load", "threads", "descriptors", "free blocks"):
            if before[key] != after[key]:
                self.wrong.append(f"{key}: {before[key]} before, {after[key]} after")
        if after["rss"] > before["rss"] + RSS_MARGIN:
            self.wrong.append(f"memory: {before['rss']} bytes before, {after['rss']} after")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--reprise", required=True)
    parser.add_argument("--model", default="models/tiny")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    server = Server(args.reprise, args.model, "--client-stall-timeout", "5")
    soak = Soak(server, args.seed)
    try:
        soak.run(args.minutes)
    finally:
        server.process.send_signal(signal.SIGTERM)
    if (code := server.process.wait(timeout=60)) != 0:
        soak.wrong.append(f"the server ended with exit code {code}")
    for line in soak.wrong[:20]:
        print("WRONG:", line)
    print(f"soak: {soak.counts['honest replies']} honest replies, {len(soak.wrong)} wrong")
    raise SystemExit(1 if soak.wrong else 0)


main()
