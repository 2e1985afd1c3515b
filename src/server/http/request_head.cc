#include "server/http/request_head.h"

#include <algorithm>
#include <string>

namespace reprise::server {
namespace {

bool is_token_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}
// Visible ASCII: a target has nothing else, as sent. No '#': a fragment stays with the client, and where it were sent,
// some readers would end the path there.
bool is_target(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}
// A host with or without a port (RFC 3986, 3.2). Nobody's name before it: "good.example@evil.example" misleads.
bool is_authority(std::string_view text) {
  return !text.empty() && text[0] != ':' && std::ranges::all_of(text, [](char c) {
    return is_token_char(c) || std::string_view("(),;=:[]").find(c) != std::string_view::npos;
  });
}
// "HTTP://" for the scheme "http"; empty where the text begins otherwise.
std::string_view scheme_of(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"})
    if (same_field_name(target.substr(0, scheme.size()), scheme)) return target.substr(0, scheme.size());
  return {};
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits alone, and small enough to count with.
std::optional<uint64_t> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

constexpr std::string_view kTooManyFields = "the head has more than 100 fields";

class Reader {
 public:
  Reader(std::string_view text, const HeadLimits& limits) : rest_(text), limits_(limits) {}

  ParsedHead read() {
    if (read_request_line() && read_fields() && check_meaning()) return {.head = std::move(head_)};
    return {.head = std::nullopt, .error = error_, .refused = std::move(head_.request)};
  }

 private:
  bool fail(int status, std::string_view what) {
    error_ = {status, what};
    return false;
  }

  // The next line, whose end must be CR LF. A CR or LF alone is where other readers may see an end.
  bool next_line(std::string_view& line) {
    const size_t end = rest_.find_first_of(std::string_view("\r\n\0", 3));
    if (end == std::string_view::npos || rest_.substr(end, 2) != "\r\n")
      return fail(400, "a line of the head does not end with CR LF alone");
    line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return true;
  }

  bool read_request_line() {
    std::string_view line;
    if (!next_line(line)) return false;
    const size_t first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return fail(400, "the request line is malformed");
    const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
    const std::string_view target = line.substr(first + 1, last - first - 1);
    if (!is_token(method) || !is_target(target)) return fail(400, "the request line is malformed");
    head_.request.method = method;
    if (!read_target(target)) return false;
    if (target.size() > limits_.target_bytes) return fail(414, "the path is too long");
    if (version == "HTTP/1.0")
      head_.http10 = true;
    else if (version != "HTTP/1.1")
      return version.starts_with("HTTP/") ? fail(505, "only HTTP/1.1 is spoken here")
                                          : fail(400, "the request line is malformed");
    head_.keep_alive = !head_.http10;
    return true;
  }

  // The four forms of RFC 9112, 3.2.
  bool read_target(std::string_view target) {
    HttpRequest& request = head_.request;
    if (request.method == "CONNECT")
      return fail(501, "CONNECT asks for a tunnel, and this server is no proxy");
    if (target == "*") {
      request.path = target;
      return request.method == "OPTIONS" || fail(400, "the target * is for OPTIONS alone");
    }
    if (target[0] != '/') {
      const std::string_view scheme = scheme_of(target);
      if (scheme.empty())
        return fail(
            400, "the target is neither a path that begins with / nor an address that begins with http://");
      target.remove_prefix(scheme.size());
      authority_ = target.substr(0, target.find_first_of("/?"));
      if (!is_authority(authority_)) return fail(400, "the target is an address without a valid host");
      target.remove_prefix(authority_.size());
    }
    const size_t query = target.find('?');
    request.path = query == 0 || target.empty() ? "/" : target.substr(0, query);
    if (query != std::string_view::npos) request.query = target.substr(query + 1);
    return true;
  }

  bool read_fields() {
    for (std::string_view line; next_line(line);) {
      if (line.empty()) return rest_.empty() || fail(400, "the head does not end where it should");
      if (head_.request.fields.size() == limits_.fields) return fail(431, kTooManyFields);
      if (line[0] == ' ' || line[0] == '\t') return fail(400, "a field goes on in a second line");
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos || !is_token(line.substr(0, colon)))
        return fail(400, "the name of a field is malformed");
      const std::string_view value = trimmed(line.substr(colon + 1));
      if (!is_field_value(value)) return fail(400, "the value of a field has control characters");
      head_.request.fields.emplace_back(line.substr(0, colon), value);
    }
    return false;
  }

  size_t count(std::string_view name) const {
    return static_cast<size_t>(std::ranges::count_if(
        head_.request.fields, [&](const HttpField& field) { return same_field_name(field.first, name); }));
  }

  bool check_meaning() {
    const HttpRequest& request = head_.request;
    const size_t lengths = count("content-length"), encodings = count("transfer-encoding");
    const size_t hosts = count("host");
    if (hosts > 1 || (hosts == 0 && !head_.http10)) return fail(400, "there must be one Host field");
    if (!authority_.empty() && !set_host()) return false;
    if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0))
      return fail(400, "the length of the body is said twice");
    if (lengths > 0) {
      const std::optional<uint64_t> bytes = parse_length(request.field("content-length"));
      if (!bytes) return fail(400, "Content-Length is no number");
      head_.body_bytes = *bytes;
    }
    if (encodings > 0) {
      if (head_.http10) return fail(400, "HTTP/1.0 has no Transfer-Encoding");
      if (!same_field_name(request.field("transfer-encoding"), "chunked"))
        return fail(501, "Transfer-Encoding must be chunked");
      head_.chunked = true;
    }
    if (count("expect") > 0) {
      if (!same_field_name(request.field("expect"), "100-continue")) return fail(417, "an unknown Expect");
      head_.expects_continue = !head_.http10;
    }
    if (connection_says("keep-alive")) head_.keep_alive = true;
    if (connection_says("close")) head_.keep_alive = false;
    return true;
  }

  // An address in the request line says where the request goes, whatever Host says.
  bool set_host() {
    std::vector<HttpField>& fields = head_.request.fields;
    for (auto& [name, value] : fields) {
      if (!same_field_name(name, "host")) continue;
      value = authority_;
      return true;
    }
    if (fields.size() == limits_.fields) return fail(431, kTooManyFields);
    fields.emplace_back("Host", authority_);  // HTTP/1.0 may be without
    return true;
  }

  // The field is a list, and may be given in parts.
  bool connection_says(std::string_view option) const {
    for (const auto& [name, value] : head_.request.fields) {
      if (!same_field_name(name, "connection")) continue;
      for (std::string_view rest = value; !rest.empty();) {
        const size_t end = std::min(rest.find(','), rest.size());
        if (same_field_name(trimmed(rest.substr(0, end)), option)) return true;
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
    return false;
  }

  std::string_view rest_;
  const HeadLimits& limits_;
  std::string_view authority_;  // of a target that has one
  RequestHead head_;
  HeadError error_;
};

}  // namespace

ParsedHead parse_head(std::string_view text, const HeadLimits& limits) {
  ParsedHead parsed = Reader(text.substr(0, limits.bytes), limits).read();
  if (text.size() > limits.bytes) {
    // Whoever answers wants to know for which path.
    if (parsed.head) parsed.refused = std::move(parsed.head->request);
    parsed.head.reset();
    parsed.error = {.status = 431, .what = "the head is larger than 64 KiB"};
  }
  return parsed;
}

}  // namespace reprise::server
