#!/usr/bin/env python3
"""`reprise serve` beside llama-server under the same clients (`reprise bench serve`), in turn, from one model file.

Started by tools/serve_bench.sh, which builds the peer. For each number of clients both servers start (the peer with as
many slots as clients), then loads run in turn, with `bench throughput` of the same work as what serving could reach.
With --poisson: random arrivals at 60 % of what the slower of the two served in a closed loop, prompts of 50 to 700.
"""
import argparse, contextlib, json, os, signal, socket, statistics, subprocess, sys, time, urllib.request
from pathlib import Path

from peer_model import SHAPES, model_file

GRAPH = '{"graph_opt_level": 1, "use_cudagraph": true}'
OUTPUT = 64


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(command, port, log):
    """Runs it until the block ends; gives its URL once /health says 200."""
    url = f"http://127.0.0.1:{port}"
    with open(log, "w") as out:
        process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=subprocess.STDOUT)
    try:
        for _ in range(1200):
            if process.poll() is not None:
                sys.exit(f"serve_bench: {command[0]} ended with {process.returncode}; see {log}")
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(url + "/health", timeout=5) as reply:
                    if reply.status == 200:
                        break
            time.sleep(0.1)
        else:
            sys.exit(f"serve_bench: {command[0]} was not ready after two minutes; see {log}")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def run_json(command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"serve_bench: {' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


class Bench:
    def __init__(self, options, model):
        self.options, self.model = options, model

    @contextlib.contextmanager
    def both(self, clients, context):
        """Both servers: URLs by name."""
        options, ours, theirs = self.options, free_port(), free_port()
        common = [options.reprise, "serve", "--model", self.model, "--dtype", "bfloat16", "--threads", options.threads,
                  "--host", "127.0.0.1", "--port", ours, "--max-num-seqs", clients, "--max-model-len", context,
                  "--graph-optimization-config", GRAPH, *options.serve.split()]
        peer = [options.peer / "build/bin/llama-server", "-m", self.model, "-t", options.threads, "-np", clients, "-c",
                clients * context, "--host", "127.0.0.1", "--port", theirs]
        with server(common, ours, options.logs / "reprise.log") as first:
            with server(peer, theirs, options.logs / "llama-server.log") as second:
                yield {"Reprise": first, "llama-server": second}

    def load(self, url, *flags):
        found = run_json([self.options.reprise, "bench", "serve", "--url", url, "--ignore-eos", "--output-tokens", OUTPUT,
                          "--warmup", 1, "--json", *flags])
        if found["failed"]:
            sys.exit(f"serve_bench: {found['failed']} requests to {url} failed")
        return found

    def offline(self, clients, requests):
        options = self.options
        found = run_json([options.reprise, "bench", "throughput", "--model", self.model, "--dtype", "bfloat16", "--threads",
                          options.threads, "--max-num-seqs", clients, "--max-model-len", 256, "--input-len", 150,
                          "--output-len", OUTPUT, "--num-prompts", requests, "--repeat", 1, "--json",
                          "--graph-optimization-config", GRAPH])
        return found["output_tokens_per_s"]["median"]


FIGURES = [("output tokens/s", lambda f: f["output_tokens_per_s"]), ("TTFT p50 ms", lambda f: f["ttft_ms"]["p50"]),
           ("TTFT p99 ms", lambda f: f["ttft_ms"]["p99"]), ("ITL p50 ms", lambda f: f["itl_ms"]["p50"]),
           ("ITL p99 ms", lambda f: f["itl_ms"]["p99"])]


def table(title, found, offline=()):
    print(f"\n**{title}**; medians (least to most)\n\n| | Reprise | llama-server | ratio |\n|---|---|---|---|")
    for name, pick in FIGURES:
        cells = []
        for side in ("Reprise", "llama-server"):
            values = [pick(f) for f in found[side]]
            cells.append((statistics.median(values), f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"))
        print(f"| {name} | {cells[0][1]} | {cells[1][1]} | {cells[0][0] / cells[1][0]:.2f} |")
    if offline:
        served = statistics.median([f["output_tokens_per_s"] for f in found["Reprise"]])
        print(f"| of `bench throughput`, {statistics.median(offline):.1f} tokens/s ({min(offline):.1f} to "
              f"{max(offline):.1f}) | {served / statistics.median(offline):.3f} | | |")
    sys.stdout.flush()


def closed_loop(bench, clients, rounds):
    requests = max(4, clients * 2) if clients < 64 else clients * 3 // 2
    found, offline = {"Reprise": [], "llama-server": []}, []
    with bench.both(clients, 256) as urls:
        for turn in range(rounds):
            for side in sorted(urls, reverse=turn % 2 == 0):
                found[side].append(bench.load(urls[side], "--concurrency", clients, "--num-requests", requests,
                                              "--input-tokens", 150, "--seed", turn))
            offline.append(bench.offline(clients, requests))
            print(f"{clients} clients, round {turn + 1}: " + ", ".join(f"{side} {found[side][-1]['output_tokens_per_s']:.1f}" for side in found)
                  + f", offline {offline[-1]:.1f} tokens/s", file=sys.stderr)
    table(f"{clients} clients, prompts of 150, outputs of {OUTPUT}, {requests} requests, {rounds} rounds", found, offline)


def poisson(bench, rounds):
    clients = 16
    mix = ["--input-tokens", 50, "--input-tokens-max", 700]
    found = {"Reprise": [], "llama-server": []}
    with bench.both(clients, 1024) as urls:
        capacity = {side: bench.load(url, "--concurrency", clients, "--num-requests", 32, *mix)["requests_per_s"]
                    for side, url in urls.items()}
        rate = 0.6 * min(capacity.values())
        print("\nclosed loop, requests/s: " + ", ".join(f"{side} {value:.3f}" for side, value in capacity.items()))
        for turn in range(rounds):
            for side in sorted(urls, reverse=turn % 2 == 0):
                found[side].append(bench.load(urls[side], "--request-rate", f"{rate:.4f}", "--num-requests", 30, *mix,
                                              "--seed", turn + 1))
    table(f"Poisson arrivals, {rate:.3f} requests/s, prompts of 50 to 700, outputs of {OUTPUT}, 30 requests, "
          f"{rounds} rounds", found)


def main():
    arguments = argparse.ArgumentParser(prog="tools/serve_bench.sh")
    arguments.add_argument("--peer", type=Path, required=True, help=argparse.SUPPRESS)
    arguments.add_argument("--reprise", type=Path, default=Path("build/release/reprise"))
    arguments.add_argument("--concurrency", default="1,8,16,64", help="numbers of clients of the closed loops; '' for none")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--poisson", action="store_true", help="random arrivals as well")
    arguments.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each server")
    arguments.add_argument("--shape", default="qwen3-0.6b", choices=sorted(p.name for p in SHAPES.iterdir()))
    arguments.add_argument("--serve", default="", help="further flags of `reprise serve`")
    options = arguments.parse_args()
    options.logs = Path("build/serve_bench")
    options.logs.mkdir(parents=True, exist_ok=True)
    bench = Bench(options, model_file(options.peer, options.shape, "BF16"))
    env = json.loads(subprocess.run([options.reprise, "collect-env", "--json"], capture_output=True, text=True, check=True).stdout)
    print(f"{env['cpu']}, {options.threads} threads each, {options.shape}, BF16, one file, temperature 0")
    for clients in filter(None, options.concurrency.split(",")):
        closed_loop(bench, int(clients), options.rounds)
    if options.poisson:
        poisson(bench, options.rounds)


main()
