// The reply of a generation in the form of one API: whole, or as the events of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/output_assembler.h"
#include "server/api_error.h"
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

// One thread at a time. What belongs to a stream is appended to `to`, as the text of server-sent events; `usage` is that
// of the request so far.
class ReplyWriter {
 public:
  virtual ~ReplyWriter() = default;
  // Once the request was accepted, before anything is added.
  virtual void begin_stream(const ReplyUsage& usage, std::string& to) = 0;
  // What the delta adds to an output of prompt number `prompt`. Appends nothing where the reply is whole.
  virtual void add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage,
                   std::string& to) = 0;
  virtual void finish_stream(const ReplyUsage& usage, std::string& to) = 0;
  // In place of finish_stream(): what the client is told when it can't go on.
  virtual void fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) = 0;
  // The whole reply, when all outputs are complete.
  virtual std::string whole(const ReplyUsage& usage) = 0;
  virtual std::string_view finish_reason() const = 0;  // of the first output: stop, length, abort
};

}  // namespace reprise::server
