#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "core/json.h"

namespace reprise::tokenizer {
namespace {

constexpr std::string_view kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

bool is_role(std::string_view key) {
  return std::find(std::begin(kRoles), std::end(kRoles), key) != std::end(kRoles);
}

bool flag(const Json& object, const char* key, bool fallback) {
  return object.contains(key) && object[key].is_boolean() ? object[key].get<bool>() : fallback;
}

// A token is written as its text or as an object with `content` and flags. Nothing for anything else.
std::optional<DeclaredToken> read_token(const Json& value) {
  DeclaredToken token;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    return token;
  }
  if (!value.is_object() || !value.contains("content") || !value["content"].is_string()) return std::nullopt;
  token.content = value["content"].get<std::string>();
  token.special = flag(value, "special", false);
  token.normalized = flag(value, "normalized", !token.special);
  token.single_word = flag(value, "single_word", false);
  token.lstrip = flag(value, "lstrip", false);
  token.rstrip = flag(value, "rstrip", false);
  return token;
}

// Collects one folder's files; finish() puts the tokens into the order of transformers.
class Reader {
 public:
  void read_config(const Json& document, std::string_view what) {
    if (!document.is_object()) throw Error("[{}] is {}, expected an object", what, document.type_name());
    for (const auto& [key, value] : document.items()) read_named(key, value, what, false);
    config_.add_bos_token = flag(document, "add_bos_token", false);
    config_.add_eos_token = flag(document, "add_eos_token", false);
    if (document.contains("chat_template")) read_templates(document["chat_template"], what);
    const char* const kDecoder = "added_tokens_decoder";
    if (document.contains(kDecoder) && document[kDecoder].is_object()) {
      has_decoder_ = true;
      for (const auto& [id, value] : document[kDecoder].items()) {
        const auto token = read_token(value);
        int64_t number = 0;
        if (!token || !to_number(id, number)) {
          throw Error(
              "[{}] added_tokens_decoder: \"{}\" is {}, expected an id and an object with a text \"content\"",
              what, id, value.type_name());
        }
        by_id_.insert_or_assign(number, *token);
      }
    }
  }

  bool has_decoder() const { return has_decoder_; }

  // special_tokens_map.json, which replaces what the configuration says.
  void read_map(const Json& document, std::string_view what) {
    if (!document.is_object()) throw Error("[{}] is {}, expected an object", what, document.type_name());
    for (const auto& [key, value] : document.items()) read_named(key, value, what, true);
  }

  // added_tokens.json: {"<|im_end|>": 512}. A special token there is one that another file calls so.
  void read_added(const Json& document, std::string_view what) {
    if (!document.is_object()) throw Error("[{}] is {}, expected an object", what, document.type_name());
    for (const auto& [content, id] : document.items()) {
      if (!id.is_number_integer()) {
        throw Error("[{}] \"{}\" is {}, expected a token id", what, content, id.type_name());
      }
      DeclaredToken token;
      token.content = content;
      token.special =
          std::any_of(named_.begin(), named_.end(),
                      [&](const auto& one) { return is_role(one.first) && one.second.content == content; }) ||
          std::any_of(extra().begin(), extra().end(),
                      [&](const DeclaredToken& one) { return one.content == content; });
      // transformers says normalized = not special, and then builds such tokenizers without a normalizer that
      // would change these texts; one that prepends a blank would hide the token within a word.
      token.normalized = false;
      by_id_.insert_or_assign(id.get<int64_t>(), token);
    }
  }

  void set_template(std::string name, std::string text) {
    std::erase_if(config_.chat_templates, [&](const auto& entry) { return entry.first == name; });
    config_.chat_templates.emplace_back(std::move(name), std::move(text));
  }

  TokenizerConfig& config() { return config_; }

  TokenizerConfig finish() {
    for (auto& [id, token] : by_id_) {
      token.replaces = has_decoder_;
      config_.declared_tokens.push_back(token);
    }
    for (const std::string_view role : kRoles) {
      for (const auto& [name, token] : named_) {
        if (name == role) config_.declared_tokens.push_back(token);
      }
    }
    for (const auto& [name, token] : named_) {
      if (!is_role(name)) config_.declared_tokens.push_back(token);
    }
    for (const DeclaredToken& token : extra()) config_.declared_tokens.push_back(token);
    for (const auto& [name, token] : named_) config_.special_tokens.emplace_back(name, token.content);
    std::erase_if(config_.declared_tokens, [](const DeclaredToken& token) { return token.content.empty(); });
    return std::move(config_);
  }

 private:
  const std::vector<DeclaredToken>& extra() const { return extra_.empty() ? additional_ : extra_; }

  static bool to_number(const std::string& text, int64_t& number) {
    if (text.empty() || text.size() > 10 || text.find_first_not_of("0123456789") != std::string::npos)
      return false;
    number = std::stoll(text);
    return true;
  }

