// Any text as a line of a prompts file, and its JSON as the value of every sampling field: an Error, or a
// prompt.
#include <string>

#include "cli/prompt_line.h"
#include "cli/sampling_fields.h"
#include "core/error.h"
#include "fuzz/amplify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string line = fuzz::amplified(data, size);
  try {
    const Prompt prompt = cli::parse_prompt_line(line, {});
    REPRISE_CHECK(
        prompt.text || !prompt.token_ids.empty() || !prompt.messages_json.empty() || line.size() > 2,
        "a prompt of nothing");
  } catch (const Error&) {
  }
  Json value;
  try {
    value = parse_json(line, "input");
  } catch (const Error&) {
    return 0;
  }
  for (const cli::SamplingField& field : cli::sampling_fields()) {
    Sampling sampling;
    try {
      cli::set_field(field, sampling, value, field.name);
    } catch (const Error&) {
    }
  }
  return 0;
}
