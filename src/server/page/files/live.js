// What the server does at the moment, from /health, /load, /metrics and /v1/graph.

import { ask, askJson, ServerError } from "./api.js";

const SECOND = 1000;
const KEPT = 120; // samples, one a second
const REASONS = {
  cudagraph_off: "replay is off",
  decode_not_captured: "no such decode was captured",
  prefill_not_captured: "no such prefill was captured",
  mixed_not_captured: "no such mixed step was captured",
  above_largest_size: "above the largest size captured",
  above_max_capture_shape_prefill: "a prefill above the largest captured",
  scores_prompt: "log-probabilities of a prompt",
  capture_pending: "its capture was not made yet",
  capture_failed: "its capture failed",
};

const byId = (id) => document.getElementById(id);
const samples = []; // {at, tokens, firstTokens, firstSeconds}
const speeds = [];

// {name: value} of the samples without labels, and {reason: value} of those not replayed.
export function parseMetrics(text) {
  const values = {}, reasons = {};
  for (const line of text.split("\n")) {
    const found = /^reprise:([a-z_]+)(?:\{reason="([a-z_]+)"\})? (\S+)$/.exec(line);
    if (!found) continue;
    if (found[2] === undefined) values[found[1]] = Number(found[3]);
    else if (found[1] === "graph_steps_not_replayed_total") reasons[found[2]] = Number(found[3]);
  }
  return { values, reasons };
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const duration = (s) => (s < 1 ? `${Math.round(1000 * s)} ms` : `${s.toFixed(1)} s`);

function show(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

// `share`: undefined where there is none.
function showShare(id, share, none) {
  byId(id).value = share ?? 0;
  show(`${id}-text`, share === undefined ? none : percent(share));
}

function showSpeed(values) {
  const now = {
    at: performance.now(),
    tokens: values.sampled_tokens_total ?? 0,
    firstTokens: values.time_to_first_token_seconds_count ?? 0,
    firstSeconds: values.time_to_first_token_seconds_sum ?? 0,
  };
  const last = samples.at(-1);
  samples.push(now);
  if (samples.length > KEPT) samples.shift();
  if (last && now.at > last.at) {
    // A server that was started again counts from 0.
    const speed = Math.max(0, ((now.tokens - last.tokens) * SECOND) / (now.at - last.at));
    speeds.push(speed);
    if (speeds.length > KEPT) speeds.shift();
    show("speed", speed >= 100 ? speed.toFixed(0) : speed.toFixed(1));
    showChart();
  }
  const minute = samples.find((sample) => sample.at >= now.at - 60 * SECOND);
  const fresh = now.firstTokens - minute.firstTokens;
  const count = fresh > 0 ? fresh : now.firstTokens;
  const sum = fresh > 0 ? now.firstSeconds - minute.firstSeconds : now.firstSeconds;
  show("first-token", count > 0 ? duration(sum / count) : "–");
}

function showChart() {
  const top = Math.max(1, ...speeds);
  const line = speeds.map((speed, i) => `${KEPT - speeds.length + i},${(31 - (30 * speed) / top).toFixed(2)}`).join("L");
  byId("chart-line").setAttribute("d", `M${line}`);
  byId("chart-area").setAttribute("d", `M${KEPT - speeds.length},32L${line}L${KEPT - 1},32Z`);
}

function showSteps(values, reasons) {
  const replayed = values.graph_steps_replayed_total ?? 0;
  const others = Object.entries(reasons).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  const all = others.reduce((sum, [, count]) => sum + count, replayed);
  showShare("replay", all > 0 ? replayed / all : undefined, "no steps yet");
  byId("reasons").hidden = others.length === 0;
  const rows = others.map(([reason, count]) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = REASONS[reason] ?? reason;
    const share = document.createElement("td");
    share.textContent = `${count} (${percent(count / all)})`;
    row.append(name, share);
    return row;
  });
  byId("reasons").tBodies[0].replaceChildren(...rows);
}

async function showHealth() {
  const place = byId("health");
  const health = await (await ask("health", { anyStatus: true })).json();
  const good = health.status === "ok";
  place.className = good ? "good" : "bad";
  show("health", good ? "serving" : health.reason ?? health.status);
}

async function showLoad() {
  const load = await askJson("load");
  show("running", String(load.num_requests_running));
  show("waiting", String(load.num_requests_waiting));
}

async function showMetrics() {
  const { values, reasons } = parseMetrics(await (await ask("metrics")).text());
  showSpeed(values);
  showShare("kv", values.gpu_cache_usage_perc, "–");
  showShare("prefix", values.hit_token_rate, "none");
  showSteps(values, reasons);
}

async function showGraph() {
  const graph = await askJson("v1/graph");
  const parts = [`${graph.captures} captured`];
  if (graph.captures_pending > 0) parts.push(`${graph.captures_pending} to come`);
  if (graph.captures_failed > 0) parts.push(`${graph.captures_failed} failed: ${graph.capture_failure}`);
  if (graph.tokens_padding > 0) parts.push(`${graph.tokens_padding} rows of padding`);
  show("captures", parts.join(", "));
}

// Calls again when the last answers are there. `onLocked`: the server asks for a key.
export function startLive(onLocked) {
  let round = 0;
  const tick = async () => {
    if (!document.hidden) {
      try {
        await showHealth();
        await Promise.all([showLoad(), showMetrics(), round % 5 === 0 ? showGraph() : null]);
        ++round;
      } catch (error) {
        if (error instanceof ServerError && error.status === 401) {
          onLocked();
          return;
        }
        byId("health").className = "bad";
        show("health", error instanceof ServerError ? error.message : "not reachable");
      }
    }
    setTimeout(tick, SECOND);
  };
  tick();
}
