// The files beside tokenizer.json: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// chat_template.jinja and additional_chat_templates/*.jinja, read as transformers 5 reads them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json_fwd.h"

namespace reprise::tokenizer {

// A token that one of these files declares.
struct DeclaredToken {
  std::string content;
  bool special = true;
  bool normalized = false;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  // Its flags replace those of tokenizer.json (added_tokens_decoder). Otherwise the token is added only where
  // tokenizer.json has no added token of that text.
  bool replaces = false;
};

struct TokenizerConfig {
  // Name and text, in the order of the file: {"bos_token", "<s>"}, ...; the seven roles of transformers and
  // names of the model's own ("image_token").
  std::vector<std::pair<std::string, std::string>> special_tokens;
  // In the order in which transformers adds them: those without an id yet get the next free ones.
  std::vector<DeclaredToken> declared_tokens;
  // Used only where tokenizer.json has no post-processor, which decides otherwise.
  bool add_bos_token = false;
  bool add_eos_token = false;
  // Name and text. Where `named_templates` is false there is one at most, called "default", and it serves
  // every chat.
  std::vector<std::pair<std::string, std::string>> chat_templates;
  bool named_templates = false;
  // What is wrong with a special token's role, or with a template; empty where nothing is. Whoever renders a
  // chat throws it; a plain prompt does without.
  std::string role_problem;
  std::string template_problem;

  // The text of a role such as "eos_token"; empty when it has none.
  std::string_view special_token(std::string_view role) const;
  // The template of that name, or nullptr.
  const std::string* chat_template(std::string_view name = "default") const;
  // The template for a chat, chosen as transformers does: "tool_use" for one with tools where there is such a
  // template, else "default". nullptr when the model has none; throws Error where it has named ones, but no
  // default.
  const std::string* choose_chat_template(bool has_tools) const;
};

// Reads the document of a tokenizer_config.json. Throws Error when it is no object or a declared token has no
// text.
TokenizerConfig parse_tokenizer_config(const Json& document, std::string_view what);

// Reads what the folder has of the files above; none of them must exist. Template files replace every
// template of tokenizer_config.json. special_tokens_map.json and added_tokens.json count only where that has
// no added_tokens_decoder; they replace what it says.
TokenizerConfig load_tokenizer_config(const std::filesystem::path& directory);

}  // namespace reprise::tokenizer
