// Any bytes as the head of a request: refused with a status, or read so that what was read, printed again,
// is read as the same.
#include <string>

#include "core/error.h"
#include "server/http/request_head.h"

namespace reprise::server {
namespace {

std::string printed(const RequestHead& head) {
  const HttpRequest& request = head.request;
  std::string text = request.method + " " + request.path;
  if (!request.query.empty()) text += "?" + request.query;
  text += head.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n";
  for (const auto& [name, value] : request.fields) text += name + ":" + value + "\r\n";
  return text + "\r\n";
}

}  // namespace
}  // namespace reprise::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::server;
  const ParsedHead parsed = parse_head({reinterpret_cast<const char*>(data), size});
  if (!parsed.head) {
    REPRISE_CHECK(parsed.error.status >= 400 && !parsed.error.what.empty(), "an error without a status");
    return 0;
  }
  const RequestHead& head = *parsed.head;
  REPRISE_CHECK(!head.chunked || head.body_bytes == 0, "two lengths");
  REPRISE_CHECK(!head.chunked || !head.http10, "chunks in HTTP/1.0");
  const std::string text = printed(head);
  const ParsedHead again = parse_head(text);
  REPRISE_CHECK(again.head.has_value(), "what was accepted is refused");
  REPRISE_CHECK(printed(*again.head) == text && again.head->keep_alive == head.keep_alive &&
                    again.head->chunked == head.chunked && again.head->body_bytes == head.body_bytes &&
                    again.head->expects_continue == head.expects_continue,
                "read otherwise");
  return 0;
}
