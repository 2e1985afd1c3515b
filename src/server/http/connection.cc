#include "server/http/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <exception>
#include <utility>

namespace reprise::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;

namespace {

// Bounds a line of a chunked body, which Beast reads whole. At least what Beast reads at once.
constexpr size_t kMostReadAhead = size_t{64} << 10;
// A body up to this size that nobody wants is read and dropped, so that the connection can go on: it is on its way
// already.
constexpr size_t kMostDropped = size_t{64} << 10;

auto awaiting(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

}  // namespace

// Outlives its request: calls for one that is over do nothing.
class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, HttpRequest request)
      : connection_(std::move(connection)), serial_(connection_->serial_), request_(std::move(request)) {}
  ~ConnectionExchange() override {
    try {  // the last holder may be on any thread
      asio::post(connection_->io_, [connection = connection_, serial = serial_] {
        if (connection->serial_ != serial || connection->complete_ || connection->gone_) return;
        if (connection->begun_) return connection->close();
        connection->refuse(500, "the request was dropped");
      });
    } catch (...) {  // memory: the client waits until it gives up
    }
  }

  const HttpRequest& request() const override { return request_; }
  double age_s() const override {
    return std::chrono::duration<double>(Connection::Clock::now() - read_).count();
  }
  void reply(HttpResponse response) override {
    if (mine()) connection_->reply(std::move(response));
  }
  void begin(HttpResponse response, std::string idle_text, std::chrono::seconds idle) override {
    if (mine()) connection_->begin(std::move(response), std::move(idle_text), idle);
  }
  void send(std::string_view piece) override {
    if (mine()) connection_->send(piece);
  }
  void end() override {
    if (mine()) connection_->end();
  }
  size_t unsent() const override { return mine() ? connection_->unsent() : 0; }
  void on_room(size_t bytes, std::function<void()> then) override {
    if (!mine() || connection_->gone_) return;
    connection_->room_ = bytes;
    connection_->on_room_ = std::move(then);
  }
  bool gone() const override { return connection_->serial_ != serial_ || connection_->gone_; }
  void on_gone(std::function<void()> then) override {
    if (mine() && !connection_->gone_)
      connection_->on_gone_ = std::move(then);
    else if (gone())
      then();
  }
  void post(std::function<void()> task) override { asio::post(connection_->io_, std::move(task)); }
  size_t io_thread() const override { return connection_->io_thread_; }

 private:
  bool mine() const { return connection_->serial_ == serial_ && !connection_->complete_; }

  const std::shared_ptr<Connection> connection_;
  const uint64_t serial_;
  const HttpRequest request_;
  const Connection::Clock::time_point read_ = Connection::Clock::now();
};

Connection::Connection(Socket socket, asio::io_context& io, size_t io_thread, std::string client,
                       std::shared_ptr<ConnectionShared> shared)
    : socket_(std::move(socket)),
      io_(io),
      io_thread_(io_thread),
      client_(std::move(client)),
      shared_(std::move(shared)),
      above_limit_(++shared_->open > shared_->settings.max_connections),
      deadline_(io),
      idle_(io),
      changed_(io),
      look_(io),
      in_(shared_->settings.head.bytes + kMostReadAhead) {}

Connection::~Connection() {
  set_answering(false);
  --shared_->open;
}

void Connection::start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->run(); },
      [self = shared_from_this()](const std::exception_ptr&) { self->close(); });
}

void Connection::close() {
  lose();
  error_code ignored;
  socket_.close(ignored);
  deadline_.cancel();
  idle_.cancel();
  look_.cancel();
}

asio::awaitable<void> Connection::run() {
  bool goes_on = !above_limit_;
  if (above_limit_) {
    begin_request({});
    refuse(503, "too many connections are open; try again later");
    co_await sent();
    co_await linger();
  }
  for (std::string text; goes_on; text.clear()) {
    const Read read = co_await read_head(text);
    goes_on = read != Read::gone && co_await serve(text, read == Read::late);
  }
  close();
}

