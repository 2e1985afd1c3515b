#include "server/request_line.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <climits>

#include "core/json.h"

namespace reprise::server {
namespace {

// 00-TRACEID-PARENT-FLAGS (W3C Trace Context); empty where it is something else.
std::string trace_id(const std::string& traceparent) {
  if (traceparent.size() < 55 || traceparent[2] != '-' || traceparent[35] != '-') return {};
  const std::string id = traceparent.substr(3, 32);
  return id.find_first_not_of("0123456789abcdef") == std::string::npos ? id : std::string();
}

}  // namespace

bool write_request_line(const RequestLine& line, bool json) {
  std::string text;
  const std::string trace = trace_id(line.trace);
  if (json) {
    Json object = {{"id", line.id},
                   {"client", line.client},
                   {"path", line.path},
                   {"status", line.status},
                   {"prompt_tokens", line.usage.prompt_tokens},
                   {"cached_tokens", line.usage.cached_tokens},
                   {"output_tokens", line.usage.output_tokens},
                   {"queue_s", line.queue_s},
                   {"first_token_s", line.first_token_s},
                   {"total_s", line.total_s},
                   {"reason", line.reason}};
    if (!trace.empty()) object["trace_id"] = trace;
    text = to_json_text(object) + "\n";
  } else {
    text = fmt::format(
        "{} {} {} {} in {} cached {} out {} queue {:.3f} s first token {:.3f} s total {:.3f} s {}{}{}\n",
        line.id.empty() ? "-" : line.id, line.client, line.path, line.status, line.usage.prompt_tokens,
        line.usage.cached_tokens, line.usage.output_tokens, line.queue_s, line.first_token_s, line.total_s,
        line.reason, trace.empty() ? "" : " trace ", trace);
  }
  // A pipe that is ready takes 4096 bytes without waiting; a path may be longer.
  if (text.size() > PIPE_BUF) text.replace(PIPE_BUF - 1, std::string::npos, "\n");
  pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
  return write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace reprise::server
