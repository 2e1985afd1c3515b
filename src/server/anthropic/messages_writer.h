// Replies of /v1/messages: a message, or the named events of its stream.
#pragma once

#include <string>
#include <string_view>

#include "server/reply_writer.h"

namespace reprise::server {

class MessagesWriter final : public ReplyWriter {
 public:
  MessagesWriter(ReplyIdentity identity, bool stream) : identity_(std::move(identity)), stream_(stream) {}

  void begin_stream(const ReplyUsage& usage, std::string& to) override;
  void add(size_t prompt, const api::OutputDelta& delta, const ReplyUsage& usage, std::string& to) override;
  void finish_stream(const ReplyUsage& usage, std::string& to) override;
  void fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) override;
  std::string whole(const ReplyUsage& usage) override;
  std::string_view finish_reason() const override { return finish_reason_; }

 private:
  // The message with its content, as text of JSON; complete or as it begins.
  void append_message(std::string& to, std::string_view content, const ReplyUsage& usage) const;
  void append_stop(std::string& to) const;

  const ReplyIdentity identity_;
  const bool stream_;
  std::string text_;  // of a whole reply
  std::string finish_reason_, stop_string_;
};

}  // namespace reprise::server
