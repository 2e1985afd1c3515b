"""A `reprise serve` that a tool starts, asks and looks into."""
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from pathlib import Path


class Server:
    def __init__(self, binary, model, *flags):
        command = [binary, "serve", "--model", model, "--host", "127.0.0.1", "--port", "0", "--log", "off", *flags]
        self.process = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if line.startswith("ready: "):
                self.port = int(line.split()[1].rsplit(":", 1)[1])
                self.url = f"http://127.0.0.1:{self.port}"
                return
        raise SystemExit("the server did not start")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name):
        return float(re.search(rf"^reprise:{name} (\S+)$", self.get("/metrics"), re.M).group(1))

    def status(self, key):
        """A number of /proc/PID/status: VmRSS (bytes), Threads."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        number = int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))
        return number << 10 if key.startswith("Vm") else number

    def wait_until_idle(self):
        deadline = time.time() + 60
        while time.time() < deadline:
            load = json.loads(self.get("/load"))
            if load["num_requests_running"] == 0 and load["num_requests_waiting"] == 0:
                break
            time.sleep(0.1)
        return load

    def state(self):
        """When nothing runs any more: what a leak would change."""
        load = self.wait_until_idle()
        time.sleep(2)  # connections that were just cut off
        return {"load": load, "rss": self.status("VmRSS"), "threads": self.status("Threads"),
                "descriptors": len(os.listdir(f"/proc/{self.process.pid}/fd")),
                "free blocks": self.metric("free_gpu_block_num")}

    def thread_seconds(self):
        """CPU seconds so far, by the name of the thread."""
        found = {}
        ticks = os.sysconf("SC_CLK_TCK")
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            name, _, rest = task.joinpath("stat").read_text().rpartition(") ")
            fields = rest.split()
            name = name.partition("(")[2]
            found[name] = found.get(name, 0) + (int(fields[11]) + int(fields[12])) / ticks
        return found

    def end(self):
        """The exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)
