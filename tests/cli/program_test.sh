#!/usr/bin/env bash
# program_test.sh REPRISE SOURCE: runs the program as a person would. Every bad input must end in exit code 1, wrong
# usage in 2, with one line that begins "reprise: error:" and names what is wrong.
. "$(dirname "$0")/common.sh"

# error CODE TEXT COMMAND...: the command exits with CODE and its last line on standard error holds TEXT.
error() {
  local code=$1 text=$2 rc=0
  shift 2
  timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null || rc=$?
  [ "$rc" = "$code" ] || fail "exit code $rc instead of $code: $*: $(tail -n 1 "$work/err")"
  grep -qiF -- "$text" "$work/err" || fail "'$text' is not in the message of: $*: $(tail -n 1 "$work/err")"
  if [ "$code" != 0 ]; then
    [ "$(grep -c '^reprise: error:' "$work/err")" = 1 ] || fail "not one line of error: $*: $(cat "$work/err")"
  fi
}
# says TEXT COMMAND...: the command succeeds and prints TEXT.
says() {
  local text=$1
  shift
  timeout 60 "$@" >"$work/out" 2>"$work/err" </dev/null || fail "exit code $?: $*: $(tail -n 1 "$work/err")"
  grep -qF -- "$text" "$work/out" || fail "'$text' is not in the output of: $*: $(head -c 300 "$work/out")"
}
# A copy of the tiny model to break.
broken() { rm -rf "$work/model"; cp -r "$tiny" "$work/model"; }
generate() { echo "$reprise" generate --model "$work/model" --prompt-ids 1,2,3 --max-tokens 2; }

# What works.
says '"finish_reason":"length"' "$reprise" generate --model "$tiny" --prompt "It was" --max-tokens 3 --temperature 0 --ignore-eos --json --logprobs 2
says '"prompt_logprobs":[null,{' "$reprise" generate --model "$tiny" --prompt-ids 5,6,7 --max-tokens 1 --prompt-logprobs 1 --json
says '"isa_available"' "$reprise" collect-env --json
says '"decode_tokens_per_s"' "$reprise" bench latency --model "$tiny" --load-choices dummy --input-len 8 --output-len 4 --batch-size 1,3 --repeat 1 --json
says 'requests/s' "$reprise" bench throughput --model "$tiny" --input-len 8 --output-len 4 --num-prompts 5 --repeat 1
ids=$("$reprise" tokenizer --model "$tiny" --encode "It was a fine day")
says 'It was a fine day' "$reprise" tokenizer --model "$tiny" --decode "$ids" --skip-special-tokens
printf '%s\n' '"It was"' '{"prompt_token_ids":[1,2,3],"max_tokens":2}' >"$work/prompts.jsonl"
says '{"index":1,' "$reprise" generate --model "$tiny" --prompts-file "$work/prompts.jsonl" --max-tokens 2 --json
says '"traceEvents"' sh -c "'$reprise' generate --model '$tiny' --prompt It --max-tokens 2 --trace '$work/trace.json' && cat '$work/trace.json'"

# A prompt that can't run keeps its place, and the others finish.
printf '%s\n' '{"promt":"x"}' '"It"' '{"prompt":"x","top_p":7}' >"$work/prompts.jsonl"
timeout 60 "$reprise" generate --model "$tiny" --prompts-file "$work/prompts.jsonl" --max-tokens 2 --json >"$work/out" 2>"$work/err" && fail "bad prompts gave exit code 0"
[ "$(grep -c '"error"' "$work/out")" = 2 ] && sed -n 2p "$work/out" | grep -q '"outputs"' || fail "results of a mixed file: $(cat "$work/out")"

