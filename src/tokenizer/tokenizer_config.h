// What stands beside tokenizer.json: tokenizer_config.json, special_tokens_map.json, chat_template.jinja.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"

namespace reprise::tokenizer {

struct TokenizerConfig {
  // Role and text, in the order of the file: {"bos_token", "<s>"}, ...
  std::vector<std::pair<std::string, std::string>> special_tokens;
  std::vector<std::string> additional_special_tokens;
  // Used only where tokenizer.json has no post-processor, which decides otherwise.
  bool add_bos_token = false;
  bool add_eos_token = false;
  // Name and text; a single template is called "default".
  std::vector<std::pair<std::string, std::string>> chat_templates;

  // The text of a role such as "eos_token"; empty when it has none.
  std::string_view special_token(std::string_view role) const;
  // The template of that name, or nullptr.
  const std::string* chat_template(std::string_view name = "default") const;
};

// Reads the document of a tokenizer_config.json. Throws Error on a field of the wrong type.
TokenizerConfig parse_tokenizer_config(const Json& document, std::string_view what);

// Reads what the folder has of the files above; none of them must exist. chat_template.jinja comes before the
// template in the configuration.
TokenizerConfig load_tokenizer_config(const std::filesystem::path& directory);

}  // namespace reprise::tokenizer
