#!/usr/bin/env bash
# commands_test.sh REPRISE SOURCE: runs the commands that README.md and docs/ show, as a reader would type them.
#
# In blocks between ``` every line `reprise ...` runs with the repository's model in place of MODEL and must end with
# exit code 0. A server that `reprise serve` starts takes a free port and runs until the next one starts: lines `curl ...`
# ask it in place of localhost:8000 and must get a reply that is no error; lines `reprise ...` that name localhost:8000 run
# against it too. Lines `./run TASK` are not run, since tasks
# install, build or fetch: the task must be one that ./run knows.
# Lines that begin with a path must name a program of the repository; not run: why_not_run says why. Any other line of a
# block without a language fails, so that a new kind of command is not forgotten.
# In running text, each `./run TASK` and `reprise COMMAND` must exist, and each flag of the table in docs/flags.md must
# be in the help of a command.
set -euo pipefail
reprise_program=$(realpath "$1") source=$(realpath "$2")
export reprise_program
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source"
failures=0 ran=0
fail() { echo "FAILED $*"; failures=$((failures + 1)); }

why_not_run() {
  case $1 in
    tools/peer_bench.sh* | tools/serve_bench.sh*) echo "builds llama.cpp" ;;
    tools/limits_table.py*) echo "takes minutes and needs Python" ;;
    'graph='*) echo "sets a variable for the lines after it" ;;
    *) return 1 ;;
  esac
}
tasks=$(./run help | awk '/^  [a-z]/ { print $1 }' | sort -u)
commands=$("$reprise_program" --help | awk '/^Subcommands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }')
[ -n "$tasks" ] && [ -n "$commands" ] || { echo "the lists of tasks and commands could not be read"; exit 1; }
knows() { grep -qx -- "$2" <<<"$1"; }

# A place with the model under each name that the pages use, and a prompts file.
mkdir "$work/cwd"
ln -s "$source/models" "$source/tools" "$work/cwd/"
printf '"It was"\n{"prompt": "She", "max_tokens": 4}\n' >"$work/cwd/prompts.jsonl"
reprise() { "$reprise_program" "$@"; }
export -f reprise

run_line() { # PLACE COMMAND
  local line=$2 rc=0
  line=${line//MODEL/models\/tiny}
  line=${line//CHECKPOINT/models\/tiny}
  # Benchmarks run once and briefly: what is checked is that they run.
  case $line in
    'reprise bench '*)
      line=${line%%#*}
      for flag in '--repeat 1' '--output-len 4' '--input-len 8'; do
        [[ $line == *"${flag% *}"* ]] || line+=" $flag"
      done
      ;;
  esac
  (cd "$work/cwd" && timeout 300 bash -c "$line" </dev/null >"$work/out" 2>"$work/err") || rc=$?
  ran=$((ran + 1))
  [ $rc = 0 ] || fail "$1: exit code $rc: $2: $(tail -n 3 "$work/err")"
}

# A build without Boost has no server.
has_server=yes
address=
"$reprise_program" serve --help | grep -- '--uds' >/dev/null || has_server=
server=
stop_server() {
  [ -z "$server" ] || { kill "$server" && wait "$server"; } || fail "the server ended with exit code $?"
  server=
}
start_server() { # PLACE COMMAND
  local line=${2%%#*} i
  stop_server
  : >"$work/serve"
  # The shell becomes the program, so that it can be told to end.
  (cd "$work/cwd" && exec bash -c "exec \"\$reprise_program\" ${line#reprise } --port 0" </dev/null >"$work/out" 2>"$work/serve") &
  server=$!
  ran=$((ran + 1))
  for ((i = 0; i < 600; i++)); do
    if grep -q '^ready: ' "$work/serve"; then
      address=$(sed -n 's|^ready: http://||p' "$work/serve")
      return 0
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  fail "$1: no server: $2: $(tail -n 3 "$work/serve")"
}
ask_server() { # PLACE COMMAND
  ran=$((ran + 1))
  [ -n "$server" ] && [ -n "$address" ] || { fail "$1: no server runs: $2"; return; }
  bash -c "${2/#curl/curl -sS --fail-with-body --max-time 60}" </dev/null >"$work/out" 2>"$work/err" ||
    fail "$1: exit code $?: $2: $(tail -n 3 "$work/err" "$work/out")"
  [ -s "$work/out" ] || fail "$1: no reply: $2"
}
run_client() { # PLACE COMMAND: a command that asks the server
  ran=$((ran + 1))
  [ -n "$server" ] && [ -n "$address" ] || { fail "$1: no server runs: $2"; return; }
  (cd "$work/cwd" && timeout 300 bash -c "${2//localhost:8000/$address}" </dev/null >"$work/out" 2>"$work/err") ||
    fail "$1: exit code $?: $2: $(tail -n 3 "$work/err")"
}
trap 'stop_server; rm -rf "$work"' EXIT

pages=(README.md CONTRIBUTING.md docs/*.md docs/recipes/*.md)
while IFS=$'\t' read -r place line; do
  case $line in
    'reprise serve '*) [ -z "$has_server" ] || start_server "$place" "${line//MODEL/models/tiny}" ;;
    'curl '*) [ -z "$has_server" ] || ask_server "$place" "${line/localhost:8000/$address}" ;;
    'reprise '*localhost:8000*) [ -z "$has_server" ] || run_client "$place" "${line//MODEL/models/tiny}" ;;
    'reprise '*) run_line "$place" "$line" ;;
    './run '*)
      read -r _ task _ <<<"$line"
      knows "$tasks" "$task" || fail "$place: ./run knows no task '$task'"
      ;;
    '' | '#'*) ;;
    *)
      if ! why_not_run "$line" >/dev/null; then
        fail "$place: this test does not know what to do with: $line"
      elif [[ $line == tools/* ]] && [ ! -x "${line%% *}" ]; then
        fail "$place: ${line%% *} is no program"
      fi
      ;;
  esac
done < <(awk '/^```/ { inside = !inside; plain = $0 == "```"; next } inside && plain { print FILENAME ":" FNR "\t" $0 }' "${pages[@]}")

stop_server

# Running text: code spans.
while IFS=: read -r page line span; do
  read -r program word _ <<<"$span"
  [[ $word =~ ^[a-z][a-z-]*$ ]] || continue
  case $program in
    ./run) knows "$tasks" "$word" || fail "$page:$line: ./run knows no task '$word'" ;;
    reprise) knows "$commands" "$word" || fail "$page:$line: reprise knows no command '$word'" ;;
  esac
done < <(grep -noE '`(\./run|reprise) [^`]*`' "${pages[@]}" | tr -d '`')

if [ -f docs/flags.md ]; then
  for command in $commands; do "$reprise_program" "$command" --help; done >"$work/help"
  # bench has commands of its own.
  for command in latency levels serve; do "$reprise_program" bench "$command" --help; done >>"$work/help"
  flags=$(grep -E '^\| *`--' docs/flags.md | cut -d'|' -f2 | grep -oE -- '--[a-z][a-z-]+' | sort -u)
  [ "$(wc -w <<<"$flags")" -gt 20 ] || fail "docs/flags.md has only these flags: $flags"
  for flag in $flags; do
    grep -qE -- "(^|[ ,])$flag([ ,{]|$)" "$work/help" || fail "docs/flags.md: no command has $flag"
  done
fi

[ "$ran" -gt 10 ] || fail "only $ran commands were found"
echo "$ran commands run, $failures failed"
[ "$failures" = 0 ]
