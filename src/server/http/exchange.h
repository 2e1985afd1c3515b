// One request and its answer, which may come at once, later, or bit by bit.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace reprise::server {

// Every function but post() is for the exchange's own I/O thread, on which the handler is called. The exchange lives as
// long as somebody holds it; one that is dropped without an answer is answered with 500.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  // Seconds since the request was read.
  virtual double age_s() const = 0;

  // The whole answer. Nothing may follow.
  virtual void reply(HttpResponse response) = 0;
  // The head of an answer whose body comes in pieces; `response.body` is its first piece. `idle_text` is sent
  // whenever nothing else was for `idle` (0: never).
  virtual void begin(HttpResponse response, std::string idle_text, std::chrono::seconds idle) = 0;
  virtual void send(std::string_view piece) = 0;
  virtual void end() = 0;
  // Bytes of pieces that the client has not taken yet.
  virtual size_t unsent() const = 0;
  // `then` is called once, when no more than `bytes` are unsent. Not where the client goes away before.
  virtual void on_room(size_t bytes, std::function<void()> then) = 0;

  // The client went away (end of file, a reset, a failed write, no byte taken for too long): what is sent from then on
  // goes nowhere. `then` is called at most once, and not after the answer is complete.
  virtual bool gone() const = 0;
  virtual void on_gone(std::function<void()> then) = 0;

  // Runs `task` on the exchange's I/O thread, soon, in the order of the calls. Any thread.
  virtual void post(std::function<void()> task) = 0;
  // Which I/O thread that is, 0 to HttpServer::threads() - 1.
  virtual size_t io_thread() const = 0;
};

// Who answers. All are called on the connection's I/O thread and must not block; all but `answer` may be null.
struct HttpApp {
  // For each request whose head and body were read. May throw, which is answered with 500.
  std::function<void(const std::shared_ptr<Exchange>&)> answer;
  // An answer that the head alone decides, so that the body of a request that goes no further is not read. nullopt:
  // the request goes on to `answer`. May throw, which ends the connection.
  std::function<std::optional<HttpResponse>(const HttpRequest& head)> decide = nullptr;
  // Fields that every answer to a request carries beside its own, whoever makes it. Of a head that could not be read,
  // `seen` is what was read before the error.
  std::function<std::vector<HttpField>(const HttpRequest& seen)> fields = nullptr;
  // The answer to what the connection refuses itself. `path` is empty where none was read.
  std::function<HttpResponse(int status, std::string_view what, std::string_view path)> error = nullptr;
};

}  // namespace reprise::server
