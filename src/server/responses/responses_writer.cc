#include "server/responses/responses_writer.h"

#include <fmt/format.h>

#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "core/json.h"
#include "server/generation_form.h"
#include "server/reply_text.h"
#include "server/responses/responses_request.h"

namespace reprise::server {
namespace {

constexpr std::string_view kIdPrefix = "resp_";
constexpr std::string_view kAborted =
    R"({"code":"server_error","message":"the request was aborted before its reply was complete"})";

void append_event_end(std::string& to) {
  to.append("}\n\n");
}

// One of the codes that this API has.
std::string failure_json(const ApiError& error) {
  const std::string_view code = error.status == 429  ? "rate_limit_exceeded"
                                : error.status < 500 ? "invalid_prompt"
                                                     : "server_error";
  return to_json_text({{"code", code}, {"message", error.what()}});
}

}  // namespace

ResponsesWriter::ResponsesWriter(const GenerationRequest& request, ReplyIdentity identity)
    : identity_(std::move(identity)),
      stream_(request.stream),
      logprobs_(request.wants_logprobs),
      item_id_("msg_" + identity_.id.substr(kIdPrefix.size())),
      repeated_(request.repeated) {}

ResponsesWriter::Status ResponsesWriter::status() const {
  if (finish_reason_ == "stop") return Status::completed;
  return finish_reason_ == "length" ? Status::incomplete : Status::failed;
}

void ResponsesWriter::begin_event(std::string& to, std::string_view type) {
  fmt::format_to(std::back_inserter(to), "event: {0}\ndata: {{\"type\":\"{0}\",\"sequence_number\":{1}", type,
                 sequence_++);
}

void ResponsesWriter::begin_part_event(std::string& to, std::string_view type) {
  begin_event(to, type);
  to.append(",\"item_id\":");
  append_json_string(to, item_id_);
  to.append(",\"output_index\":0,\"content_index\":0");
}

void ResponsesWriter::append_part(std::string& to) const {
  to.append("{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[").append(tokens_);
  to.append("],\"text\":");
  append_json_string(to, text_);
  to.push_back('}');
}

void ResponsesWriter::append_item(std::string& to, Status status) const {
  to.append("{\"id\":");
  append_json_string(to, item_id_);
  to.append(",\"type\":\"message\",\"role\":\"assistant\",\"status\":");
  to.append(status == Status::in_progress ? "\"in_progress\""
            : status == Status::completed ? "\"completed\""
                                          : "\"incomplete\"");
  to.append(",\"content\":[");
  if (status != Status::in_progress) append_part(to);
  to.append("]}");
}

void ResponsesWriter::append_response(std::string& to, Status status, const ReplyUsage& usage,
                                      std::string_view error) const {
  constexpr std::string_view kNames[] = {"in_progress", "completed", "incomplete", "failed"};
  to.append("{\"id\":");
  append_json_string(to, identity_.id);
  fmt::format_to(std::back_inserter(to), ",\"object\":\"response\",\"created_at\":{},\"status\":\"{}\"",
                 identity_.created, kNames[static_cast<size_t>(status)]);
  to.append(",\"error\":").append(status == Status::failed ? error : "null");
  to.append(",\"incomplete_details\":");
  to.append(status == Status::incomplete ? R"({"reason":"max_output_tokens"})" : "null");
  to.append(",\"model\":");
  append_json_string(to, identity_.model);
  to.append(",\"system_fingerprint\":");
  append_json_string(to, identity_.fingerprint);
  to.append(",\"output\":[");
  if (status != Status::in_progress) append_item(to, status);
  to.append("],");
  to.append(repeated_).append(",\"usage\":");
  if (status == Status::in_progress)
    to.append("null");
  else
    fmt::format_to(
        std::back_inserter(to),
        "{{\"input_tokens\":{},\"input_tokens_details\":{{\"cache_write_tokens\":0,\"cached_tokens\":{}}},"
        "\"output_tokens\":{},\"output_tokens_details\":{{\"reasoning_tokens\":0}},"
        "\"total_tokens\":{}}}",
        usage.prompt_tokens, usage.cached_tokens, usage.output_tokens,
        usage.prompt_tokens + usage.output_tokens);
  to.push_back('}');
}

void ResponsesWriter::append_end(std::string& to, Status status, const ReplyUsage& usage,
                                 std::string_view error) {
  begin_event(to, status == Status::completed    ? "response.completed"
                  : status == Status::incomplete ? "response.incomplete"
                                                 : "response.failed");
  to.append(",\"response\":");
  append_response(to, status, usage, error);
  append_event_end(to);
}

void ResponsesWriter::begin_stream(const ReplyUsage& usage, std::string& to) {
  for (const std::string_view type : {"response.created", "response.in_progress"}) {
    begin_event(to, type);
    to.append(",\"response\":");
    append_response(to, Status::in_progress, usage, {});
    append_event_end(to);
  }
  begin_event(to, "response.output_item.added");
  to.append(",\"output_index\":0,\"item\":");
  append_item(to, Status::in_progress);
  append_event_end(to);
  begin_part_event(to, "response.content_part.added");
  to.append(",\"part\":");
  append_part(to);
  append_event_end(to);
}

void ResponsesWriter::add(size_t, const api::OutputDelta& delta, const ReplyUsage&, std::string& to) {
  if (delta.complete) finish_reason_ = delta.finish_reason;
  std::string tokens;
  if (logprobs_ && !delta.logprobs.empty()) {
    append_chat_logprobs(tokens, delta.logprobs, identity_.tokenizer);
    tokens = tokens.substr(1, tokens.size() - 2);
    if (!tokens_.empty()) tokens_.push_back(',');
    tokens_ += tokens;
  }
  text_ += delta.text;
  if (!stream_ || (delta.text.empty() && tokens.empty())) return;
  begin_part_event(to, "response.output_text.delta");
  to.append(",\"delta\":");
  append_json_string(to, delta.text);
  to.append(",\"logprobs\":[").append(tokens).append("]");
  append_event_end(to);
}

void ResponsesWriter::finish_stream(const ReplyUsage& usage, std::string& to) {
  begin_part_event(to, "response.output_text.done");
  to.append(",\"text\":");
  append_json_string(to, text_);
  to.append(",\"logprobs\":[").append(tokens_).append("]");
  append_event_end(to);
  begin_part_event(to, "response.content_part.done");
  to.append(",\"part\":");
  append_part(to);
  append_event_end(to);
  begin_event(to, "response.output_item.done");
  to.append(",\"output_index\":0,\"item\":");
  append_item(to, status());
  append_event_end(to);
  append_end(to, status(), usage, kAborted);
}

void ResponsesWriter::fail_stream(const ApiError& error, const ReplyUsage& usage, std::string& to) {
  begin_event(to, "error");
  const auto append = [&](std::string_view name, std::string_view value) {
    to.append(",\"").append(name).append("\":");
    if (value.empty())
      to.append("null");
    else
      append_json_string(to, value);
  };
  append("code", error.code.empty() ? "server_error" : error.code);
  append("message", error.what());
  append("param", error.param);
  append_event_end(to);
  append_end(to, Status::failed, usage, failure_json(error));
}

std::string ResponsesWriter::whole(const ReplyUsage& usage) {
  std::string to;
  append_response(to, status(), usage, kAborted);
  return to;
}

const GenerationForm kResponsesForm = {
    .id_prefix = kIdPrefix,
    .id_field = "x-request-id",
    .logprobs_field = "top_logprobs",
    .prompt_field = "input",
    .parse = parse_responses_request,
    .make_writer = [](const GenerationRequest& request, ReplyIdentity identity, std::vector<std::string>,
                      std::vector<std::vector<int32_t>>) -> std::unique_ptr<ReplyWriter> {
      return std::make_unique<ResponsesWriter>(request, std::move(identity));
    }};

}  // namespace reprise::server
