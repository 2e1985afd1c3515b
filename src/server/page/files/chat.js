// The conversation. What the model says is put in as text, never as markup.

import { ask, readEvents, ServerError } from "./api.js";
import { chosenFields, systemMessages } from "./settings.js";

const MOST_RAW = 200_000; // characters of a reply that are shown as they came

const byId = (id) => document.getElementById(id);
const log = byId("log");
const message = byId("message");
const turns = []; // {role, content}
let running = null; // AbortController of the reply that is being written

function atEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 48;
}

function followIf(follow) {
  if (follow) log.scrollTop = log.scrollHeight;
}

function element(kind, className, text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

function addArticle(role, who, text) {
  byId("hint").hidden = true;
  const article = element("article", role);
  const said = element("div", "text", text);
  article.append(element("div", "who", who), said);
  log.append(article);
  return { article, said };
}

function showRunning(on) {
  byId("send").hidden = on;
  byId("stop").hidden = !on;
}

function fitMessage() {
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight + 2}px`;
}

// Pieces come faster than a screen shows them.
function writer(said) {
  const node = said.appendChild(document.createTextNode(""));
  let waiting = "";
  let planned = false;
  const flush = () => {
    planned = false;
    const follow = atEnd();
    node.appendData(waiting);
    waiting = "";
    followIf(follow);
  };
  return {
    add(text) {
      waiting += text;
      if (!planned) requestAnimationFrame(flush);
      planned = true;
    },
    flush,
  };
}

function rawReply() {
  const node = document.createTextNode("");
  byId("reply").replaceChildren(node);
  return (text) => {
    if (node.length >= MOST_RAW) return;
    node.appendData(text.slice(0, MOST_RAW - node.length));
    if (node.length >= MOST_RAW) node.appendData("\n(the rest is not shown)");
  };
}

const rate = (perSecond) => perSecond.toFixed(perSecond >= 100 ? 0 : 1);
const seconds = (since) => (performance.now() - since) / 1000;

async function answer(body) {
  const { article, said } = addArticle("assistant", body.model, "");
  followIf(true);
  article.setAttribute("aria-busy", "true");
  const write = writer(said);
  const showRaw = rawReply();
  const began = performance.now();
  let text = "", reason = "", usage = null, first = 0, problem = "";
  const onEvent = (data) => {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ServerError(500, chunk.error.message);
    if (chunk.usage) usage = chunk.usage;
    for (const choice of chunk.choices) {
      const piece = choice.delta.content ?? "";
      if (piece !== "" && first === 0) first = seconds(began);
      text += piece;
      write.add(piece);
      if (choice.finish_reason) reason = choice.finish_reason;
    }
  };
  running = new AbortController();
  showRunning(true);
  byId("progress").textContent = "writing";
  try {
    const reply = await ask("v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: running.signal,
    });
    await readEvents(reply, onEvent, showRaw);
    if (reason === "") problem = "The reply ended before it was complete.";
  } catch (error) {
    if (error.name === "AbortError") reason = "stopped";
    else problem = error instanceof ServerError ? error.message : `The server can't be reached: ${error.message}`;
    if (error instanceof ServerError && text === "") showRaw(`${error.status}: ${error.message}`);
  }
  running = null;
  showRunning(false);
  write.flush();
  const follow = atEnd();
  const parts = [];
  if (usage) {
    const rest = seconds(began) - first;
    parts.push(`${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out`);
    if (first > 0) parts.push(`first after ${first.toFixed(2)} s`);
    if (usage.completion_tokens > 1 && rest > 0) parts.push(`${rate((usage.completion_tokens - 1) / rest)} tokens/s`);
  }
  if (reason === "length") parts.push("cut off at the most tokens");
  if (reason === "stopped") parts.push("stopped");
  if (parts.length > 0) article.append(element("div", "note", parts.join(" · ")));
  if (problem !== "") {
    const shown = element("div", "problem", problem);
    shown.setAttribute("role", "alert");
    article.append(shown);
  }
  article.setAttribute("aria-busy", "false");
  followIf(follow);
  byId("progress").textContent = problem !== "" ? "failed" : reason === "stopped" ? "stopped" : "done";
  return text;
}

async function send() {
  const said = message.value;
  if (running || said.trim() === "") return;
  const chosen = chosenFields();
  if (!chosen) return;
  turns.push({ role: "user", content: said });
  addArticle("user", "You", said);
  message.value = "";
  fitMessage();
  const body = {
    model: byId("model").value,
    messages: [...systemMessages(), ...turns],
    stream: true,
    stream_options: { include_usage: true },
    ...chosen,
  };
  byId("request").textContent = `POST /v1/chat/completions\n${JSON.stringify(body, null, 2)}`;
  const text = await answer(body);
  // A question without an answer is not asked again with the next one.
  if (text === "") turns.pop();
  else turns.push({ role: "assistant", content: text });
}

function stop() {
  running?.abort();
}

function clear() {
  stop();
  turns.length = 0;
  for (const article of log.querySelectorAll("article")) article.remove();
  byId("hint").hidden = false;
  byId("progress").textContent = "";
  message.focus();
}

export function startChat() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  message.addEventListener("input", fitMessage);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  byId("stop").addEventListener("click", () => {
    stop();
    message.focus();
  });
  byId("clear").addEventListener("click", clear);
}
