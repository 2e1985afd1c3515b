// The reply of a chat or completion request: whole, or as the chunks of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/output_assembler.h"
#include "server/generation_request.h"
#include "tokenizer/tokenizer.h"

namespace reprise::server {

struct ReplyUsage {
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;
};

// What all replies of a server have in common, and one's name.
struct ReplyIdentity {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  std::string model;
  std::string fingerprint;
  const tokenizer::Tokenizer* tokenizer = nullptr;  // null: outputs have no text
};

// One thread at a time. A choice is an output of a prompt: prompt * n + output.
class ReplyWriter {
 public:
  // `echoes`: of each prompt the text that its outputs begin with, empty where none is asked for; `prompt_ids`:
  // likewise its ids. `outputs`: made for each prompt, n or best_of.
  ReplyWriter(const GenerationRequest& request, ReplyIdentity identity, std::vector<std::string> echoes,
              std::vector<std::vector<int32_t>> prompt_ids);

  // What the delta adds. In a stream its chunk is appended to `to`, as the text of server-sent events; `usage` is that of
  // the request so far.
  void add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage, std::string& to);
  // The last chunks of a stream.
  void finish_stream(const ReplyUsage& usage, std::string& to) const;
  // The whole reply, when all outputs are complete.
  std::string whole(const ReplyUsage& usage);

  std::string_view finish_reason() const;  // of the first choice

 private:
  struct Choice {
    std::string text;
    std::vector<int32_t> ids;
    std::vector<TokenLogprob> logprobs, prompt_logprobs;
    std::string finish_reason;
    bool begun = false;  // its first chunk was sent
    int64_t offset = 0;  // characters so far
    double sum = 0;      // of log-probabilities
  };

  void append_head(std::string& to, std::string_view object) const;
  void append_choice(std::string& to, size_t number, Choice& choice, bool chunk);
  void append_usage(std::string& to, const ReplyUsage& usage) const;
  void add_echo(size_t prompt, Choice& choice);
  std::vector<size_t> best() const;

  const bool chat_, stream_, include_usage_, continuous_usage_, return_ids_, logprobs_;
  const size_t n_, made_;  // outputs of a prompt: that are returned, that are made
  const ReplyIdentity identity_;
  const std::vector<std::string> echoes_;
  const std::vector<std::vector<int32_t>> prompt_ids_;
  std::vector<Choice> choices_;
};

}  // namespace reprise::server
