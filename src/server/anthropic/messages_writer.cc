#include "server/anthropic/messages_writer.h"

#include <fmt/format.h>

#include <iterator>
#include <memory>
#include <utility>

#include "server/anthropic/messages_request.h"
#include "server/generation_form.h"
#include "server/reply_text.h"

namespace reprise::server {
namespace {

// Tokens that were found in the prefix cache are counted apart, as this API has it.
void append_usage(std::string& to, const ReplyUsage& usage) {
  fmt::format_to(std::back_inserter(to),
                 ",\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":0,"
                 "\"cache_read_input_tokens\":{},\"output_tokens\":{}}}",
                 usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens, usage.output_tokens);
}

}  // namespace

void MessagesWriter::append_stop(std::string& to) const {
  to.append("\"stop_reason\":");
  if (finish_reason_.empty())
    to.append("null");
  else if (finish_reason_ != "stop")
    to.append("\"max_tokens\"");  // also of a reply that was cut off: this API's word for one that may go on
  else
    to.append(stop_string_.empty() ? "\"end_turn\"" : "\"stop_sequence\"");
  to.append(",\"stop_sequence\":");
  if (stop_string_.empty())
    to.append("null");
  else
    append_json_string(to, stop_string_);
}

void MessagesWriter::append_message(std::string& to, std::string_view content,
                                    const ReplyUsage& usage) const {
  to.append("{\"id\":");
  append_json_string(to, identity_.id);
  to.append(",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
  append_json_string(to, identity_.model);
  to.append(",\"system_fingerprint\":");
  append_json_string(to, identity_.fingerprint);
  to.append(",\"content\":[").append(content).append("],");
  append_stop(to);
  append_usage(to, usage);
  to.push_back('}');
}

void MessagesWriter::begin_stream(const ReplyUsage& usage, std::string& to) {
  to.append("event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
  append_message(to, "", usage);
  to.append(
      "}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
      "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n");
}

void MessagesWriter::add(size_t, const api::OutputDelta& delta, const ReplyUsage&, std::string& to) {
  if (delta.complete) {
    finish_reason_ = delta.finish_reason;
    stop_string_ = delta.stop_string;
  }
  if (!stream_) {
    text_ += delta.text;
    return;
  }
  if (delta.text.empty()) return;
  to.append(
      "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
      "\"delta\":{\"type\":\"text_delta\",\"text\":");
  append_json_string(to, delta.text);
  to.append("}}\n\n");
}

void MessagesWriter::finish_stream(const ReplyUsage& usage, std::string& to) {
  to.append(
      "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
      "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
  append_stop(to);
  to.push_back('}');
  append_usage(to, usage);
  to.append("}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

void MessagesWriter::fail_stream(const ApiError& error, const ReplyUsage&, std::string& to) {
  to.append("event: error\ndata: ").append(error_text(error, ErrorForm::anthropic)).append("\n\n");
}

std::string MessagesWriter::whole(const ReplyUsage& usage) {
  std::string content = "{\"type\":\"text\",\"text\":";
  append_json_string(content, text_);
  content.push_back('}');
  std::string to;
  append_message(to, content, usage);
  return to;
}

const GenerationForm kMessagesForm = {
    .id_prefix = "msg_",
    .id_field = "request-id",
    .logprobs_field = "",
    .prompt_field = "messages",
    .parse =
        [](const HttpRequest& request, const Sampling& defaults) {
          return parse_messages_request(request, defaults, MessagesUse::generate);
        },
    .make_writer = [](const GenerationRequest& request, ReplyIdentity identity, std::vector<std::string>,
                      std::vector<std::vector<int32_t>>) -> std::unique_ptr<ReplyWriter> {
      return std::make_unique<MessagesWriter>(std::move(identity), request.stream);
    }};

}  // namespace reprise::server
