// Listens, reads requests and writes answers, on threads of its own (named reprise-http). Each connection belongs to one
// of them. What is malformed, too large or too slow is answered here and never reaches the app.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/request_head.h"

namespace reprise::server {

struct HttpSettings {
  std::string host = "0.0.0.0";  // a name or an address
  uint16_t port = 8000;          // 0: any free one
  std::string uds = {};          // path of a unix socket instead; a socket that nobody listens on is replaced
  std::vector<int> sockets =
      {};  // descriptors that listen already, TCP or unix, in place of all these; become ours
  size_t threads = 1;
  HeadLimits head = {};
  size_t max_body_bytes = size_t{32} << 20;
  std::chrono::milliseconds head_timeout{30'000};
  std::chrono::milliseconds body_timeout{60'000};
  std::chrono::milliseconds idle_timeout{60'000};   // between two requests
  std::chrono::milliseconds stall_timeout{60'000};  // a client that takes no byte of its answer
  size_t max_connections = 8192;                    // those above it get 503, or at far above nothing
};

class HttpServer {
 public:
  // Listens. Throws Error where it can't: which address, why, and what to do.
  HttpServer(const HttpSettings& settings, HttpApp app);
  // Closes all connections at once.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Answers from then on, also who connected before. Once.
  void start();

  std::string address() const;  // "http://127.0.0.1:8000" or "unix:PATH"; of several sockets the first
  uint16_t port() const;        // 0 for a unix socket
  size_t threads() const;
  // From now on each connection is closed behind the answer it waits for, idle ones at once. New ones are
  // taken, so that who asks is told.
  void drain();
  size_t connections() const;  // open ones; any thread
  size_t answering() const;    // of these, those with a request whose answer isn't wholly sent; any thread
  // Runs `task` on I/O thread `thread`. Any thread.
  void post(size_t thread, std::function<void()> task);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::server
