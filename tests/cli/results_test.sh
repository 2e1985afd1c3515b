#!/usr/bin/env bash
# results_test.sh REPRISE SOURCE: results of `generate` are written as they come, and what is done survives whatever ends
# the run.
. "$(dirname "$0")/common.sh"
generate() { echo "$reprise" generate --model "$tiny" --json --max-num-seqs 4; }
# prompts COUNT TOKENS: lines of a prompts file.
prompts() { local i; for ((i = 0; i < $1; i++)); do printf '{"prompt_token_ids":[%d,7],"max_tokens":%d,"ignore_eos":true}\n' $((i % 50)) "$2"; done; }

# A line that somebody writes is answered before the next is written: the writer waits for each answer.
mkfifo "$work/in" "$work/answers"
$(generate) --prompts-file "$work/in" >"$work/answers" 2>"$work/err" &
exec 6<"$work/answers" 5>"$work/in"
for i in 0 1 2; do
  prompts 1 4 >&5
  IFS= read -r -t 60 answer <&6 || fail "no answer to prompt $i while the file is open: $(cat "$work/err")"
  [[ $answer == '{"index":'$i,* ]] || fail "answer to prompt $i: $answer"
done
exec 5>&-
wait $! || fail "exit code $? of a run whose prompts came one by one"
exec 6<&-

# Ctrl-C and SIGTERM: the lines that are there are whole, in order, and counted; nothing else is said.
prompts 20000 20 >"$work/long.jsonl"
for signal in INT:130 TERM:143; do
  rm -f "$work/out"
  mkfifo "$work/out"
  # A shell that is no terminal starts what it puts in the background with SIGINT ignored; env restores it.
  env --default-signal=INT $(generate) --prompts-file "$work/long.jsonl" >"$work/out" 2>"$work/err" &
  process=$!
  exec 6<"$work/out"
  for ((i = 0; i < 10; i++)); do IFS= read -r -t 60 answer <&6 || fail "no line $i"; done
  kill -s "${signal%:*}" $process
  cat <&6 >"$work/rest"
  exec 6<&-
  wait $process
  rc=$?
  rm "$work/out"
  one_error "${signal#*:}" "interrupted by ${signal%:*}"
  lines=$((10 + $(wc -l <"$work/rest")))
  [ $lines -lt 20000 ] || fail "the run was not interrupted"
  grep -q "interrupted: $lines prompts are done" "$work/err" || fail "$lines lines, said: $(cat "$work/err")"
  [ -z "$(tail -c 1 "$work/rest")" ] || fail "the last line is not whole: $(tail -n 1 "$work/rest")"
  grep -qv '"finish_reason":"length"' "$work/rest" && fail "a line that is no result: $(grep -v '"finish_reason":"length"' "$work/rest" | head -n 1)"
done

# Bad lines keep their places, wherever they are; the rest go on, and the exit code is 1.
{
  prompts 30 2
  echo 'not JSON'
  echo '{"promt":"x"}'
  head -c 70000000 /dev/zero | tr '\0' ' '
  echo '"x"'
  echo
  prompts 30 2
} >"$work/mixed.jsonl"
run $(generate) --prompts-file "$work/mixed.jsonl"
[ "$rc" = 1 ] || fail "exit code $rc of a file with bad lines"
[ "$(sed -E 's/^\{"index":([0-9]+),.*/\1/' "$work/out" | tr '\n' ' ')" = "$(seq -s ' ' 0 62) " ] || fail "indices: $(cut -c 1-20 "$work/out" | tr '\n' ' ')"
for line in 31 32 33; do sed -n ${line}p "$work/out" | grep -q '"error"' || fail "line $line has no error: $(sed -n ${line}p "$work/out")"; done
sed -n 33p "$work/out" | grep -q 'longer than 67108864 bytes' || fail "$(sed -n 33p "$work/out")"
[ "$(grep -c '"outputs"' "$work/out")" = 60 ] || fail "$(grep -c '"outputs"' "$work/out") of 60 good prompts were answered"

# A full disk ends the run at the first line that can't be written, not after all prompts.
if [ -w /dev/full ]; then
  prompts 100000 20 >"$work/long.jsonl"
  rc=0
  timeout 60 $(generate) --prompts-file "$work/long.jsonl" >/dev/full 2>"$work/err" || rc=$?
  one_error 1 "a long run to a full disk"
fi

# Files that are none.
run $(generate) --prompts-file "$work"
one_error 1 "a folder as prompts file"
grep -q 'Is a directory' "$work/err" || fail "$(cat "$work/err")"
run $(generate) --prompts-file /dev/null
one_error 1 "an empty prompts file"

# Chat draws a seed and says it; with that seed the same is said again.
chat() { "$reprise" chat --model "$tiny" --prompt "It was" --max-tokens 20 "$@" 2>"$work/err" </dev/null; }
first=$(chat)
seed=$(sed -n 's/^seed \([0-9]*\) .*/\1/p' "$work/err")
[ -n "$seed" ] || fail "chat names no seed: $(cat "$work/err")"
[ "$(chat --seed "$seed")" = "$first" ] || fail "--seed $seed does not repeat the conversation"
for i in 1 2 3; do chat >"$work/again"; [ "$(cat "$work/again")" = "$first" ] || break; done
[ "$(cat "$work/again")" != "$first" ] || fail "four conversations without a seed are the same"

finish
