#!/usr/bin/env bash
# clients_test.sh REPRISE SOURCE: the commands that ask a server, against the program's own.
. "$(dirname "$0")/common.sh"
server=
stop_server() {
  [ -z "$server" ] && return
  kill "$server" && wait "$server" || fail "the server ended with exit code $?"
  server=
}
trap 'stop_server; rm -rf "$work"' EXIT
# start_server FLAGS...: sets $url.
start_server() {
  stop_server
  "$reprise" serve --model "$tiny" --host 127.0.0.1 --port 0 --log off "$@" 2>"$work/serve" &
  server=$!
  for _ in $(seq 600); do
    url=$(sed -n 's|^ready: ||p' "$work/serve")
    [ -n "$url" ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  fail "no server: $(cat "$work/serve")"
  server=
}
# says TEXT: it is in the output of the last run.
says() { grep -qF -- "$1" "$work/out" "$work/err" || fail "'$1' is not in: $(head -c 600 "$work/out") $(head -c 600 "$work/err")"; }
number() { sed -nE "s/.*\"$1\":([0-9.]+).*/\1/p" "$work/out"; }

# ---- bench serve
start_server --api-key secret
bench=("$reprise" bench serve --url "$url" --api-key secret --input-tokens 40 --output-tokens 8 --ignore-eos)
for endpoint in completions chat; do
  run "${bench[@]}" --endpoint $endpoint --num-requests 12 --concurrency 3 --json
  [ "$rc" = 0 ] || fail "bench serve, $endpoint: $(cat "$work/err")"
  [ "$(wc -l <"$work/out")" = 1 ] || fail "--json is not one line"
  [ "$(number completed)" = 12 ] && [ "$(number failed)" = 0 ] && [ "$(number most_open)" = 3 ] || fail "counts: $(cat "$work/out")"
  [ "$(number output_tokens_per_s)" != 0 ] || fail "no rate"
  [ "$(number inexact_prompts)" -gt 0 ] || grep -q '"input_tokens":480,' "$work/out" || fail "prompts have not 40 tokens: $(cat "$work/out")"
done
run "${bench[@]}" --request-rate 100 --num-requests 12 --lengths sharegpt --shared-prefix-tokens 10 --goodput ttft:0.000001,itl:100000
[ "$rc" = 0 ] || fail "bench serve by rate: $(cat "$work/err")"
says "12 requests completed, 0 failed"
says "goodput: 0 requests within the limits"
run "${bench[@]}" --duration 0.3 --concurrency 2
[ "$rc" = 0 ] || fail "bench serve by time: $(cat "$work/err")"
run env REPRISE_API_KEY=secret "$reprise" bench serve --url "$url/v1/" --num-requests 2 --input-tokens 10 --output-tokens 2
[ "$rc" = 0 ] || fail "the key of the environment: $(cat "$work/err")"
run "$reprise" bench serve --url "$url" --num-requests 2
one_error 1 "without a key"
says "this server needs an API key"
run "${bench[@]}" --model other
one_error 1 "a model that is not served"
says "the model 'other' is not served"
run "$reprise" bench serve --url "$url" --api-key secret --input-tokens 100000
one_error 1 "a prompt that is too long"
run "${bench[@]}" --extra-body '{"temprature": 1}'
one_error 1 "a field that the server refuses"
says "did you mean temperature?"
run "${bench[@]}" --dataset "$work/none.json"
one_error 1 "a dataset that is not there"
run "$reprise" bench serve
one_error 2 "bench serve without a server"
run "${bench[@]}" --request-rate 1 --concurrency 1
one_error 2 "rate and concurrency"
run "$reprise" bench serve --url https://127.0.0.1:1
one_error 2 "https"
says "no TLS; run a tunnel or a proxy"
run "$reprise" bench serve --url http://127.0.0.1:1
one_error 1 "nobody listens"
says "is the server running?"
"${bench[@]}" --duration 60 >"$work/out" 2>"$work/err" &
client=$!
sleep 1
kill -TERM $client
wait $client
rc=$?
one_error 143 "bench serve, interrupted"
says "requests completed"
stop_server

finish
