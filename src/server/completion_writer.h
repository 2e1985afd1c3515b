// Replies of /v1/chat/completions and /v1/completions, by OpenAI's API.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/generation_request.h"
#include "server/reply_writer.h"

namespace reprise::server {

// One thread at a time. A choice is an output of a prompt: prompt * n + output.
class CompletionWriter final : public ReplyWriter {
 public:
  // `echoes`: of each prompt the text that its outputs begin with, empty where none is asked for; `prompt_ids`:
  // likewise its ids.
  CompletionWriter(const GenerationRequest& request, ReplyIdentity identity, std::vector<std::string> echoes,
                   std::vector<std::vector<int32_t>> prompt_ids);

  void begin_stream(const ReplyUsage&, std::string&) override {}
  void add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage, std::string& to) override;
  void finish_stream(const ReplyUsage& usage, std::string& to) override;
  void fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) override;
  std::string whole(const ReplyUsage& usage) override;
  std::string_view finish_reason() const override;

 private:
  struct Choice {
    // Of a stream what no chunk had yet.
    std::string text;
    std::vector<int32_t> ids;
    std::vector<TokenLogprob> logprobs, prompt_logprobs;
    std::string finish_reason;
    bool begun = false;  // its first chunk was written
    int64_t offset = 0;  // characters so far
    double sum = 0;      // of log-probabilities
  };

  void append_chunk(std::string& to, size_t number, const ReplyUsage& usage);
  std::string head_of(std::string_view object) const;
  void append_choice(std::string& to, size_t index, size_t prompt, Choice& choice);
  void append_usage(std::string& to, const ReplyUsage& usage) const;
  void add_echo(size_t prompt, Choice& choice);
  std::vector<size_t> best() const;

  const bool chat_, stream_, include_usage_, continuous_usage_, return_ids_, logprobs_;
  const size_t n_, made_;  // outputs of a prompt: that are returned, that are made
  const size_t gathered_;  // tokens that a chunk waits for
  const ReplyIdentity identity_;
  const std::vector<std::string> echoes_;
  const std::vector<std::vector<int32_t>> prompt_ids_;
  const std::string head_;  // what a reply or a chunk begins with, written once
  std::vector<Choice> choices_;
};

}  // namespace reprise::server
