// The fields of a request that the page offers. One that is left empty is not sent: the server's own default holds.

const FIELDS = [
  { name: "temperature", label: "Temperature", min: 0, step: "any" },
  { name: "max_tokens", label: "Most tokens", min: 1, step: 1 },
  { name: "top_p", label: "Top p", min: 0, max: 1, step: "any" },
  { name: "top_k", label: "Top k", min: -1, step: 1 },
  { name: "min_p", label: "Min p", min: 0, max: 1, step: "any" },
  { name: "seed", label: "Seed", min: 0, step: 1, max: Number.MAX_SAFE_INTEGER },
  { name: "presence_penalty", label: "Presence penalty", min: -2, max: 2, step: "any" },
  { name: "frequency_penalty", label: "Frequency penalty", min: -2, max: 2, step: "any" },
  { name: "repetition_penalty", label: "Repetition penalty", min: 0, step: "any" },
  { name: "stop", label: "Stop text", text: true },
];

const system = document.querySelector("[name=system]");
const inputs = new Map();

export function showFields(into) {
  for (const field of FIELDS) {
    const label = document.createElement("label");
    label.append(field.label);
    const input = document.createElement("input");
    input.name = field.name;
    input.placeholder = field.text ? "none" : "default";
    if (!field.text) {
      input.type = "number";
      for (const bound of ["min", "max", "step"]) if (field[bound] !== undefined) input[bound] = field[bound];
    }
    label.append(input);
    inputs.set(field, input);
    into.append(label);
  }
}

export function clearFields() {
  system.value = "";
  for (const input of inputs.values()) input.value = "";
}

export function systemMessages() {
  return system.value.trim() === "" ? [] : [{ role: "system", content: system.value }];
}

// Null where a number is out of its range; the field says so.
export function chosenFields() {
  const chosen = {};
  for (const [field, input] of inputs) {
    if (!input.reportValidity()) return null;
    if (input.value !== "") chosen[field.name] = field.text ? input.value : Number(input.value);
  }
  return chosen;
}
