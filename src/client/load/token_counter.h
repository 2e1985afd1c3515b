// How many tokens a server makes of a text: by its /tokenize and /detokenize.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/http_loop.h"

namespace reprise::client {

// One thread at a time; each call asks the server and waits.
class TokenCounter {
 public:
  using Interrupted = std::function<bool()>;

  // What speaks to this server; nothing where it has no such endpoints. They are asked in the form of vLLM and Reprise
  // ("prompt"), then in llama.cpp's ("content"). With `chat`, count() is that of a conversation with one message.
  static std::optional<TokenCounter> find(HttpLoop& loop, const std::string& model, bool chat,
                                          const Interrupted& interrupted);

  // Throw Error where the server fails.
  int64_t count(const std::string& text);  // as the server counts the prompt, special tokens included
  std::vector<int32_t> tokens(const std::string& text);  // without special tokens
  std::string text(const std::vector<int32_t>& tokens);

 private:
  TokenCounter(HttpLoop& loop, std::string model, const Interrupted& interrupted)
      : loop_(&loop), model_(std::move(model)), interrupted_(interrupted) {}
  std::optional<std::vector<int32_t>> tokenize(const std::string& text, bool special, bool message,
                                               std::string& error);

  HttpLoop* loop_;
  std::string model_;
  Interrupted interrupted_;
  bool llama_cpp_ = false;
  bool chat_ = false;
};

}  // namespace reprise::client