# What a chat template gets from flags: the same ids as from a request that says it.
printf '{%% if enable_thinking is defined and not enable_thinking %%}No {%% endif %%}{{ tools|length if tools else "" }}{{ messages[0].content }}' >"$work/args.jinja"
printf '[{"type":"function","function":{"name":"f"}}]' >"$work/tools.json"
# ids_of MEMBERS: of the message "It was", with these members of a request.
ids_of() {
  printf '{"messages":[{"role":"user","content":"It was"}],"add_generation_prompt":true%s}\n' "$1" >"$work/chat.jsonl"
  "$reprise" tokenizer --model "$tiny" --chat-template "$work/args.jinja" --batch "$work/chat.jsonl" |
    sed -E 's/.*"token_ids":(\[[0-9,]*\]).*/\1/'
}
plain=$(ids_of '')
thinking=$(ids_of ',"chat_template_kwargs":{"enable_thinking":false}')
tools=$(ids_of ",\"tools\":$(cat "$work/tools.json")")
[ "$thinking" != "$plain" ] && [ "$tools" != "$plain" ] || fail "the template ignores its arguments: $plain $thinking $tools"
chat=("$reprise" generate --model "$tiny" --chat-template "$work/args.jinja" --chat --prompt "It was" --max-tokens 1 --json)
says "\"prompt_token_ids\":$plain" "${chat[@]}"
says "\"prompt_token_ids\":$thinking" "${chat[@]}" --chat-template-kwargs '{"enable_thinking": false}'
says "\"prompt_token_ids\":$tools" "${chat[@]}" --tools "$work/tools.json"
for flags in '' '--chat-template-kwargs {"enable_thinking":false}' "--tools $work/tools.json"; do
  case $flags in '') right=$plain ;; *kwargs*) right=$thinking ;; *) right=$tools ;; esac
  error 0 "($(tr -cd , <<<"$right," | wc -c) prompt tokens" "$reprise" chat --model "$tiny" \
    --chat-template "$work/args.jinja" --prompt "It was" --max-tokens 1 $flags
done

# A control token that a user types is text, unless a flag says otherwise.
printf '{{ messages[0].content }}' >"$work/content.jinja"
printf '{"messages":[{"role":"user","content":"a<|im_end|>b"}]}\n' >"$work/chat.jsonl"
typed() { "$reprise" tokenizer --model "$tiny" --chat-template "$work/content.jinja" --batch "$work/chat.jsonl" "$@"; }
control=$("$reprise" tokenizer --model "$tiny" --encode '<|im_end|>')
typed | grep -q "[[,]$control[],]" && fail "a user's control token ends the turn: $(typed)"
typed --chat-control-tokens-in-content | grep -q "[[,]$control[],]" || fail "no control token: $(typed --chat-control-tokens-in-content)"

# Usage.
error 2 "required" "$reprise" generate --prompt x
error 2 "--no-such-flag" "$reprise" generate --model "$tiny" --no-such-flag
error 2 "needs a command" "$reprise"
error 2 "dummy" "$reprise" generate --model "$tiny" --load-choices maybe --prompt x
error 2 "has no prompt" "$reprise" generate --model "$tiny"
error 2 "top-p" "$reprise" generate --model "$tiny" --prompt x --top-p big
error 2 "isa" "$reprise" generate --model "$tiny" --prompt x --isa mmx
error 2 "block" "$reprise" generate --model "$tiny" --prompt x --block-size 7

# Graph settings: refused, or warned of, before the weights are read.
graph() { echo "$reprise" generate --model "$tiny" --prompt-ids 1,2,3 --max-tokens 2; }
error 2 'did you mean "use_cudagraph"?' $(graph) --graph-optimization-config '{"use_cudagrap": true}'
error 2 '"use_cudagraph" is given twice' $(graph) --graph-optimization-config '{"use_cudagraph": true, "use_cudagraph": true}'
error 2 '--use-cudagraph contradicts "use_cudagraph": false' $(graph) --graph-optimization-config '{"use_cudagraph": false}' --use-cudagraph
error 2 '--use-cudagraph=false contradicts "use_cudagraph": true' $(graph) --graph-optimization-config '{"use_cudagraph": true}' --use-cudagraph=false
error 1 'all above --max-num-seqs (8)' $(graph) --graph-optimization-config '{"use_cudagraph": true, "cudagraph_capture_sizes": [9, 16]}'
error 2 'expected an object' $(graph) --graph-optimization-config '[1, 2]'
error 2 'startup' $(graph) --graph-verify sometimes
error 2 'auto chooses the level' $(graph) --graph-opt auto --graph-optimization-config '{"graph_opt_level": 0}'
error 2 'FLAGS_max_partition_size=128' env FLAGS_max_partition_size=128 $(graph) --max-partition-size 64
error 2 'give a JSON object' $(graph) --graph-optimization-config ''
error 0 'reprise: warning: cudagraph_capture_sizes without effect' $(graph) --graph-optimization-config '{"cudagraph_capture_sizes": [8]}' --json
says '"not_replayed":{"cudagraph_off":2}' $(graph) --ignore-eos --json

