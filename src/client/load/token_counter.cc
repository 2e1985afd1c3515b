#include "client/load/token_counter.h"

#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::client {

std::optional<std::vector<int32_t>> TokenCounter::tokenize(const std::string& text, bool special,
                                                           bool message, std::string& error) {
  Json body = Json::object();
  if (!llama_cpp_ && !model_.empty()) body["model"] = model_;
  if (message)
    body["messages"] = {{{"role", "user"}, {"content", text}}};
  else
    body[llama_cpp_ ? "content" : "prompt"] = text;
  if (!message) body[llama_cpp_ ? "add_special" : "add_special_tokens"] = special;
  const HttpReply reply =
      ask_and_wait(*loop_, {.path = "/tokenize", .body = to_json_text(body)}, interrupted_);
  if (reply.end.trouble != Trouble::none || reply.status != 200) {
    error = reply.error_message();
    return std::nullopt;
  }
  try {
    const Json json = parse_json(reply.body, "reply of /tokenize");
    const std::vector<int64_t> wide =
        JsonFields(json, "reply of /tokenize").at("tokens").integers(0, INT32_MAX);
    return std::vector<int32_t>(wide.begin(), wide.end());
  } catch (const Error& wrong) {
    error = wrong.what();
    return std::nullopt;
  }
}

std::optional<TokenCounter> TokenCounter::find(HttpLoop& loop, const std::string& model, bool chat,
                                               const Interrupted& interrupted) {
  TokenCounter counter(loop, model, interrupted);
  std::string error;
  for (const bool llama_cpp : {false, true}) {
    counter.llama_cpp_ = llama_cpp;
    const auto tokens = counter.tokenize("the end", false, false, error);
    if (!tokens || tokens->empty()) continue;
    // llama.cpp's knows no messages, and finds no tokens in them.
    const auto message = chat ? counter.tokenize("the end", true, true, error) : std::nullopt;
    counter.chat_ = message && !message->empty();
    try {
      counter.text(*tokens);
    } catch (const Error&) {
      return std::nullopt;
    }
    return counter;
  }
  return std::nullopt;
}

int64_t TokenCounter::count(const std::string& text) {
  std::string error;
  const auto tokens = tokenize(text, true, chat_, error);
  if (!tokens) throw Error("[bench] /tokenize of {}: {}", loop_->url().shown, error);
  return static_cast<int64_t>(tokens->size());
}

std::vector<int32_t> TokenCounter::tokens(const std::string& text) {
  std::string error;
  auto tokens = tokenize(text, false, false, error);
  if (!tokens) throw Error("[bench] /tokenize of {}: {}", loop_->url().shown, error);
  return *std::move(tokens);
}

std::string TokenCounter::text(const std::vector<int32_t>& tokens) {
  Json body = {{"tokens", tokens}};
  if (!llama_cpp_ && !model_.empty()) body["model"] = model_;
  const HttpReply reply =
      ask_and_wait(*loop_, {.path = "/detokenize", .body = to_json_text(body)}, interrupted_);
  if (reply.end.trouble != Trouble::none || reply.status != 200)
    throw Error("[bench] /detokenize of {}: {}", loop_->url().shown, reply.error_message());
  const Json json = parse_json(reply.body, "reply of /detokenize");
  return JsonFields(json, "reply of /detokenize").at(llama_cpp_ ? "content" : "prompt").string();
}

}  // namespace reprise::client