asio::awaitable<Connection::Read> Connection::read_head(std::string& head) {
  const HttpSettings& settings = shared_->settings;
  set_answering(false);
  if (shared_->draining && serial_ > 0) co_return Read::gone;
  if (in_.size() == 0) {
    set_deadline(serial_ == 0 ? settings.head_timeout : settings.idle_timeout);
    error_code failed;
    co_await socket_.async_wait(Socket::wait_read, awaiting(failed));
    if (failed) co_return Read::gone;
  }
  set_deadline(settings.head_timeout, Late::tell);
  error_code failed;
  head.assign(static_cast<const char*>(in_.data().data()), in_.size());
  in_.consume(in_.size());
  // One byte more than the limit, so that a head that is too large is told from one that is not whole.
  auto buffer = asio::dynamic_buffer(head, std::max(settings.head.bytes + 1, head.size()));
  const size_t whole = co_await asio::async_read_until(socket_, buffer, "\r\n\r\n", awaiting(failed));
  if (!socket_.is_open()) co_return Read::gone;                 // the deadline may have passed just now
  if (failed == asio::error::not_found) co_return Read::whole;  // parse_head() says that it is too large
  if (failed) co_return late_ && !head.empty() ? Read::late : Read::gone;
  const size_t rest = head.size() - whole;
  in_.commit(asio::buffer_copy(in_.prepare(rest), asio::buffer(head.data() + whole, rest)));
  head.resize(whole);
  co_return Read::whole;
}

void Connection::begin_request(const ParsedHead& parsed) {
  const HttpRequest& request = parsed.head ? parsed.head->request : parsed.refused;
  ++serial_;
  set_answering(true);
  begun_ = complete_ = gone_ = chunked_ = false;
  keep_alive_ = parsed.head && parsed.head->keep_alive;
  http10_ = parsed.head && parsed.head->http10;
  head_only_ = request.method == "HEAD";
  path_ = request.path;
  reply_fields_.clear();
  if (shared_->app.fields) reply_fields_ = shared_->app.fields(request);
}

// One request whose head is there, or as much of it as came in time. Whether the connection goes on.
asio::awaitable<bool> Connection::serve(const std::string& head_text, bool late) {
  ParsedHead parsed = parse_head(head_text, shared_->settings.head);
  begin_request(parsed);
  if (late) {
    refuse(408, "the head of the request did not come in time");
  } else if (!parsed.head) {
    refuse(parsed.error.status, parsed.error.what);
  } else {
    RequestHead& head = *parsed.head;
    if (shared_->app.decide)
      if (std::optional<HttpResponse> response = shared_->app.decide(head.request))
        co_return co_await answer_unread(std::move(*response), head);
    const Read read = co_await read_body(head_text, head);
    if (read == Read::gone || gone_) co_return false;
    if (read == Read::whole) co_return co_await answer(std::move(head));
  }
  co_await sent();
  co_await linger();
  co_return false;
}

// Answers a request whose body was not read. Whether the connection goes on.
asio::awaitable<bool> Connection::answer_unread(HttpResponse response, const RequestHead& head) {
  const bool has_body = head.chunked || head.body_bytes > 0;
  // Who waits for 100 may send the body now or not, and nobody can tell which.
  if (head.chunked || head.body_bytes > kMostDropped || (has_body && head.expects_continue))
    response.close = true;
  reply(std::move(response));
  co_await sent();
  if (gone_) co_return false;
  set_answering(false);
  if (keep_alive_) {
    const size_t here = static_cast<size_t>(std::min<uint64_t>(head.body_bytes, in_.size()));
    in_.consume(here);
    set_deadline(shared_->settings.body_timeout);
    co_return co_await drop(head.body_bytes - here);
  }
  if (has_body) co_await linger();
  co_return false;
}

// The body into head.request, read by Beast, which has seen the head as well.
asio::awaitable<Connection::Read> Connection::read_body(const std::string& head_text, RequestHead& head) {
  const HttpSettings& settings = shared_->settings;
  if (head.body_bytes > settings.max_body_bytes) {
    refuse(413, "the body is larger than this server takes");
    co_return Read::refused;
  }
  if (!head.chunked && head.body_bytes == 0) co_return Read::whole;
  set_deadline(settings.body_timeout, Late::tell);
  error_code failed;
  if (head.expects_continue) {
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await asio::async_write(socket_, asio::buffer(kContinue), awaiting(failed));
    if (failed) co_return Read::gone;
  }
  beast::http::request_parser<beast::http::string_body> parser;
  parser.header_limit(static_cast<uint32_t>(settings.head.bytes + 1));
  parser.body_limit(settings.max_body_bytes);
  parser.put(asio::buffer(head_text), failed);
  if (failed == beast::http::error::need_more) failed = {};
  if (!failed) co_await beast::http::async_read(socket_, in_, parser, awaiting(failed));
  if (failed && late_ && !gone_) {
    refuse(408, "the body of the request did not come in time");
    co_return Read::refused;
  }
  if (failed == beast::http::error::body_limit) {
    refuse(413, "the body is larger than this server takes");
    co_return Read::refused;
  }
  if (failed.category() == beast::http::make_error_code(beast::http::error::bad_chunk).category() &&
      failed != beast::http::error::end_of_stream && failed != beast::http::error::partial_message) {
    refuse(400, "the body is malformed");
    co_return Read::refused;
  }
  if (failed) co_return Read::gone;
  head.request.body = std::move(parser.get().body());
  co_return Read::whole;
}

