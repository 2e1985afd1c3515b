#include "api/prompt_line.h"

#include "api/sampling_fields.h"
#include "core/error.h"

namespace reprise::api {
namespace {

std::vector<int32_t> token_ids(const Json& value) {
  std::vector<int32_t> ids;
  if (!value.is_array())
    throw Error("[prompt_token_ids] is {}, expected a list of token ids", to_json_text(value));
  for (const Json& id : value) {
    if (!id.is_number_integer() || id.get<int64_t>() < INT32_MIN || id.get<int64_t>() > INT32_MAX)
      throw Error("[prompt_token_ids] holds {}, expected token ids", to_json_text(id));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

}  // namespace

Prompt parse_prompt_line(const std::string& line, const Sampling& defaults) {
  const Json json = parse_json(line, "prompt line");
  Prompt prompt;
  prompt.sampling = defaults;
  if (json.is_string()) {
    prompt.text = json.get<std::string>();
    return prompt;
  }
  if (!json.is_object()) throw Error("[prompt line] is neither a string nor an object");
  int sources = 0;
  for (const auto& [name, value] : json.items()) {
    if (name == "prompt") {
      ++sources;
      if (value.is_string())
        prompt.text = value.get<std::string>();
      else
        prompt.token_ids = token_ids(value);
    } else if (name == "prompt_token_ids") {
      ++sources;
      prompt.token_ids = token_ids(value);
    } else if (name == "messages") {
      ++sources;
      if (!value.is_array()) throw Error("[messages] is {}, expected a list", to_json_text(value));
      prompt.messages_json = to_json_text(value);
    } else if (!set_sampling_field(prompt.sampling, name, value)) {
      throw Error("[prompt line] unknown field '{}'; known are prompt, prompt_token_ids, messages, {}", name,
                  sampling_field_names());
    }
  }
  if (sources != 1)
    throw Error("[prompt line] has {} of prompt, prompt_token_ids and messages; give exactly one", sources);
  return prompt;
}

}  // namespace reprise::api
