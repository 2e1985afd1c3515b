// An HTTP request as a handler sees it, and what it answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise::server {

using HttpField = std::pair<std::string, std::string>;  // name, value

struct HttpRequest {
  std::string method;  // "POST"
  std::string path;    // as sent, percent signs and dots too, without host and query; "*" of OPTIONS *
  std::string query;   // behind '?', without it
  std::vector<HttpField> fields;
  std::string body;
  std::string client;  // "127.0.0.1:50314", or "unix"

  // The first field of that name, in whatever case; empty where there is none.
  std::string_view field(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  std::vector<HttpField> fields = {};  // beside those that the connection writes itself
  bool close = false;                  // the connection ends with this response
};

// "Not Found"; "Error" for a status that we never send.
std::string_view reason_of(int status);
// Whether a text is a header field's value: no control characters but tabs.
bool is_field_value(std::string_view text);
// Whether a text from outside may stand in a header field of ours: that, and short plain ASCII.
bool may_be_field_value(std::string_view text);
bool same_field_name(std::string_view a, std::string_view b);
// With each %41 as the byte that it stands for; nullopt where a % is not followed by two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace reprise::server
