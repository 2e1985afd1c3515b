// Prompts of random words with a wanted number of tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "client/load/random_numbers.h"
#include "client/load/token_counter.h"

namespace reprise::client {

// Tokens that texts have on a server without /tokenize, learned from the usage that it reports: a straight line.
struct TokenLine {
  double of_empty = 0, of_word = 1.3;
};

// One thread at a time. The same seed makes the same prompts.
class PromptMaker {
 public:
  // With a counter the number of tokens is exact but for rare texts; without one it is estimated by `line`.
  PromptMaker(std::optional<TokenCounter> counter, const TokenLine& line, uint64_t seed)
      : counter_(std::move(counter)), line_(line), random_(seed) {}

  // All prompts made later begin with the same words, about `tokens` tokens of them.
  void share_prefix(int64_t tokens);
  // Throws Error where the server fails, or where no prompt can be so short.
  std::string make(int64_t tokens);
  std::string words(int64_t count);  // random ones, " a b c"
  // Prompts that make() could not give exactly the tokens asked for.
  int64_t inexact() const { return inexact_; }

 private:
  std::string fit(const std::string& prefix, int64_t tokens);

  std::optional<TokenCounter> counter_;
  TokenLine line_;
  RandomNumbers random_;
  std::string prefix_;
  int64_t prefix_tokens_ = 0;
  int64_t inexact_ = 0;
};

}  // namespace reprise::client
