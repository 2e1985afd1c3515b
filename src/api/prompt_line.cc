#include "api/prompt_line.h"

#include <cstdint>
#include <vector>

#include "api/chat_fields.h"
#include "api/sampling_check.h"
#include "api/sampling_fields.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::api {
namespace {

std::vector<int32_t> token_ids(const Json& value) {
  const JsonValue list(value, "[prompt_token_ids]");
  if (!value.is_array()) list.fail("a list of token ids");
  const std::vector<int64_t> wide = list.integers(INT32_MIN, INT32_MAX);
  return {wide.begin(), wide.end()};
}

}  // namespace

Prompt parse_prompt_line(const std::string& line, const Sampling& defaults) {
  const Json json = parse_json(line, "prompt line", kRequestJson);
  Prompt prompt;
  prompt.sampling = defaults;
  if (json.is_string()) {
    prompt.text = json.get<std::string>();
    return prompt;
  }
  if (!json.is_object())
    throw Error("[prompt line] is {}, expected a string or an object", short_json_text(json));
  int sources = 0;
  bool chat = false;
  std::string chat_only;  // a field that only a chat has
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
      chat = true;
    } else if (name == "cache_salt") {
      prompt.cache_salt = JsonValue(value, "[cache_salt]").string();
    } else if (is_chat_field(name)) {
      if (!value.is_null()) chat_only = name;
    } else if (!set_sampling_field(prompt.sampling, name, value)) {
      throw Error(
          "[prompt line] unknown field '{}'; known are prompt, prompt_token_ids, messages, tools, documents, "
          "add_generation_prompt, chat_template, chat_template_kwargs, cache_salt, {}",
          name.substr(0, 80), sampling_field_names());
    }
  }
  if (sources != 1)
    throw Error("[prompt line] has {} of prompt, prompt_token_ids and messages; give exactly one", sources);
  if (chat)
    set_chat(prompt, parse_chat_request(json, true));
  else if (!chat_only.empty())
    throw Error("[{}] is for a chat, but the line has no messages; leave it out or send messages", chat_only);
  check_sampling(prompt.sampling);
  return prompt;
}

}  // namespace reprise::api
