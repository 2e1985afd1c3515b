// The text side of a model: tokenizer and chat templates, from a Hugging Face folder or a GGUF file.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "tokenizer/jinja/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace reprise::api {

// What a chat template is rendered with, besides the special tokens.
struct ChatRequest {
  Json messages = Json::array();
  Json tools;      // null: none
  Json documents;  // null: none
  bool add_generation_prompt = true;
  // chat_template_kwargs: further variables of the template. They may replace special tokens ("bos_token"),
  // but none of the fields above.
  Json kwargs = Json::object();
  std::string chat_template = {};  // Jinja, in place of the model's own; empty: that one
};

// A rendered conversation.
struct ChatPrompt {
  std::string text;
  // Ranges of `text` that people and tools wrote (ChatTemplate::render_chat): no control token is recognised
  // there.
  std::vector<tokenizer::TextSpan> plain;
};

// Immutable after loading; safe from many threads.
class TextModel {
 public:
  struct Options {
    // Folder with tokenizer files, or a .gguf file, and a file with a Jinja template, in place of the model's
    // own; empty: the model's.
    std::filesystem::path tokenizer = {};
    std::filesystem::path chat_template = {};
    // Recognise control tokens in the content of user and tool messages too, as transformers does by default.
    // Then whoever writes a message can end it and begin another one in any role.
    bool control_tokens_in_content = false;
  };

  // `model`: folder or .gguf file. A model without a tokenizer, without a template or with one that can't be
  // parsed is no error until one is asked for.
  static TextModel load(const std::filesystem::path& model, const Options& options);
  static TextModel load(const std::filesystem::path& model, const std::filesystem::path& tokenizer = {},
                        const std::filesystem::path& chat_template = {}) {
    return load(model, Options{.tokenizer = tokenizer, .chat_template = chat_template});
  }

  bool has_tokenizer() const { return tokenizer_.has_value(); }
  // Throws Error, saying what file is missing.
  const tokenizer::Tokenizer& tokenizer() const;

  // Renders with the request's template, or the one that transformers would choose
  // (TokenizerConfig::choose_chat_template). Throws
  // Error where there is no template or it can't be parsed, on a reserved name in `kwargs`, or as the
  // template does, or once `*cancel` is true (null: never).
  ChatPrompt render_chat(const ChatRequest& request, const std::atomic<bool>* cancel = nullptr) const;
  // Ids of a rendered conversation: the template has put the special tokens itself. Throws
  // tokenizer::TooManyTokens beyond `max_tokens`.
  std::vector<int32_t> encode_chat(const ChatPrompt& prompt, size_t max_tokens = SIZE_MAX) const;

 private:
  class LazyTemplate;

  tokenizer::ChatTemplate choose_template(const ChatRequest& request) const;

  std::string where_;  // for errors
  std::optional<tokenizer::Tokenizer> tokenizer_;
  tokenizer::TokenizerConfig config_;
  bool control_tokens_in_content_ = false;
  // By name; parsed when a chat asks for one.
  std::vector<std::pair<std::string, std::shared_ptr<const LazyTemplate>>> templates_;
};

}  // namespace reprise::api
