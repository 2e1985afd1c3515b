// The head of a request (request line and fields), read strictly: what two readers could understand in two ways is
// refused, so that nobody can hide one request inside of another (request smuggling: RFC 9112, sections 2.2, 5 and 6).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "server/http/message.h"

namespace reprise::server {

struct HeadLimits {
  size_t bytes = size_t{64} << 10;
  size_t target_bytes = size_t{8} << 10;
  size_t fields = 100;
};

struct RequestHead {
  HttpRequest request;  // without its body
  bool keep_alive = true;
  bool http10 = false;
  bool chunked = false;
  bool expects_continue = false;
  uint64_t body_bytes = 0;  // Content-Length; 0 where chunked
};

struct HeadError {
  int status = 0;
  std::string_view what = {};  // of static storage
};

// Either the head, or the error with what of the request was read before it (its path, say, which may be empty).
struct ParsedHead {
  std::optional<RequestHead> head;
  HeadError error = {};
  HttpRequest refused = {};
};
// `text`: all bytes up to and with the empty line. A target may be a path, "http://host/path", whose host takes the place
// of Host (RFC 9112, 3.2.2), or, of OPTIONS alone, "*".
ParsedHead parse_head(std::string_view text, const HeadLimits& limits = {});

}  // namespace reprise::server