# Plans: no weights are read (the shape's folder has none), and what doesn't fit is advised on, not an error.
shape=$2/tools/shapes/qwen3-0.6b
says '"weights_bytes":1192231168,"workspace_bytes":' "$reprise" plan --model "$shape" --memory 16GiB --json
says '"capture_sizes":[],"fits":true,"advice":[]}' "$reprise" plan --model "$shape" --memory 16GiB --json
says '"capture_sizes":[1,2,4,8],"one_recording":true,"fits":true' "$reprise" plan --model "$shape" --memory 16GiB --use-cudagraph --json
says '"capture_sizes":[1,3,8],"fits":true' "$reprise" plan --model "$shape" --memory 16GiB --json --graph-optimization-config '{"use_cudagraph": true, "cudagraph_capture_sizes": [8, 3, 1]}'
says '"fits":false,"advice":["lower --max-model-len from 8192 to ' "$reprise" plan --model "$shape" --memory 1800MiB --max-model-len 8192 --json
# The last line of advice is the memory that it takes: exactly that fits, and 1 MiB less doesn't.
needed=$(sed 's/.*give the process \([0-9]*\) MiB.*/\1/' "$work/out")
says '"fits":true' "$reprise" plan --model "$shape" --memory "${needed}MiB" --max-model-len 8192 --json
says '"fits":false' "$reprise" plan --model "$shape" --memory "$((needed - 1))MiB" --max-model-len 8192 --json
says 'predicted' "$reprise" plan --model "$tiny" --actual --use-cudagraph
error 1 'to make it fit: ' "$reprise" generate --model "$tiny" --prompt x --gpu-memory-utilization 0.000001
error 2 'expected bytes' "$reprise" plan --model "$shape" --memory lots
error 0 'memory            predicted       actual' $(graph) --use-cudagraph
error 0 'graph: 1 steps not replayed: prefill_not_captured' $(graph) --use-cudagraph --capture-before-ready
error 0 'graph: 2 steps compared with' $(graph) --ignore-eos --graph-optimization-config '{"graph_opt_level": 1}' --graph-verify sample=1

# The path of a step, without weights.
explain() { echo "$reprise" explain --model "$shape" --json; }
lists='{"use_cudagraph": true, "cudagraph_capture_sizes": [2, 4, 8]}'
says '{"path":"replay","captured_size":4,"padding":1,"reason":"replayed: ' $(explain) --batch 3 --graph-optimization-config "$lists"
says '{"path":"replay","captured_size":3,"padding":0,"reason":"replayed: ' $(explain) --batch 3 --use-cudagraph
says '{"path":"eager","captured_size":0,"padding":0,"reason":"prefill_not_captured: ' $(explain) --prefill 100 --use-cudagraph
says '"path":"static","captured_size":0,"padding":0,"reason":"mixed_not_captured: ' $(explain) --batch 3 --prefill 100 --graph-optimization-config '{"graph_opt_level": 1, "use_cudagraph": true}'
says '"path":"split","captured_size":103,"padding":0' $(explain) --batch 3 --prefill 100 --graph-optimization-config '{"graph_opt_level": 1, "use_cudagraph": true, "full_cuda_graph": false}'
says '"reason":"above_largest_size: ' $(explain) --batch 9 --max-num-seqs 16 --graph-optimization-config "$lists"
says '"reason":"cudagraph_off: ' $(explain)
error 2 '--batch 9 exceeds --max-num-seqs 8; raise --max-num-seqs to at least 9' $(explain) --batch 9
error 2 '--batch 8 with one sequence more for --prefill exceeds --max-num-seqs 8' $(explain) --batch 8 --prefill 5
error 2 '1 or more' $(explain) --batch 0

# What may not be done, and the graph itself, without weights.
static='{"graph_opt_level": 1, "use_cudagraph": true}'
says '"partition_quotient":32,"safe_in_reference":false,"safe":true' "$reprise" check --model "$shape" --max-partition-size 64 --json
says '"not_captured":[],"two_capture_diff":"none"}' "$reprise" check --model "$shape" --json --graph-optimization-config "$static"
says '"op":"paged_attention","layer":"model.layers.27.self_attn"' "$reprise" check --model "$shape" --json --graph-optimization-config '{"graph_opt_level": 1, "use_cudagraph": true, "full_cuda_graph": false}'
says 'longer than 64 tokens depend on max_partition_size' "$reprise" check --model "$shape" --max-partition-size 64
says 'not safe: more than 1' "$reprise" check --model "$shape" --max-partition-size 64
says ' = silu(' "$reprise" graph --model "$shape" --pass traced
says ' = silu_mul(' "$reprise" graph --model "$shape" --pass fuse_gate
says 'digraph' "$reprise" graph --model "$shape" --format dot
says 'replayed' "$reprise" graph --model "$tiny" --format html --use-cudagraph
grep -q 'a layer  *17  *9' "$work/err" || fail "launches a layer: $(cat "$work/err")"
says '"layer":"model.layers.0.self_attn","tokens":3,"seqs":3' sh -c "'$reprise' graph --model '$tiny' --format trace --batch 3 -o '$work/step.json' && cat '$work/step.json'"
error 2 "did you mean fuse_gate?" "$reprise" graph --model "$tiny" --pass fuse_gat
error 2 'name it with -o' "$reprise" graph --model "$tiny" --format trace
error 1 '[-o] cannot write' "$reprise" graph --model "$tiny" -o "$work/no/such/folder/graph.txt"
error 2 '--format' "$reprise" graph --model "$tiny" --format pdf

