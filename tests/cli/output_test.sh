#!/usr/bin/env bash
# output_test.sh REPRISE SOURCE: what cannot be written is an error of every command, and what can is written whole.
. "$(dirname "$0")/common.sh"

# Every command, with what makes it write.
commands=(
  "tokenizer --model $tiny --encode It"
  "tokenizer --model $tiny --decode 5,6"
  "tokenizer --model $tiny --count $tiny/config.json"
  "tokenizer --model $tiny --batch $work/batch.jsonl"
  "plan --model $tiny" "plan --model $tiny --json"
  "check --model $tiny" "check --model $tiny --json"
  "explain --model $tiny" "explain --model $tiny --json"
  "graph --model $tiny" "graph --model $tiny --format dot" "graph --model $tiny --format html"
  "graph --model $tiny --format kernels" "compile --model $tiny -o $work/kernels"
  "collect-env" "collect-env --json"
  "cache list --compile-cache $work/cache" "cache verify --compile-cache $work/cache"
  "cache clear --compile-cache $work/cache" "cache clear --compile-cache $work/cache --json"
  "generate --model $tiny --prompt It --max-tokens 2" "generate --model $tiny --prompt It --max-tokens 2 --json"
  "chat --model $tiny --prompt It --max-tokens 2" "complete --model $tiny --prompt It --max-tokens 2"
  "bench latency --model $tiny --input-len 8 --output-len 4 --repeat 1"
  "bench latency --model $tiny --input-len 8 --output-len 4 --repeat 1 --json"
  "bench throughput --model $tiny --input-len 8 --output-len 4 --repeat 1 --num-prompts 2"
  "bench levels --model $tiny --input-len 8 --output-len 4 --repeat 1"
  "replay $work/requests.jsonl --model $tiny" "replay $work/requests.jsonl --model $tiny --json"
  "serve --help"  # a server says all else on standard error
  "--help" "generate --help" "bench latency --help" "--version"
)
printf '{"text":"It"}\n' >"$work/batch.jsonl"
printf '{"version":1,"id":"x","path":"/v1/completions","body":"","fingerprint":"","end":"error","status":400,"prompts":[]}\n' \
  >"$work/requests.jsonl"

# No command of the program is missing above.
for name in $("$reprise" --help | sed -n '/^Subcommands:/,$p' | awk '/^  [a-z]/ { print $1 }'); do
  [[ " ${commands[*]%% *} " == *" $name "* ]] || fail "no test of the output of '$name'"
done

if [ -w /dev/full ]; then
  for command in "${commands[@]}"; do
    rc=0
    timeout 120 "$reprise" $command >/dev/full 2>"$work/err" </dev/null || rc=$?
    one_error 1 "$command >/dev/full"
    grep -q 'cannot write to standard output: No space left on device' "$work/err" || fail "reason: $(cat "$work/err")"
  done
  run "$reprise" graph --model "$tiny" -o /dev/full
  one_error 1 "graph -o /dev/full"
  run "$reprise" graph --model "$tiny" --format trace -o /dev/full
  one_error 1 "graph --format trace -o /dev/full"
  run "$reprise" generate --model "$tiny" --prompt It --max-tokens 2 --trace /dev/full
  one_error 1 "--trace /dev/full"
  [ -c /dev/full ] || fail "/dev/full was replaced by a file"
else
  echo "skipped: /dev/full (this machine has none)"
fi

# Standard output that is closed, or whose reader is gone. The latter ends quietly.
for command in "${commands[@]}"; do
  rc=0
  timeout 120 "$reprise" $command >&- 2>"$work/err" </dev/null || rc=$?
  one_error 1 "$command >&-"
  mkfifo "$work/pipe"
  { timeout 120 sh -c 'exec 3>"$1"; sleep 0.1; shift; exec "$@" >&3 3>&-' sh "$work/pipe" "$reprise" $command \
      2>"$work/err" </dev/null; echo $? >"$work/rc"; } &
  : <"$work/pipe"
  wait
  rm "$work/pipe"
  [ "$(cat "$work/rc")" = 1 ] || fail "exit code $(cat "$work/rc") instead of 1: the reader of $command is gone"
  grep -q '^reprise: error:' "$work/err" && fail "not quiet: $command: $(cat "$work/err")"
done

# Files that can't be written are known before any work.
for flags in "graph -o" "graph --format trace -o" "graph --format kernels -o" "compile -o" "generate --prompt It --max-tokens 1 --trace" \
  "bench latency --input-len 8 --output-len 4 --repeat 1 --trace"; do
  for path in "$work/no/such/folder/f" "$work"; do
    name=${flags##* }
    run "$reprise" ${flags% *} --model "$tiny" "$name" "$path"
    one_error 1 "$flags $path"
    grep -q "cannot write $path" "$work/err" || fail "the path is not in: $(cat "$work/err")"
  done
done
[ -z "$(find "$work" -name '*.part')" ] || fail "left behind: $(find "$work" -name '*.part')"

# Bytes of value 0 are text like any other.
printf '{"text":"a\\u0000b","add_special_tokens":false}\n' >"$work/zero.jsonl"
ids=$("$reprise" tokenizer --model "$tiny" --batch "$work/zero.jsonl" | tr -d '{}[]"a-z_:')
"$reprise" tokenizer --model "$tiny" --decode "$ids" >"$work/out"
[ "$(od -An -c "$work/out" | tr -d ' \n')" = 'a\0b\n' ] || fail "decoded: $(od -c "$work/out")"
# The text that is generated begins with the prompt (--echo), and both forms hold it whole.
printf '{"prompt_token_ids":[%s],"max_tokens":1,"echo":true}\n' "$ids" >"$work/zero.jsonl"
"$reprise" generate --model "$tiny" --prompts-file "$work/zero.jsonl" --temperature 0 >"$work/out" 2>"$work/err"
[ "$(head -c 3 "$work/out" | od -An -c | tr -d ' \n')" = 'a\0b' ] || fail "generated: $(od -c "$work/out")"
"$reprise" generate --model "$tiny" --prompts-file "$work/zero.jsonl" --temperature 0 --json >"$work/out" 2>"$work/err"
grep -qF '"text":"a\u0000b' "$work/out" || fail "as JSON: $(cat "$work/out")"

finish
