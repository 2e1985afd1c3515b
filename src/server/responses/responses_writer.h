// Replies of /v1/responses: a response, or the numbered events of its stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/generation_request.h"
#include "server/reply_writer.h"

namespace reprise::server {

// One message with one part of text.
class ResponsesWriter final : public ReplyWriter {
 public:
  ResponsesWriter(const GenerationRequest& request, ReplyIdentity identity);

  void begin_stream(const ReplyUsage& usage, std::string& to) override;
  void add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage, std::string& to) override;
  void finish_stream(const ReplyUsage& usage, std::string& to) override;
  // An `error` event, then `response.failed`: some clients wait for the one, some for the other.
  void fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) override;
  std::string whole(const ReplyUsage& usage) override;
  std::string_view finish_reason() const override { return finish_reason_; }

 private:
  enum class Status { in_progress, completed, incomplete, failed };

  Status status() const;  // of what is complete
  // Up to the event's own members, each of which begins with a comma.
  void begin_event(std::string& to, std::string_view type);
  // The same for what is about the item or its part of text.
  void begin_part_event(std::string& to, std::string_view type);
  void append_part(std::string& to) const;
  // Empty while it is in progress.
  void append_item(std::string& to, Status status) const;
  // `error`: of what failed, as JSON.
  void append_response(std::string& to, Status status, const ReplyUsage& usage, std::string_view error) const;
  void append_end(std::string& to, Status status, const ReplyUsage& usage, std::string_view error);

  const ReplyIdentity identity_;
  const bool stream_, logprobs_;
  const std::string item_id_;
  const std::string repeated_;  // members of the response that the request decides
  int64_t sequence_ = 0;        // number of the next event
  std::string text_;
  std::string tokens_;  // log-probabilities: entries of a JSON list
  std::string finish_reason_;
};

}  // namespace reprise::server
