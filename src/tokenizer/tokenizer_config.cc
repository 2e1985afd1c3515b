#include "tokenizer/tokenizer_config.h"

#include <algorithm>

#include "core/error.h"

namespace reprise::tokenizer {
namespace {

constexpr std::string_view kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

// A token is written as its text or as an object with `content`.
std::string token_text(const Json& value, std::string_view key, std::string_view what) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  throw Error("[{}] {} is {}, expected a text or an object with a text \"content\"", what, key,
              value.type_name());
}

bool flag(const Json& document, const char* key, std::string_view what) {
  if (!document.contains(key) || document[key].is_null()) return false;
  if (!document[key].is_boolean()) {
    throw Error("[{}] {} is {}, expected true or false", what, key, document[key].type_name());
  }
  return document[key].get<bool>();
}

void set_template(TokenizerConfig& config, std::string name, std::string text) {
  std::erase_if(config.chat_templates, [&](const auto& entry) { return entry.first == name; });
  config.chat_templates.emplace_back(std::move(name), std::move(text));
}

void read_special_tokens(const Json& document, std::string_view what, TokenizerConfig& config) {
  for (const auto& [key, value] : document.items()) {
    const bool role = std::find(std::begin(kRoles), std::end(kRoles), key) != std::end(kRoles);
    if (role && !value.is_null() && config.special_token(key).empty()) {
      config.special_tokens.emplace_back(key, token_text(value, key, what));
    }
    if (key == "additional_special_tokens" && value.is_array() && config.additional_special_tokens.empty()) {
      for (const Json& token : value)
        config.additional_special_tokens.push_back(token_text(token, key, what));
    }
  }
}

void read_chat_template(const Json& value, std::string_view what, TokenizerConfig& config) {
  if (value.is_null()) return;
  if (value.is_string()) return set_template(config, "default", value.get<std::string>());
  if (!value.is_array()) {
    throw Error("[{}] chat_template is {}, expected a text or a list of named ones", what, value.type_name());
  }
  for (const Json& entry : value) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
        !entry["name"].is_string() || !entry["template"].is_string()) {
      throw Error("[{}] an entry of chat_template lacks a text \"name\" or \"template\"", what);
    }
    set_template(config, entry["name"].get<std::string>(), entry["template"].get<std::string>());
  }
}

}  // namespace

std::string_view TokenizerConfig::special_token(std::string_view role) const {
  for (const auto& [key, text] : special_tokens) {
    if (key == role) return text;
  }
  return {};
}

const std::string* TokenizerConfig::chat_template(std::string_view name) const {
  for (const auto& [key, text] : chat_templates) {
    if (key == name) return &text;
  }
  return nullptr;
}

TokenizerConfig parse_tokenizer_config(const Json& document, std::string_view what) {
  if (!document.is_object()) throw Error("[{}] is {}, expected an object", what, document.type_name());
  TokenizerConfig config;
  read_special_tokens(document, what, config);
  config.add_bos_token = flag(document, "add_bos_token", what);
  config.add_eos_token = flag(document, "add_eos_token", what);
  if (document.contains("chat_template")) read_chat_template(document["chat_template"], what, config);
  return config;
}

TokenizerConfig load_tokenizer_config(const std::filesystem::path& directory) {
  TokenizerConfig config;
  const auto main = directory / "tokenizer_config.json";
  if (std::filesystem::exists(main)) config = parse_tokenizer_config(read_json_file(main), main.string());
  const auto map = directory / "special_tokens_map.json";
  if (std::filesystem::exists(map)) {
    const Json document = read_json_file(map);
    if (!document.is_object())
      throw Error("[{}] is {}, expected an object", map.string(), document.type_name());
    read_special_tokens(document, map.string(), config);
  }
  const auto jinja = directory / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) set_template(config, "default", read_file(jinja));
  return config;
}

}  // namespace reprise::tokenizer
