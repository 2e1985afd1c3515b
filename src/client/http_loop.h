// An HTTP/1.1 client for one server: many requests at once on one thread, each on a connection of its own, which is
// kept for the next. The thread is that of run(). No TLS.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/server_url.h"

namespace reprise::client {

using HttpFields = std::vector<std::pair<std::string, std::string>>;  // name, value

struct HttpCall {
  std::string method = "POST";
  std::string path;        // behind the base of the URL: "/v1/completions"
  std::string body = {};   // JSON, where there is one
  HttpFields fields = {};  // beside those that every request has
};

// Why there is no whole reply.
enum class Trouble {
  none,
  resolve,    // no such host
  connect,    // nobody listens, or it takes too long
  timeout,    // the server was silent for too long
  closed,     // the connection ended before the reply did
  malformed,  // what came is no HTTP
  too_large,
  cancelled,  // by cancel()
};
std::string_view name_of(Trouble trouble);

struct HttpEnd {
  Trouble trouble = Trouble::none;
  std::string what = {};  // a sentence for people: which server, what happened, what to do
};

// What comes of a call, in this order; each may be null. What they throw leaves run().
struct HttpEvents {
  std::function<void(int status, const HttpFields& fields)> head = nullptr;
  // Bytes of the body as they arrive, without chunk sizes; valid during the call.
  std::function<void(std::string_view piece)> body = nullptr;
  std::function<void(const HttpEnd& end)> end = nullptr;  // once, also where nothing came
};

struct HttpLoopSettings {
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds silence{600'000};  // longest time without a byte
  size_t most_body_bytes = size_t{1} << 30;    // of a reply
  std::string api_key = {};                    // sent as Authorization: Bearer; empty: none
};

// One thread at a time.
class HttpLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using CallId = uint64_t;

  // Connects when it is asked something. Throws Error on an API key that can't stand in a header.
  explicit HttpLoop(const ServerUrl& url, const HttpLoopSettings& settings = {});
  ~HttpLoop();  // drops what is open, without further events
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  const ServerUrl& url() const;
  const HttpLoopSettings& settings() const;

  // Sends the request as soon as run() runs. May be called from within events.
  CallId ask(HttpCall call, HttpEvents events);
  // Closes its connection, so that the server sees it; the call ends with Trouble::cancelled. Unknown ones are ignored.
  void cancel(CallId call);
  void cancel_all();
  // Calls `task` at that time; run() waits for it.
  void at(Clock::time_point when, std::function<void()> task);
  // Until no call is open and no task waits; or until `interrupted`, asked every 50 ms, is true.
  void run(const std::function<bool()>& interrupted = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One whole reply.
struct HttpReply {
  int status = 0;
  HttpFields fields = {};
  std::string body = {};
  HttpEnd end = {};
  // The message of an error reply, of OpenAI's and other shapes; else the beginning of the body.
  std::string error_message() const;
};
// Asks and waits; where `interrupted`, the reply ends with Trouble::cancelled.
HttpReply ask_and_wait(HttpLoop& loop, HttpCall call, const std::function<bool()>& interrupted = nullptr);

// The value of the first field of that name, whatever its case; empty where there is none.
std::string_view field_of(const HttpFields& fields, std::string_view name);
// The message in the body of an error reply.
std::string error_message_of(std::string_view body);

}  // namespace reprise::client
