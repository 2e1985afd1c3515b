// Any text as a line of a prompts file, as a chat request, and its JSON or the text itself as the value of
// every sampling field: an Error, or a prompt whose sampling keeps the limits.
#include <string>

#include "api/chat_fields.h"
#include "api/prompt_line.h"
#include "api/sampling_fields.h"
#include "core/error.h"
#include "core/json.h"
#include "fuzz/amplify.h"
#include "fuzz/attempt.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string line = fuzz::amplified(data, size);
  attempt([&] {
    const Prompt prompt = api::parse_prompt_line(line, {});
    const Sampling& sampling = prompt.sampling;
    REPRISE_CHECK(sampling.n >= 1 && sampling.n <= 128 && sampling.temperature >= 0, "unchecked fields");
  });
  for (const api::SamplingField& field : api::sampling_fields()) {
    Sampling sampling;
    attempt([&] { api::set_field_from_text(field, sampling, {line}, field.name); });
  }
  Json value;
  try {
    value = parse_json(line, "input");
  } catch (const Error&) {
    return 0;
  }
  attempt([&] { api::parse_chat_request(value, true); });
  for (const api::SamplingField& field : api::sampling_fields()) {
    Sampling sampling;
    attempt([&] { api::set_field(field, sampling, value, field.name); });
  }
  return 0;
}