# Models that aren't there or are damaged.
error 1 "/no/such/model" "$reprise" generate --model /no/such/model --prompt x
broken; rm "$work/model/config.json"; error 1 "config.json" $(generate)
broken; sed -i 's/LlamaForCausalLM/FancyForCausalLM/' "$work/model/config.json"; error 1 "FancyForCausalLM" $(generate)
broken; sed -i 's/"hidden_size": *[0-9]*/"hidden_size": 1000/' "$work/model/config.json"; error 1 "1000" $(generate)
broken; sed -i 's/"num_hidden_layers": *\([0-9]*\)/"num_hidden_layers": 99/' "$work/model/config.json"; error 1 "model.layers." $(generate)
broken; printf '{"a":' >"$work/model/config.json"; error 1 "malformed JSON" $(generate)
broken; truncate -s 5000 "$work/model/model.safetensors"; error 1 "safetensors" $(generate)
broken; printf '\0\0\0\0\0\0\0\020{}' >"$work/model/model.safetensors"; error 1 "header" $(generate)
broken; rm "$work/model/model.safetensors"; error 1 "safetensors" $(generate)
broken; printf '{"version":"1.0","model":{"type":"BPE","vocab":{"a":0,"b":7},"merges":[]}}' >"$work/model/tokenizer.json"; error 1 "hole" $(generate)
broken; rm "$work/model/tokenizer.json"; error 1 "tokenizer.json" "$reprise" generate --model "$work/model" --prompt x
broken; rm "$work/model/tokenizer.json"; says '"text":""' $(generate) --json
printf 'GGUF\003\0\0\0\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377' >"$work/bad.gguf"; error 1 "bad.gguf" "$reprise" generate --model "$work/bad.gguf" --prompt x

# Prompts, templates, files.
error 1 "at most 63 fit" "$reprise" generate --model "$tiny" --prompt-ids "$(seq -s, 1 200)" --max-model-len 64
error 1 "vocab" "$reprise" generate --model "$tiny" --prompt-ids 1,999999
printf '{%% for i in range(99999) %%}{%% for j in range(99999) %%}{%% for k in range(99999) %%}{%% endfor %%}{%% endfor %%}{%% endfor %%}' >"$work/loop.jinja"
error 1 "chat template" "$reprise" generate --model "$tiny" --chat --prompt x --chat-template "$work/loop.jinja"
printf '{%% if %%}' >"$work/syntax.jinja"; error 1 "line 1" "$reprise" generate --model "$tiny" --chat --prompt x --chat-template "$work/syntax.jinja"
error 1 "--prompts-file" "$reprise" generate --model "$tiny" --prompts-file "$work/none.jsonl"
error 1 "[--trace] cannot write" "$reprise" generate --model "$tiny" --prompt x --max-tokens 1 --trace "$work/no/such/folder/t.json"
# A trace that doesn't fit: past a limit on the size of files, and on a file system that is full. No part of it stays.
no_part() { [ -z "$(find "$work" -name '*.part' -o -name 'big.json')" ] || fail "left behind: $(find "$work" -name '*.part' -o -name 'big.json')"; }
trace_to() { echo "'$reprise' generate --model '$tiny' --prompt It --max-tokens 8 --temperature 0 --ignore-eos --trace '$1/big.json'"; }
error 1 "[trace] cannot write $work/big.json: File too large" bash -c "ulimit -f 16; $(trace_to "$work")"
no_part
mkdir "$work/full"
if unshare -rm mount -t tmpfs -o size=64k none "$work/full" 2>/dev/null; then
  error 1 "[trace] cannot write $work/full/big.json: No space left on device" unshare -rm bash -c "
    mount -t tmpfs -o size=64k none '$work/full'; $(trace_to "$work/full"); code=\$?
    [ -z \"\$(ls '$work/full')\" ] || { echo 'a part was left'; exit 9; }; exit \$code"
else
  echo "skipped: a full file system for --trace (this machine allows no private mounts); the limit on file sizes was tried"
fi

finish
