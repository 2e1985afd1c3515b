// Reads one HTTP reply out of bytes that arrive in any pieces.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "client/http_loop.h"

namespace reprise::client {

// Hands pieces of the body on as they are found, so that nothing is copied.
class ReplyParser final : public boost::beast::http::basic_parser<false> {
 public:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;

  // `events` must outlive this. Replies of more than `most_body_bytes` end with the error body_limit.
  ReplyParser(const HttpEvents& events, size_t most_body_bytes) : events_(events), left_(most_body_bytes) {
    eager(true);
    header_limit(uint32_t{1} << 18);
    body_limit(boost::none);  // it looks at declared lengths alone
  }

  int status() const { return status_; }

 private:
  void on_request_impl(boost::beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override { status_ = code; }
  void on_field_impl(boost::beast::http::field, string_view name, string_view value, error_code&) override {
    fields_.emplace_back(std::string(name), std::string(value));
  }
  void on_header_impl(error_code&) override {
    if (status_ >= 200 && events_.head) events_.head(status_, fields_);
  }
  void on_body_init_impl(boost::optional<uint64_t> const& length, error_code& failed) override {
    if (length && *length > left_) failed = boost::beast::http::error::body_limit;
  }
  size_t on_body_impl(string_view piece, error_code& failed) override { return take(piece, failed); }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view piece, error_code& failed) override {
    return take(piece, failed);
  }
  void on_finish_impl(error_code&) override {}

  size_t take(string_view piece, error_code& failed) {
    if (piece.size() > left_) {
      failed = boost::beast::http::error::body_limit;
      return 0;
    }
    left_ -= piece.size();
    if (events_.body && !piece.empty()) events_.body(std::string_view(piece.data(), piece.size()));
    return piece.size();
  }

  const HttpEvents& events_;
  size_t left_;  // bytes that the body may still have
  int status_ = 0;
  HttpFields fields_;
};

}  // namespace reprise::client