  void set_named(const std::string& key, DeclaredToken token) {
    token.special = true;
    for (auto& [name, known] : named_) {
      if (name == key) {
        known = std::move(token);
        return;
      }
    }
    if (named_.size() < kMostNames) named_.emplace_back(key, std::move(token));
  }

  // A member of tokenizer_config.json or special_tokens_map.json that names tokens.
  void read_named(const std::string& key, const Json& value, std::string_view what, bool special) {
    if (value.is_null()) return;
    if (key == "extra_special_tokens" && value.is_object()) {
      for (const auto& [name, token] : value.items()) {
        if (const auto one = read_token(token)) set_named(name, *one);
      }
    } else if ((key == "extra_special_tokens" || key == "additional_special_tokens") && value.is_array()) {
      std::vector<DeclaredToken>& list = key == "extra_special_tokens" ? extra_ : additional_;
      if (special && key == "additional_special_tokens") list.clear();
      for (const Json& token : value) {
        auto one = read_token(token);
        if (!one) continue;
        if (special) one->special = true;
        list.push_back(std::move(*one));
      }
    } else if (is_role(key) || (key.ends_with("_token") && !value.is_boolean())) {
      const auto one = read_token(value);
      if (one) {
        set_named(key, *one);
      } else if (is_role(key)) {
        config_.role_problem =
            fmt::format("[{}] {} is {}, expected a text or an object with a text \"content\"", what, key,
                        value.type_name());
      }
    }
  }

  void read_templates(const Json& value, std::string_view what) {
    if (value.is_null()) return;
    if (value.is_string()) return set_template("default", value.get<std::string>());
    if (!value.is_array()) {
      config_.template_problem = fmt::format(
          "[{}] chat_template is {}, expected a text or a list of named ones", what, value.type_name());
      return;
    }
    config_.named_templates = true;
    for (const Json& entry : value) {
      if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
          !entry["name"].is_string() || !entry["template"].is_string() ||
          config_.chat_templates.size() >= kMostNames) {
        config_.template_problem =
            fmt::format("[{}] an entry of chat_template lacks a text \"name\" or \"template\"", what);
        continue;
      }
      set_template(entry["name"].get<std::string>(), entry["template"].get<std::string>());
    }
  }

  static constexpr size_t kMostNames = 256;  // each is looked for among the others

  TokenizerConfig config_;
  bool has_decoder_ = false;
  std::map<int64_t, DeclaredToken> by_id_;
  std::vector<std::pair<std::string, DeclaredToken>> named_;  // roles and names of the model's own
  std::vector<DeclaredToken> extra_, additional_;
};

void read_template_files(const std::filesystem::path& directory, Reader& reader) {
  namespace fs = std::filesystem;
  std::vector<std::pair<std::string, fs::path>> files;
  std::error_code none;
  if (fs::exists(directory / "chat_template.jinja", none))
    files.emplace_back("default", directory / "chat_template.jinja");
  for (const auto& entry : fs::directory_iterator(directory / "additional_chat_templates", none)) {
    if (entry.path().extension() == ".jinja") files.emplace_back(entry.path().stem().string(), entry.path());
  }
  if (files.empty()) return;
  std::sort(files.begin(), files.end());
  TokenizerConfig& config = reader.config();
  config.chat_templates.clear();
  config.template_problem.clear();
  config.named_templates = files.size() > 1 || files.front().first != "default";
  for (const auto& [name, path] : files) {
    try {
      reader.set_template(name, read_file(path));
    } catch (const Error& error) {
      config.template_problem = error.what();
    }
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

const std::string* TokenizerConfig::choose_chat_template(bool has_tools) const {
  if (named_templates && has_tools) {
    if (const std::string* found = chat_template("tool_use")) return found;
  }
  const std::string* found = chat_template();
  if (found == nullptr && !chat_templates.empty()) {
    std::string names;
    for (const auto& [name, text] : chat_templates) names.append(names.empty() ? "" : ", ").append(name);
    throw Error(
        "[chat template] the model has the templates {}, none of them called default; give one with "
        "--chat-template",
        names);
  }
  return found;
}

TokenizerConfig parse_tokenizer_config(const Json& document, std::string_view what) {
  Reader reader;
  reader.read_config(document, what);
  return reader.finish();
}

TokenizerConfig load_tokenizer_config(const std::filesystem::path& directory) {
  Reader reader;
  const auto main = directory / "tokenizer_config.json";
  if (std::filesystem::exists(main)) reader.read_config(read_json_file(main), main.string());
  if (!reader.has_decoder()) {
    const auto map = directory / "special_tokens_map.json";
    if (std::filesystem::exists(map)) reader.read_map(read_json_file(map), map.string());
    const auto added = directory / "added_tokens.json";
    if (std::filesystem::exists(added)) reader.read_added(read_json_file(added), added.string());
  }
  read_template_files(directory, reader);
  return reader.finish();
}

}  // namespace reprise::tokenizer
