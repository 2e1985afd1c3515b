// The client of a build without Boost.
#include "client/http_loop.h"
#include "core/error.h"

namespace reprise::client {

struct HttpLoop::Impl {};

HttpLoop::HttpLoop(const ServerUrl& url, const HttpLoopSettings&) {
  throw Error(
      "[--url] this build can't speak to {}: it was made without Boost 1.81 or yaml-cpp; install libyaml-cpp-dev and libboost1.81-dev (Debian 12) or "
      "libboost1.83-dev and build again",
      url.shown);
}
HttpLoop::~HttpLoop() = default;
const ServerUrl& HttpLoop::url() const {
  throw Error("[--url] no client in this build");
}
const HttpLoopSettings& HttpLoop::settings() const {
  throw Error("[--url] no client in this build");
}
HttpLoop::CallId HttpLoop::ask(HttpCall, HttpEvents) {
  return 0;
}
void HttpLoop::cancel(CallId) {}
void HttpLoop::cancel_all() {}
void HttpLoop::at(Clock::time_point, std::function<void()>) {}
void HttpLoop::run(const std::function<bool()>&) {}

}  // namespace reprise::client
