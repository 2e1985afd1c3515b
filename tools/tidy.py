#!/usr/bin/env python3
"""clang-tidy (.clang-tidy) over the sources of a build folder that is configured and need not be built.

usage: tidy.py BUILD [--since REF] [FOLDER ...]
  --since REF   only what is compiled from sources that changed since this commit (all, where the clone lacks it)
  FOLDER        src, tests, bench ... (src where none is named)
exit 0: clean; 1: what was found is printed

clang-tidy walks through every header that a file includes, which takes most of its time: so the build has unity files
(REPRISE_UNITY), whose headers are read once for all of their sources. What was clean is not looked at again until a
source, a header of ours that it reads, its command or .clang-tidy changes.
"""
import concurrent.futures, hashlib, json, os, re, shlex, subprocess, sys

TIDY = "clang-tidy-19"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
UNITY_FILE = re.compile(r"reprise_\w+_\d+\.cc")  # cmake/reprise.cmake writes them


def read(path):
    with open(path, "rb") as file:
        return file.read()


def files_behind(source, folders):
    """The source and all files of ours that it includes, by the text alone: conditions are not looked at."""
    found, todo = [], [source]
    while todo:
        path = os.path.normpath(todo.pop())
        if path in found:
            continue
        found.append(path)
        for name in INCLUDE.findall(read(path).decode(errors="replace")):
            places = [os.path.join(folder, name) for folder in [os.path.dirname(path), *folders]]
            todo += [place for place in places if os.path.isfile(place)][:1]
    return found


class Unit:
    """One run of clang-tidy: a source that is compiled alone, or a unity file."""

    def __init__(self, entry, build, version):
        words = shlex.split(entry["command"])
        folders = [os.path.join(entry["directory"], word[2:]) for word in words if word.startswith("-I")]
        self.build, self.path = build, os.path.relpath(entry["file"])
        files = [os.path.relpath(file) for file in files_behind(entry["file"], folders)]
        self.sources = [file for file in files if file.endswith(".cc") and not UNITY_FILE.fullmatch(os.path.basename(file))]
        self.size = sum(os.path.getsize(source) for source in self.sources)
        key = hashlib.sha256(version + read(".clang-tidy") + " ".join(words[1:]).replace(os.getcwd(), "").encode())
        for file in sorted(files):
            key.update(file.encode() + b"\0" + read(file))
        self.key = key.hexdigest()

    def is_clean(self, cache):
        clean = os.path.join(cache, self.key)
        if os.path.exists(clean):
            return True
        done = subprocess.run([TIDY, "-p", self.build, "--quiet", self.path], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        if done.returncode == 0:
            open(clean, "w").close()
            return True
        print(f"{done.stdout}tidy: {self.path}", flush=True)
        return False


def entries(build, folders):
    """The commands of sources in these folders: their own ones, and the unity files made of them."""
    seen = set()
    for entry in json.loads(read(os.path.join(build, "compile_commands.json"))):
        path = os.path.relpath(entry["file"])
        if UNITY_FILE.fullmatch(os.path.basename(path)):
            path = os.path.relpath(path, build)
        if path.split(os.sep)[0] in folders and path not in seen:
            seen.add(path)
            yield entry


def changed_since(commit):
    known = subprocess.run(["git", "rev-parse", "-q", "--verify", commit + "^{commit}"], stdout=subprocess.DEVNULL)
    if known.returncode != 0:
        return None
    return set(subprocess.check_output(["git", "diff", "--name-only", commit], text=True).split("\n"))


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    build, *folders = sys.argv[1:]
    since = None
    if folders[:1] == ["--since"]:
        since, folders = changed_since(folders[1]), folders[2:]
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "reprise", "tidy")
    os.makedirs(cache, exist_ok=True)
    version = subprocess.check_output([TIDY, "--version"])
    units = [Unit(entry, build, version) for entry in entries(build, folders or ["src"])]
    if since is not None:
        units = [unit for unit in units if since.intersection(unit.sources)]
    elif not units:
        sys.exit(f"tidy: {build} compiles nothing of {folders or ['src']}")
    units.sort(key=lambda unit: -unit.size)  # the longest first, so that all cores end together
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        clean = list(pool.map(lambda unit: unit.is_clean(cache), units))
    print(f"tidy: {len(units)} runs of {TIDY} over {sum(len(unit.sources) for unit in units)} sources")
    sys.exit(0 if all(clean) else 1)


if __name__ == "__main__":
    main()
