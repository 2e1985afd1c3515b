// What the page asks of the server it came from. Paths are relative, so that a proxy may serve it below another path.

const KEY = "reprise-key";

export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function hasKey() {
  return Boolean(sessionStorage.getItem(KEY));
}

export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

// The reply of a request; throws ServerError with what the server says is wrong.
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  const reply = await fetch(path, { ...options, headers, cache: "no-store" });
  if (reply.ok || options.anyStatus) return reply;
  const text = await reply.text();
  let message = text;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // a proxy's own page
  }
  throw new ServerError(reply.status, message || `${reply.status} ${reply.statusText}`);
}

export async function askJson(path) {
  return (await ask(path)).json();
}

// Calls onEvent with the data of each server-sent event, and onText with all that comes, until the stream ends.
export async function readEvents(reply, onEvent, onText) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onText(value);
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length > 0) onEvent(data.join("\n"));
    }
  }
}