// Whether the connection goes on.
asio::awaitable<bool> Connection::answer(RequestHead head) {
  deadline_.cancel();
  head.request.client = client_;
  watch_client();
  {
    const auto exchange = std::make_shared<ConnectionExchange>(shared_from_this(), std::move(head.request));
    bool failed = false;
    try {
      shared_->app.answer(exchange);
    } catch (const std::exception&) {
      failed = true;
    }
    if (failed && !begun_ && !complete_) refuse(500, "the request could not be handled");
  }
  co_await sent();
  if (gone_) co_return false;
  idle_.cancel();
  look_.cancel();
  deadline_.cancel();
  on_gone_ = on_room_ = nullptr;
  error_code ignored;
  if (watching_) socket_.cancel(ignored);
  co_return keep_alive_;
}

// Waits until the answer is with the client, or the client is gone.
asio::awaitable<void> Connection::sent() {
  while (!done() && !gone_) {
    error_code ended;
    changed_.expires_at(Clock::time_point::max());
    co_await changed_.async_wait(awaiting(ended));
  }
}

// The next so many bytes of the client go nowhere. False where it ends before.
asio::awaitable<bool> Connection::drop(uint64_t bytes) {
  error_code failed;
  for (char unread[4096]; bytes > 0;) {
    const size_t most = static_cast<size_t>(std::min<uint64_t>(bytes, sizeof unread));
    bytes -= co_await socket_.async_read_some(asio::buffer(unread, most), awaiting(failed));
    if (failed) co_return false;
  }
  co_return true;
}

// What we refuse unread would reset the connection when it is closed, and the client might not see why.
asio::awaitable<void> Connection::linger() {
  error_code failed;
  socket_.shutdown(Socket::shutdown_send, failed);
  set_deadline(std::chrono::seconds(2));
  if (!failed) co_await drop(uint64_t{1} << 20);
}

// Answers a request that goes no further, and closes.
void Connection::refuse(int status, std::string_view what) {
  HttpResponse response =
      shared_->app.error
          ? shared_->app.error(status, what, path_)
          : HttpResponse{.status = status, .body = std::string(what), .content_type = "text/plain"};
  response.close = true;
  reply(std::move(response));
}

void Connection::put_head(const HttpResponse& response, bool whole) {
  if (response.close || shared_->draining) keep_alive_ = false;
  chunked_ = !whole && !http10_;
  if (!whole && http10_) keep_alive_ = false;
  out_.append("HTTP/1.1 ")
      .append(std::to_string(response.status))
      .append(" ")
      .append(reason_of(response.status));
  if (response.status != 204) out_.append("\r\nContent-Type: ").append(response.content_type);
  put_fields(response.fields);
  put_fields(reply_fields_);
  if (response.status == 204) {
    // has no body, and may not say so
  } else if (whole)
    out_.append("\r\nContent-Length: ").append(std::to_string(response.body.size()));
  else if (chunked_)
    out_.append("\r\nTransfer-Encoding: chunked");
  out_.append(keep_alive_ ? "\r\nConnection: keep-alive" : "\r\nConnection: close");
  out_.append("\r\n\r\n");
  begun_ = true;
}

// A value with a line end in it would begin a field, or a body, of whoever wrote it.
void Connection::put_fields(const std::vector<HttpField>& fields) {
  for (const auto& [name, value] : fields)
    if (is_field_value(value)) out_.append("\r\n").append(name).append(": ").append(value);
}

