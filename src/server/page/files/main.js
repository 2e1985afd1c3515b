// Starts the parts of the page, once the server lets it in.

import { askJson, hasKey, keepKey, ServerError } from "./api.js";
import { startChat } from "./chat.js";
import { startLive } from "./live.js";
import { clearFields, showFields } from "./settings.js";

// A phone: there the keyboard would cover the page.
const narrow = matchMedia("(max-width: 52rem)").matches;
const byId = (id) => document.getElementById(id);

function askForKey(error) {
  byId("key-form").hidden = false;
  byId("key-error").textContent = error;
  byId("health").className = "bad";
  byId("health").textContent = "needs an API key";
  byId("key").focus();
}

async function enter() {
  let models;
  try {
    models = (await askJson("v1/models")).data;
  } catch (error) {
    if (error instanceof ServerError && error.status === 401)
      return askForKey(hasKey() ? "The server does not know this key." : "");
    byId("health").className = "bad";
    byId("health").textContent = error instanceof ServerError ? error.message : "not reachable";
    setTimeout(enter, 2000);
    return;
  }
  byId("key-form").hidden = true;
  document.querySelector(".model").hidden = false;
  byId("model").replaceChildren(...models.map((model) => new Option(model.id, model.id)));
  startLive(() => askForKey("The server does not know this key any more."));
  if (!narrow) byId("message").focus();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keepKey(byId("key").value);
  enter();
});
byId("defaults").addEventListener("click", clearFields);
if (narrow) for (const id of ["live", "settings"]) byId(id).open = false;
showFields(byId("fields"));
startChat();
enter();
