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
serve_by() { # COMMAND...: sets $url and $metrics
  stop_server
  : >"$work/serve" # before the shell of the next line does it, what the last server said could be read
  "$@" 2>"$work/serve" &
  server=$!
  for _ in $(seq 600); do
    url=$(sed -n 's|^ready: ||p' "$work/serve") metrics=$(sed -n 's|^metrics: ||p' "$work/serve")
    [ -n "$url" ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  fail "no server: $(cat "$work/serve")"
  server=
}
start_server() { serve_by "$reprise" serve --model "$tiny" --host 127.0.0.1 --port 0 --log off "$@"; } # FLAGS...
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
run "${bench[@]}" --num-requests 8 --input-tokens-max 80 --json
[ "$rc" = 0 ] || fail "bench serve, lengths from 40 to 80: $(cat "$work/err")"
of_all=$(grep -oE '"input_tokens":[0-9]+' "$work/out" | head -1 | cut -d: -f2)  # of the load; that of the settings follows
[ "$of_all" -gt 330 ] && [ "$of_all" -lt 640 ] || fail "lengths from 40 to 80: $(cat "$work/out")"
run "${bench[@]}" --input-tokens-max 39
one_error 2 "lengths from 40 to 39"
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
# ---- chat --url and complete: the same words as from a model of this process
out_of() { run "$@"; [ "$rc" = 0 ] || fail "$*: $(cat "$work/err")"; cat "$work/out"; }
remote=(--url "$url" --api-key secret)
for sampling in "--temperature 0" "--seed 5 --top-p 0.9" "--seed 7 --stop e"; do
  here=$(out_of "$reprise" complete --model "$tiny" --prompt "It was" --max-tokens 12 $sampling)
  [ -n "$here" ] || fail "complete says nothing"
  [ "$(out_of "$reprise" complete "${remote[@]}" --prompt "It was" --max-tokens 12 $sampling)" = "$here" ] ||
    fail "complete --url differs from complete --model: $sampling"
  [ "$(printf 'It was' | "$reprise" complete "${remote[@]}" --max-tokens 12 $sampling)" = "$here" ] || fail "complete of standard input differs"
  here=$(out_of "$reprise" chat --model "$tiny" --prompt "It was" --prompt "And then?" --system "Be brief" --max-tokens 12 $sampling)
  [ "$(out_of "$reprise" chat "${remote[@]}" --prompt "It was" --prompt "And then?" --system "Be brief" --max-tokens 12 $sampling)" = "$here" ] ||
    fail "chat --url differs from chat --model: $sampling"
done
grep -qE '^seed [0-9]+' "$work/err" && fail "a seed was drawn beside --seed"
run "$reprise" chat "${remote[@]}" --prompt "It was" --max-tokens 4
says "(--seed "
says "prompt tokens, 4 new"
run "$reprise" chat --url "$url" --prompt x
one_error 1 "chat without a key"
run "$reprise" complete "${remote[@]}" --prompt x --model other
one_error 1 "a model that the server has not"
run "$reprise" complete "${remote[@]}" --prompt x --threads 2
one_error 2 "a model's flag beside --url"
run "$reprise" complete --model "$tiny" --api-key x --prompt x
one_error 2 "a server's flag without one"
run "$reprise" chat --prompt x
one_error 2 "neither model nor server"
"$reprise" complete "${remote[@]}" --prompt "It was" --max-tokens 400 --ignore-eos | head -c 1 >/dev/null
[ "${PIPESTATUS[0]}" = 1 ] || fail "complete into a closed pipe: exit code ${PIPESTATUS[0]}"

requests_so_far() {
  local metrics
  metrics=$(curl -sS -H 'Authorization: Bearer secret' "$url/metrics")
  sed -n 's/^reprise:requests_number \([0-9]*\).*/\1/p' <<<"$metrics"
}
before=$(requests_so_far)
"${bench[@]}" --request-rate 4 --duration 60 --warmup 0 >"$work/out" 2>"$work/err" &
client=$!
for _ in $(seq 300); do
  [ "$(requests_so_far)" -lt $((before + 3)) ] || break
  sleep 0.1
done
kill -TERM $client
wait $client
rc=$?
one_error 143 "bench serve, interrupted"
says "requests completed"
stop_server

# ---- serve --request-log and replay
log=$work/requests.jsonl
start_server --request-log "$log"
ask() { curl -sS --fail-with-body "$url$1" -H 'Content-Type: application/json' -d "$2" >"$work/out" || fail "$2: $(cat "$work/out")"; }
ask /v1/completions '{"prompt": "It was", "max_tokens": 8, "logprobs": 1}'
ask /v1/completions '{"prompt": ["It was", "She"], "max_tokens": 8, "n": 2, "stream": true}'
ask /v1/chat/completions '{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "temperature": 0}'
ask /v1/messages '{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}'
run "$reprise" replay "$log" --url "$url" --order reverse --concurrency 4
[ "$rc" = 0 ] || fail "replay --url: $(cat "$work/out" "$work/err")"
says "4 the same, 0 differ, 0 failed"
stop_server
[ "$(stat -c %a "$log")" = 600 ] || fail "the log has the rights $(stat -c %a "$log")"
head -n 4 "$log" >"$work/first" && cat "$work/first" >"$log"  # without those of the replay
run "$reprise" replay "$log" --model "$tiny" --order shuffle:7 --concurrency 3 --threads 1 --max-num-seqs 2
[ "$rc" = 0 ] || fail "replay --model: $(cat "$work/out" "$work/err")"
says "4 the same, 0 differ, 0 failed"
! grep -q warning "$work/err" || fail "replay warns: $(cat "$work/err")"
sed -E '1s/"token_ids":\[([0-9]+),[0-9]+,/"token_ids":[\1,3,/' "$log" >"$work/changed"
run "$reprise" replay "$work/changed" --model "$tiny"
one_error 1 "a reply that differs"
says "output 0 differs at token 1: 3 in the log"
says "1 of 4 replies are not as in the log"
run "$reprise" replay "$work/changed" --model "$tiny" --dtype float32 --json
one_error 1 "another dtype"
says '"kind":"differs"'
says "system_fingerprint is"
{ cat "$log"; printf '{"version":1,"ti'; } >"$work/cut"
run "$reprise" replay "$work/cut" --model "$tiny"
one_error 1 "a log that is cut"
says "$work/cut line 5: "
run "$reprise" replay "$work/cut" --model "$tiny" --skip-broken
[ "$rc" = 0 ] || fail "--skip-broken: $(cat "$work/err")"
run "$reprise" replay "$log"
one_error 2 "replay without a target"
run "$reprise" replay --model "$tiny"
one_error 2 "replay without a file"
run "$reprise" replay "$log" --model "$tiny" --order sideways
one_error 2 "an order that is none"
run "$reprise" replay "$work/none" --model "$tiny"
one_error 1 "a log that is not there"
chmod 644 "$log"
run "$reprise" serve --model "$tiny" --port 0 --request-log "$log"
one_error 1 "a log that others may read"
says "chmod 600"

# ---- serve --config, --metrics-port, socket activation, sd_notify
cat >"$work/serve.yaml" <<YAML
model: $tiny
host: 127.0.0.1
port: 0
max_num_seqs: 3
served-model-name: [one, two]
graph-optimization-config: {graph_opt_level: 1}
log: "off"
metrics-port: 0
YAML
serve_by "$reprise" serve --config "$work/serve.yaml" --served-model-name three
curl -sS "$url/v1/models" >"$work/out"
says '"id":"three"'
grep -q '"id":"one"' "$work/out" && fail "the file wins over the command line"
curl -sS "$metrics/metrics" >"$work/out"  # not into grep -q, which ends before curl has written all
grep -q '^reprise:num_requests_running 0' "$work/out" || fail "no metrics at $metrics"
[ "$(curl -sS -o /dev/null -w '%{http_code}' "$metrics/v1/models")" = 404 ] || fail "the metrics port serves models"
stop_server
printf 'model: x\nmax_modellen: 5\n' >"$work/wrong.yaml"
run "$reprise" serve --config "$work/wrong.yaml"
one_error 2 "a name that is none"
says "$work/wrong.yaml line 2: there is no flag --max-modellen; did you mean --max-model-len?"
run "$reprise" serve --config "$work/none.yaml"
one_error 2 "a file that is not there"
run "$reprise" serve
one_error 2 "serve without a model"
if command -v python3 >/dev/null; then
  # What systemd does: sockets at 3 and 4, and a socket that is told.
  cat >"$work/activate.py" <<'PY'
import os, socket, sys
listeners = [socket.socket() for _ in range(2)]
for one in listeners:
    one.bind(("127.0.0.1", 0))
    one.listen()
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1] + "/notify")
manager.settimeout(30)
told = os.fork()
if told == 0:
    with open(sys.argv[1] + "/told", "w") as file:
        for _ in range(2):
            file.write(manager.recv(1000).decode() + "\n")
            file.flush()
    os._exit(0)
for i, one in enumerate(listeners):
    os.dup2(one.fileno(), 20 + i)
for i in range(2):
    os.dup2(20 + i, 3 + i)
    os.set_inheritable(3 + i, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="http:metrics", NOTIFY_SOCKET=sys.argv[1] + "/notify")
os.execv(sys.argv[2], sys.argv[2:])
PY
  serve_by python3 "$work/activate.py" "$work" "$reprise" serve --model "$tiny" --log off
  [ "$(curl -sS -o /dev/null -w '%{http_code}' "$url/v1/models")" = 200 ] || fail "the socket of systemd is not served"
  curl -sS "$metrics/health" | grep -q ok || fail "the metrics socket of systemd is not served"
  grep -q '^READY=1' "$work/told" || fail "systemd was not told: $(cat "$work/told")"
  stop_server
  grep -q '^STOPPING=1' "$work/told" || fail "systemd was not told of the end: $(cat "$work/told")"
  rm -f "$work/notify"
  run python3 "$work/activate.py" "$work" "$reprise" serve --model "$tiny" --port 1 --log off
  one_error 2 "sockets of systemd beside --port"
fi

finish