void Connection::put_piece(std::string_view piece) {
  if (piece.empty() || head_only_) return;
  if (!chunked_) {
    out_.append(piece);
    return;
  }
  char size[20];
  const auto end = std::to_chars(std::begin(size), std::end(size), piece.size(), 16).ptr;
  out_.append(size, end).append("\r\n").append(piece).append("\r\n");
}

void Connection::reply(HttpResponse response) {
  if (begun_) return;
  put_head(response, true);
  if (!head_only_) out_.append(response.body);
  complete_ = true;
  write();
}

void Connection::begin(HttpResponse response, std::string idle_text, std::chrono::seconds idle) {
  if (begun_) return;
  put_head(response, false);
  put_piece(response.body);
  idle_text_ = std::move(idle_text);
  idle_after_ = idle;
  last_sent_ = Clock::now();
  write();
  if (idle.count() > 0) watch_idle();
}

void Connection::send(std::string_view piece) {
  if (gone_ || !begun_) return;
  put_piece(piece);
  write();
}

void Connection::end() {
  if (!begun_) return;
  if (chunked_ && !head_only_) out_.append("0\r\n\r\n");
  complete_ = true;
  write();
}

void Connection::write() {
  if (gone_) return wake();
  if (writing_) return;
  if (flown_ == in_flight_.size()) {
    in_flight_.clear();
    flown_ = 0;
    in_flight_.swap(out_);
  }
  if (in_flight_.empty()) {
    deadline_.cancel();
    if (complete_) wake();
    return;
  }
  writing_ = true;
  set_deadline(shared_->settings.stall_timeout);
  socket_.async_write_some(asio::buffer(in_flight_.data() + flown_, in_flight_.size() - flown_),
                           [self = shared_from_this()](error_code failed, size_t bytes) {
                             self->writing_ = false;
                             if (failed) return self->close();
                             self->written(bytes);
                           });
}

void Connection::written(size_t bytes) {
  flown_ += bytes;
  last_sent_ = Clock::now();
  write();
  if (on_room_ && unsent() <= room_) std::exchange(on_room_, nullptr)();
}

// Says when the client closes while it waits for its answer. What it sends meanwhile is its next request.
void Connection::watch_client() {
  watching_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this(), serial = serial_](error_code failed) {
    self->watching_ = false;
    if (failed || self->serial_ != serial || self->complete_) return;
    char byte = 0;
    const ssize_t got = recv(self->socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
      return self->close();
    self->watch_hang_up();
  });
}

// The end of file stands behind bytes that nobody reads before the answer is complete, so it is asked for.
void Connection::watch_hang_up() {
  look_.expires_after(std::chrono::milliseconds(500));
  look_.async_wait([self = shared_from_this(), serial = serial_](error_code cancelled) {
    if (cancelled || self->serial_ != serial || self->complete_ || self->gone_) return;
    pollfd look{.fd = self->socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
    if (poll(&look, 1, 0) > 0) return self->close();
    self->watch_hang_up();
  });
}

void Connection::watch_idle() {
  idle_.expires_at(last_sent_ + idle_after_);
  idle_.async_wait([self = shared_from_this(), serial = serial_](error_code cancelled) {
    if (cancelled || self->serial_ != serial || self->complete_ || self->gone_) return;
    if (Clock::now() >= self->last_sent_ + self->idle_after_) {
      self->last_sent_ = Clock::now();
      self->send(self->idle_text_);
    }
    self->watch_idle();
  });
}

void Connection::lose() {
  if (gone_) return;
  gone_ = true;
  out_.clear();
  on_room_ = nullptr;
  if (const auto then = std::exchange(on_gone_, nullptr); then && !complete_) then();
  wake();
}

void Connection::wake() {
  changed_.cancel();
}

void Connection::set_answering(bool answering) {
  if (answering != answering_) answering ? ++shared_->answering : --shared_->answering;
  answering_ = answering;
}

void Connection::set_deadline(std::chrono::milliseconds after, Late late) {
  late_ = false;
  deadline_.expires_after(after);
  deadline_.async_wait([self = shared_from_this(), late](error_code cancelled) {
    // A timer that was moved on is cancelled; one that ran out just before is seen by its time.
    if (cancelled || self->deadline_.expiry() > Clock::now()) return;
    if (late == Late::close) return self->close();
    // What is between two reads just now hears nothing of it.
    self->set_deadline(std::chrono::seconds(1));
    self->late_ = true;
    error_code ignored;
    self->socket_.cancel(ignored);
  });
}

}  // namespace reprise::server
