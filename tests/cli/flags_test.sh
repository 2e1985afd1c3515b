#!/usr/bin/env bash
# flags_test.sh REPRISE SOURCE: a wrong value of any flag ends in exit code 2 and one line that names the flag, the value
# and what is expected. The flags are those that the program lists itself, so a new one is tested too.
. "$(dirname "$0")/common.sh"

# flags_of COMMAND...: lines "FLAG TYPE" from the help; TYPE is empty for a flag without a value.
flags_of() {
  "$reprise" "$@" --help | sed -nE 's/^  (-[a-z],)?(--[a-z-]+)(,--no-[a-z-]+(\{false\})?)? ?(.*)/\2 \5/p' |
    awk '$1 != "--help" && $1 != "--version" { print $1, ($2 ~ /^(TEXT|FILE|PATH|URL|NAME|JSON|INT|INT,\.\.\.|NUMBER|SIZE|[a-z0-9_]+(\|[a-z0-9_]+)+)$/ ? $2 : "") }'
}
# Values that are wrong for every flag of a type. Texts, files and folders have none.
wrong_values() {
  case $1 in
    URL) printf '%s\n' '' localhost:8000 https://127.0.0.1:1 http://127.0.0.1:x ;;
    INT) printf '%s\n' abc 1.5 1e3 99999999999999999999 -2000000000000 '' ' 1' ;;
    INT,...) printf '%s\n' , 1,,2 1,x -1 '1, 2' 99999999999 '' ;;
    NUMBER) printf '%s\n' abc 1e9x nan 1e999 '' ;;
    SIZE) printf '%s\n' 16gb lots -1 '' 1e30 ;;
    JSON) printf '%s\n' '{' abc '{"a":}' 'null' '' ;;
    *\|*) printf '%s\n' no-such-choice '' ;;
  esac
}
tested=0
declare -A seen
for command in generate chat complete tokenizer "bench latency" "bench throughput" "bench levels" "bench serve" serve replay plan check explain graph compile \
  "cache list" "cache verify" "cache clear"; do
  while read -r flag type; do
    # A sanitizer looks at what reads a value, which all commands share: there once for each flag of a type.
    [ -z "${REPRISE_SANITIZED:-}" ] || [ -z "${seen[$flag $type]:-}" ] || continue
    seen[$flag $type]=1
    required=(--model "$tiny")
    [[ $flag = --model || $command = cache* ]] && required=()
    [ "$command" = "bench serve" ] && required=(--url http://127.0.0.1:1)
    [[ $flag = --url ]] && required=()
    [ "$command" = replay ] && required+=("$work/requests.jsonl")
    [ "$command" = compile ] && [ "$flag" != --output ] && required+=(-o "$work/kernels")
    if [ -z "$type" ]; then
      run "$reprise" $command "${required[@]}" "$flag=maybe"
      one_error 2 "$command $flag=maybe"
      grep -qF -- "[$flag] is 'maybe', expected" "$work/err" || fail "$command $flag=maybe: $(cat "$work/err")"
      tested=$((tested + 1))
    fi
    # A flag without its value.
    if [ -n "$type" ]; then
      run "$reprise" $command "${required[@]}" "$flag"
      one_error 2 "$command $flag without a value"
      grep -qF -- "[$flag] has no value" "$work/err" || fail "$command $flag without a value: $(cat "$work/err")"
    fi
    while IFS= read -r value; do
      run "$reprise" $command "${required[@]}" "$flag" "$value"
      one_error 2 "$command $flag '$value'"
      grep -qF -- "[$flag]" "$work/err" || fail "$command $flag '$value' is not named: $(cat "$work/err")"
      grep -q expected "$work/err" || fail "$command $flag '$value': what is expected? $(cat "$work/err")"
      [ -z "$value" ] || grep -qF -- "$value" "$work/err" || fail "$command $flag: the value '$value' is not in: $(cat "$work/err")"
      grep -qi -- "malformed" "$work/err" && fail "$command $flag '$value': $(cat "$work/err")"
      tested=$((tested + 1))
      # The flags of the model are the same everywhere: all values for one command, one for the others.
      [ "$command" = generate ] || [ "$command" = "bench latency" ] || break
    done < <(wrong_values "$type")
  done < <(flags_of $command)
done
least=250
[ -z "${REPRISE_SANITIZED:-}" ] || least=200
[ "$tested" -gt $least ] || fail "only $tested values were tried: the help was not understood"

# wrong TEXT FLAGS...: values that are of the right type and still wrong.
wrong() {
  local text=$1
  shift
  run "$reprise" generate --model "$tiny" --prompt It --max-tokens 1 "$@"
  one_error 2 "$*"
  grep -qF -- "$text" "$work/err" || fail "'$text' is not in: $(cat "$work/err")"
}
wrong "[--dtype] is 'bfloat61', expected one of auto, float32, bfloat16; did you mean bfloat16?" --dtype bfloat61
wrong "[--isa] is 'mmx', expected one of auto, scalar, avx2" --isa mmx
wrong "dummy" --load-choices maybe
wrong "--block-size is 7, expected" --block-size 7
wrong "--gpu-memory-utilization is 2" --gpu-memory-utilization 2
wrong "--max-partition-size is 63, expected" --max-partition-size 63
wrong "--graph-verify] is 'sometimes', expected off, startup" --graph-verify sometimes
wrong "--graph-optimization-config]" --graph-optimization-config '{"graph_opt_level": 9}'
wrong 'did you mean "use_cudagraph"?' --graph-optimization-config '{"use_cudagrap": true}'
wrong "--graph-optimization-config]" --graph-optimization-config 'not JSON'
wrong "max-tokens" --max-tokens -1
wrong "[--n]" --n 0
wrong "[--n]" --n 20000000
wrong "[--top-p]" --top-p 7
wrong "[--temperature]" --temperature -1
wrong "[--temperature]" --temperature 1e9999
wrong "[--logit-bias]" --logit-bias '{"5": 1000}'
wrong "[--logit-bias]" --logit-bias '{"x": 1}'
wrong "[--min-tokens]" --min-tokens -1
wrong "[--repetition-penalty]" --repetition-penalty 0
wrong "[--threads]" --threads 1e9
wrong "[--threads]" --threads -1
wrong "[--prompt-ids] is '1,,2', expected integers" --prompt-ids 1,,2
wrong "[--prompt-ids] is '-5', expected integers from 0" --prompt-ids -5
wrong "[--chat-template-kwargs] is '[]', expected a JSON object" --chat-template-kwargs '[]'
wrong "[--tools] cannot" --tools "$work/none.json"
printf '{}' >"$work/tools.json"
wrong "holds no list" --tools "$work/tools.json"

finish
