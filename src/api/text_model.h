// The text side of a model: tokenizer and chat template, from a Hugging Face folder or a GGUF file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "tokenizer/template/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reprise::api {

// What a chat template is rendered with, besides the special tokens.
struct ChatRequest {
  Json messages = Json::array();
  Json tools;      // null: none
  Json documents;  // null: none
  bool add_generation_prompt = true;
  Json kwargs = Json::object();  // chat_template_kwargs; win over everything else
};

// Immutable after loading; safe from many threads.
class TextModel {
 public:
  // `model`: folder or .gguf file. `tokenizer` (folder) and `template_file` take the place of the model's own
  // where not empty. A model without a tokenizer or without a template is no error until one is asked for.
  static TextModel load(const std::filesystem::path& model, const std::filesystem::path& tokenizer = {},
                        const std::filesystem::path& template_file = {});

  bool has_tokenizer() const { return tokenizer_.has_value(); }
  // Throws Error, saying what file is missing.
  const tokenizer::Tokenizer& tokenizer() const;
  // The conversation as text. Throws Error where there is no template, or as the template does.
  std::string render_chat(const ChatRequest& request) const;
  // Ids of a rendered conversation: the template has put the special tokens itself.
  std::vector<int32_t> encode_chat(const std::string& prompt, size_t max_tokens = SIZE_MAX) const {
    return tokenizer().encode(
        prompt, tokenizer::EncodeOptions{.add_special_tokens = false, .max_tokens = max_tokens});
  }

 private:
  std::string where_;  // for errors
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::optional<tokenizer::ChatTemplate> template_;
  Json special_tokens_ = Json::object();  // "bos_token": "<s>" ...
};

}  // namespace reprise::api
