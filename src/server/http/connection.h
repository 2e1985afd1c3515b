// One connection: reads requests one after the other, hands each to the app and writes its answer. All of it on one
// I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/exchange.h"
#include "server/http/http_server.h"

namespace reprise::server {

// What the connections of a server share.
struct ConnectionShared {
  HttpSettings settings;
  HttpApp app;
  std::atomic<size_t> open{0};
  std::atomic<size_t> answering{0};  // from the end of a head to the last byte of the answer
  std::atomic<bool> draining{false};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Clock = std::chrono::steady_clock;

  Connection(Socket socket, boost::asio::io_context& io, size_t io_thread, std::string client,
             std::shared_ptr<ConnectionShared> shared);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  void close();
  bool idle() const { return !answering_; }

 private:
  friend class ConnectionExchange;
  enum class Read { whole, late, refused, gone };
  // At a deadline: the connection is closed, or what is being read ends, so that the client can be told.
  enum class Late { close, tell };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<Read> read_head(std::string& head);
  void begin_request(const ParsedHead& parsed);
  boost::asio::awaitable<bool> serve(const std::string& head_text, bool late);
  boost::asio::awaitable<bool> answer_unread(HttpResponse response, const RequestHead& head);
  boost::asio::awaitable<Read> read_body(const std::string& head_text, RequestHead& head);
  boost::asio::awaitable<bool> answer(RequestHead head);
  void refuse(int status, std::string_view what);
  boost::asio::awaitable<void> sent();
  boost::asio::awaitable<bool> drop(uint64_t bytes);
  boost::asio::awaitable<void> linger();

  // The answer that is being written.
  void reply(HttpResponse response);
  void begin(HttpResponse response, std::string idle_text, std::chrono::seconds idle);
  void send(std::string_view piece);
  void end();
  void put_head(const HttpResponse& response, bool whole);
  void put_fields(const std::vector<HttpField>& fields);
  void put_piece(std::string_view piece);
  void write();
  void written(size_t bytes);
  void watch_client();
  void watch_idle();
  void lose();
  void wake();
  size_t unsent() const { return out_.size() + in_flight_.size() - flown_; }
  bool done() const { return complete_ && !writing_ && in_flight_.empty() && out_.empty(); }
  void watch_hang_up();
  void set_deadline(std::chrono::milliseconds after, Late late = Late::close);
  void set_answering(bool answering);

  Socket socket_;
  boost::asio::io_context& io_;
  const size_t io_thread_;
  const std::string client_;
  const std::shared_ptr<ConnectionShared> shared_;
  const bool above_limit_;  // more are open than may be
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer idle_;     // of a stream
  boost::asio::steady_timer changed_;  // run() waits on it for the end of the answer
  boost::asio::steady_timer look_;     // for a client that closed behind its next request
  boost::beast::flat_buffer in_;

  uint64_t serial_ = 0;  // of the request
  bool answering_ = false, begun_ = false, complete_ = false, gone_ = false;
  bool keep_alive_ = false, chunked_ = false, head_only_ = false, http10_ = false;
  bool writing_ = false, watching_ = false;
  bool late_ = false;                    // a deadline of Late::tell has passed
  std::string path_;                     // of the request, as far as it was read
  std::vector<HttpField> reply_fields_;  // of whatever answers the request
  std::string out_, in_flight_;
  size_t flown_ = 0;  // bytes of in_flight_
  std::string idle_text_;
  std::chrono::seconds idle_after_{0};
  Clock::time_point last_sent_{};
  std::function<void()> on_gone_;
  std::function<void()> on_room_;
  size_t room_ = 0;  // bytes that may be unsent when on_room_ is called
};

}  // namespace reprise::server
