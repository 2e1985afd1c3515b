// --request-log: each request as it was sent and a digest of its reply, so that `reprise replay` can run it again and name
// the first token that differs. One line of JSON a request, written by a thread of its own. No header is in it, so no key.
//
// {"version": 1, "time": seconds since 1970, "id", "path", "body": text, "fingerprint", "drawn_seeds": [..] or absent,
//  "status": 200, "end": "stop" | "length" | "abort" | "error", "prompts": [{"prompt_tokens", "outputs": [{"token_ids",
//  "text_bytes", "text_fnv1a": hexadecimal, "finish_reason", "logprobs": [..] or absent, "prompt_logprobs": likewise}]}]}
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/output_assembler.h"

namespace reprise::server {

class RequestLog {
 public:
  // Creates the file with the rights 0600, or appends to it. Throws Error where it is no regular file, is not ours, others
  // may read or write it, another process writes it, or it can't be opened.
  explicit RequestLog(std::string path);
  ~RequestLog();  // writes what is queued
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  // Queues a line (without its line feed); never waits for the disk. Any thread.
  void add(std::string line);
  // Counts a line that could not be made. Any thread.
  void lose();
  // Lines that could not be written, or not soon enough. A file that was moved or deleted is made again. Any thread.
  int64_t lost() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What one request's line is made of. One thread at a time.
class LoggedRequest {
 public:
  struct Identity {
    std::string id, path, fingerprint;
    std::string_view body;
    int status = 200;
    std::string_view end;
  };

  // `seeds`: by prompt what was drawn for requests that gave none; empty: nothing was. `logprobs`: the reply has them (best_of
  // ranks by some that no reply shows).
  LoggedRequest(std::vector<uint64_t> seeds, bool logprobs) : seeds_(std::move(seeds)), logprobs_(logprobs) {}
  void add(size_t prompt, int64_t prompt_tokens, const api::OutputDelta& delta);
  std::string line(const Identity& identity) const;

 private:
  struct Output {
    std::vector<int32_t> ids = {};
    std::vector<float> logprobs = {}, prompt_logprobs = {};
    std::string finish_reason = {};
    uint64_t text_bytes = 0, text_hash = 0;
  };
  struct PromptOutputs {
    int64_t tokens = 0;
    std::vector<Output> outputs = {};
  };

  std::vector<uint64_t> seeds_;
  bool logprobs_;
  std::vector<PromptOutputs> prompts_;
};

}  // namespace reprise::server
