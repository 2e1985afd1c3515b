#!/usr/bin/env python3
"""What serving costs beside the model: CPU of a streamed token, memory and answers of /health under thousands of open
streams, what the engine's thread does more in a step than offline (with a tiny model, so that it shows), and how soon
/health and /metrics answer while a large model computes prompts.

usage: tools/serve_cost.py [--reprise build/release/reprise] [--model models/tiny] [--streams 2000] [--rounds 3]
"""
import argparse
import json
import resource
import socket
import statistics
import subprocess
import threading
import time

from served import Server

GRAPH = ("--graph-optimization-config", '{"graph_opt_level": 1, "use_cudagraph": true}')
BATCH, OUTPUT = 16, 400


def flags(seqs):
    return ("--threads", 1, "--max-num-seqs", seqs, *GRAPH)


def streamed(options, requests):
    """A closed loop of BATCH clients: CPU seconds by thread, tokens, steps."""
    server = Server(options.reprise, options.model, *flags(BATCH))
    try:
        def load(count):
            done = subprocess.run(
                [options.reprise, "bench", "serve", "--url", server.url, "--concurrency", str(BATCH), "--num-requests", str(count),
                 "--input-tokens", "8", "--output-tokens", str(OUTPUT), "--ignore-eos", "--json"], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"serve_cost: the load failed: {done.stderr}")
            return json.loads(done.stdout)
        load(BATCH)
        before, steps = server.thread_seconds(), server.metric("generation_tokens_total")
        found = load(requests)
        after = server.thread_seconds()
        tokens = server.metric("generation_tokens_total") - steps
        return {name: after[name] - before.get(name, 0) for name in after}, tokens, found
    finally:
        server.end()


def offline_cpu(options, requests):
    """CPU seconds of `bench throughput` with one thread."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([options.reprise, "bench", "throughput", "--model", options.model, *map(str, flags(BATCH)), "--input-len", "8",
                    "--output-len", str(OUTPUT), "--num-prompts", str(requests), "--repeat", "1", "--json"],
                   capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def per_token(options):
    few, many = 2 * BATCH, 12 * BATCH
    io, served, offline = [], [], []
    for _ in range(options.rounds):
        threads, tokens, _ = streamed(options, many)
        engine = {name: seconds for name, seconds in threads.items() if name.startswith("reprise-eng") or name == "reprise"}
        io.append(1e6 * sum(seconds for name, seconds in threads.items() if name not in engine) / tokens)
        served.append(1e6 * sum(engine.values()) / (tokens / BATCH))
        steps = (many - few) * OUTPUT / BATCH
        offline.append(1e6 * (offline_cpu(options, many) - offline_cpu(options, few)) / steps)
        print(f"  threads: { {name: round(seconds, 2) for name, seconds in sorted(threads.items()) if seconds > 0} }, {tokens:.0f} tokens")
    gains = [a - b for a, b in zip(served, offline)]
    print(f"CPU of a streamed token beside the engine's thread, {BATCH} streams: {statistics.median(io):.1f} us ({min(io):.1f} to {max(io):.1f})")
    print(f"engine's thread, CPU of a step of {BATCH}: served {statistics.median(served):.1f} us, offline {statistics.median(offline):.1f} us, "
          f"median difference {statistics.median(gains):.1f} us ({min(gains):.1f} to {max(gains):.1f})")


def open_streams(options):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, options.streams + 500)), hard))
    server = Server(options.reprise, options.model, *flags(64), "--max-concurrency", options.streams + 100)
    body = json.dumps({"prompt": "It was", "max_tokens": 300, "ignore_eos": True, "stream": True}).encode()
    head = (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))

    def connect():
        stream = socket.create_connection(("127.0.0.1", server.port))
        stream.sendall(head + body)
        return stream
    try:
        for stream in [connect() for _ in range(64)]:  # so that the model's own memory has been touched
            while stream.recv(1 << 16).find(b"[DONE]") < 0:
                pass
        server.wait_until_idle()
        before = server.status("VmRSS")
        slowest, largest, phase = {"connecting": 0, "open": 0}, 0, "connecting"

        def ask():
            while phase != "over":
                start, began = time.time(), phase
                server.get("/health")
                slowest[began] = max(slowest[began], time.time() - start)
                time.sleep(0.01)
        asking = threading.Thread(target=ask)
        asking.start()
        begin = time.time()
        streams = [connect() for _ in range(options.streams)]
        connected = time.time() - begin
        time.sleep(0.5)  # until the last of them has been read
        phase, begin = "open", time.time()
        while time.time() - begin < 5:
            largest = max(largest, server.status("VmRSS"))
            time.sleep(0.02)
        phase = "over"
        asking.join()
        load = json.loads(server.get("/load"))
        for stream in streams:
            stream.close()
        print(f"{options.streams} open streams ({load['num_requests_running']} running, {load['num_requests_waiting']} waiting): "
              f"{(largest - before) / 1e6:.1f} MB above the model, slowest /health {1000 * slowest['open']:.1f} ms, "
              f"{1000 * slowest['connecting']:.1f} ms while they connected (in {connected:.2f} s)")
        server.wait_until_idle()
    finally:
        server.end()


def answers_in_prefill(options):
    """/health and /metrics while a large model computes prompts with every core."""
    server = Server(options.reprise, options.shape, "--load-choices", "dummy", "--dtype", "bfloat16", "--tokenizer", options.model, *GRAPH)
    body = json.dumps({"prompt": [list(range(100 + i, 1600 + i)) for i in range(3)], "max_tokens": 1}).encode()
    slowest = {"/health": 0, "/metrics": 0}
    try:
        with socket.create_connection(("127.0.0.1", server.port)) as stream:
            stream.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            stream.setblocking(False)
            asked, begin = 0, time.time()
            while True:
                for path in slowest:
                    start = time.time()
                    server.get(path)
                    slowest[path] = max(slowest[path], time.time() - start)
                asked += 1
                time.sleep(0.02)
                try:
                    head = stream.recv(1 << 16)
                    break
                except BlockingIOError:
                    pass
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"serve_cost: the prompts failed: {head[:300]}")
        print(f"while 4500 prompt tokens of {options.shape} were computed ({time.time() - begin:.1f} s), {asked} times each: " +
              ", ".join(f"slowest {path} {1000 * seconds:.1f} ms" for path, seconds in slowest.items()))
    finally:
        server.end()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--reprise", default="build/release/reprise")
    arguments.add_argument("--model", default="models/tiny")
    arguments.add_argument("--shape", default="tools/shapes/qwen3-0.6b", help="folder of a large model's config.json")
    arguments.add_argument("--streams", type=int, default=2000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    per_token(options)
    open_streams(options)
    answers_in_prefill(options)


main()
