#include "client/http_loop.h"

#include <sys/socket.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <map>
#include <optional>

#include "client/reply_parser.h"
#include "core/error.h"

namespace reprise::client {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;
using Clock = HttpLoop::Clock;

namespace {

constexpr std::chrono::milliseconds kLookAgain{100};

auto awaiting(error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

struct Connection {
  explicit Connection(asio::io_context& io) : socket(io) {}
  Socket socket;
  std::string unread = {};  // what the parser wants to see again with more behind it
};

struct Call {
  HttpLoop::CallId id = 0;
  HttpCall request;
  HttpEvents events;
  Connection* connection = nullptr;  // that it waits for
  Clock::time_point deadline;
  Trouble trouble = Trouble::none;  // why its connection was closed from here
  bool heard = false;               // a byte of its reply came
};

// Whether the server closed it, or sent what nobody asked for.
bool is_stale(Connection& connection) {
  char byte = 0;
  const ssize_t got = recv(connection.socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace

struct HttpLoop::Impl {
  Impl(ServerUrl server, HttpLoopSettings chosen)
      : url(std::move(server)), settings(std::move(chosen)), watch(io), buffer(size_t{64} << 10) {
    const auto printable = [](char c) { return c > ' ' && c < 127; };
    if (!std::ranges::all_of(settings.api_key, printable))
      throw Error("[--api-key] has characters that can't stand in an HTTP header, expected printable ones");
  }

  // ---- where the server is
  void resolve() {
    if (!endpoints.empty()) return;
    if (!url.unix_path.empty()) {
      endpoints.emplace_back(asio::local::stream_protocol::endpoint(url.unix_path));
      return;
    }
    tcp::resolver resolver(io);
    error_code failed;
    const auto found =
        resolver.resolve(url.host, std::to_string(url.port), tcp::resolver::numeric_service, failed);
    for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
    if (endpoints.empty())
      resolve_error = fmt::format("the host {} of {} is not known: {}; check --url", url.host, url.shown,
                                  failed.message());
  }

  HttpEnd trouble_of(const Call& call, Trouble otherwise, std::string what) const {
    if (call.trouble == Trouble::timeout)
      return {Trouble::timeout, fmt::format("{} said nothing for {} s", url.shown,
                                            static_cast<double>(settings.silence.count()) / 1000)};
    if (call.trouble == Trouble::cancelled) return {Trouble::cancelled, "cancelled"};
    return {otherwise, std::move(what)};
  }

  // ---- one call
  asio::awaitable<std::unique_ptr<Connection>> connect(Call& call, HttpEnd& end) {
    resolve();
    if (endpoints.empty()) {
      end = {Trouble::resolve, resolve_error};
      co_return nullptr;
    }
    error_code failed;
    for (size_t i = 0; i < endpoints.size() && call.trouble == Trouble::none; ++i) {
      auto connection = std::make_unique<Connection>(io);
      call.connection = connection.get();
      call.deadline = Clock::now() + settings.connect_timeout;
      failed = {};
      co_await connection->socket.async_connect(endpoints[i], awaiting(failed));
      call.connection = nullptr;
      if (failed) continue;
      if (i > 0) std::swap(endpoints[0], endpoints[i]);
      if (url.unix_path.empty()) connection->socket.set_option(tcp::no_delay(true), failed);
      co_return connection;
    }
    if (call.trouble == Trouble::cancelled) {
      end = trouble_of(call, Trouble::cancelled, {});
    } else {
      end = {Trouble::connect, fmt::format("can't connect to {}: {}; is the server running?", url.shown,
                                           call.trouble == Trouble::timeout ? std::string("it takes too long")
                                                                            : failed.message())};
    }
    co_return nullptr;
  }

  std::string head_of(const HttpCall& request) const {
    std::string head = fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: reprise\r\nAccept: */*\r\n",
                                   request.method, url.base, request.path, url.host_field);
    if (!settings.api_key.empty()) head += "Authorization: Bearer " + settings.api_key + "\r\n";
    for (const auto& [name, value] : request.fields)
      head.append(name).append(": ").append(value).append("\r\n");
    if (!request.body.empty() || request.method == "POST")
      head += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", request.body.size());
    return head + "\r\n";
  }

  // What `bytes` are, where they are no HTTP.
  std::string malformed(std::string_view bytes, const std::string& why) const {
    if (bytes.size() >= 2 && bytes[0] == 0x15 && bytes[1] == 0x03)
      return fmt::format(
          "{} speaks TLS, and this program http:// alone; run a tunnel or a proxy on this machine (stunnel, socat, "
          "ssh -L, nginx) and give its http:// address",
          url.shown);
    return fmt::format("{} answers with something that is no HTTP reply{}; check --url", url.shown, why);
  }

  // Feeds the parser. True: the reply is complete, or `end` says why it never will be.
  bool feed(Call& call, Connection& connection, std::optional<ReplyParser>& parser, std::string_view bytes,
            HttpEnd& end) {
    if (!connection.unread.empty()) connection.unread.append(bytes);
    std::string_view rest = connection.unread.empty() ? bytes : std::string_view(connection.unread);
    while (!rest.empty() && !parser->is_done()) {
      error_code failed;
      const size_t used = parser->put(asio::buffer(rest.data(), rest.size()), failed);
      const std::string_view seen = rest;
      rest.remove_prefix(used);
      if (parser->is_done() && parser->status() < 200) {  // 100 Continue
        parser.emplace(call.events, settings.most_body_bytes);
        continue;
      }
      if (failed == http::error::need_more) {
        if (used == 0) break;
        continue;
      }
      if (failed == http::error::body_limit) {
        end = {Trouble::too_large,
               fmt::format("the reply of {} is larger than {} bytes", url.shown, settings.most_body_bytes)};
        return true;
      }
      if (failed) {
        end = {Trouble::malformed, malformed(seen, ": " + failed.message())};
        return true;
      }
    }
    std::string left(rest);
    connection.unread = std::move(left);
    return parser->is_done();
  }

  asio::awaitable<HttpEnd> exchange(Call& call, Connection& connection, bool& reusable) {
    reusable = false;
    call.deadline = Clock::now() + settings.silence;
    const std::string head = head_of(call.request);
    const std::array<asio::const_buffer, 2> whole = {asio::buffer(head), asio::buffer(call.request.body)};
    error_code failed;
    // A server may refuse before it has read all, so its answer is read even where this fails.
    co_await asio::async_write(connection.socket, whole, awaiting(failed));
    std::optional<ReplyParser> parser;
    parser.emplace(call.events, settings.most_body_bytes);
    const std::string closed =
        fmt::format("{} closed the connection before its reply was complete", url.shown);
    while (call.trouble == Trouble::none) {
      failed = {};
      co_await connection.socket.async_wait(Socket::wait_read, awaiting(failed));
      if (failed || call.trouble != Trouble::none) break;
      const ssize_t got = recv(connection.socket.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) continue;
      if (got <= 0) {
        if (got == 0 && parser->got_some() && !parser->need_eof()) failed = http::error::partial_message;
        if (got == 0 && parser->got_some() && parser->need_eof()) parser->put_eof(failed);
        if (got == 0 && !failed && parser->is_done()) co_return HttpEnd{};
        break;
      }
      const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
      if (!call.heard && bytes[0] != 'H') co_return HttpEnd{Trouble::malformed, malformed(bytes, "")};
      call.heard = true;
      call.deadline = Clock::now() + settings.silence;
      HttpEnd end;
      if (feed(call, connection, parser, bytes, end)) {
        if (call.trouble != Trouble::none) break;  // by one of its own events
        reusable = end.trouble == Trouble::none && parser->keep_alive() && connection.unread.empty();
        co_return end;
      }
    }
    co_return trouble_of(call, Trouble::closed, closed);
  }

  asio::awaitable<void> serve(std::shared_ptr<Call> call) {
    HttpEnd end;
    for (;;) {
      std::unique_ptr<Connection> connection = take_idle();
      const bool reused = connection != nullptr;
      if (!reused) connection = co_await connect(*call, end);
      if (!connection) break;
      bool reusable = false;
      call->connection = connection.get();
      end = co_await exchange(*call, *connection, reusable);
      call->connection = nullptr;
      // It may have been closed for want of use just as the request went out.
      if (end.trouble == Trouble::closed && reused && !call->heard) continue;
      if (reusable) idle.push_back(std::move(connection));
      break;
    }
    open.erase(call->id);
    if (open.empty()) watch.cancel();
    if (call->events.end) call->events.end(end);
  }

  std::unique_ptr<Connection> take_idle() {
    while (!idle.empty()) {
      std::unique_ptr<Connection> connection = std::move(idle.back());
      idle.pop_back();
      if (!is_stale(*connection)) return connection;
    }
    return nullptr;
  }

  // ---- deadlines: one timer for all calls
  void look() {
    watching = true;
    watch.expires_after(kLookAgain);
    watch.async_wait([this](error_code) {  // at the end of the last call it is cancelled
      watching = false;
      const Clock::time_point now = Clock::now();
      for (const auto& [id, call] : open)
        if (call->connection != nullptr && now >= call->deadline) close(*call, Trouble::timeout);
      if (!open.empty()) look();
    });
  }

  static void close(Call& call, Trouble why) {
    if (call.trouble == Trouble::none) call.trouble = why;
    error_code ignored;
    if (call.connection != nullptr) call.connection->socket.close(ignored);
  }

  const ServerUrl url;
  const HttpLoopSettings settings;
  asio::io_context io{1};
  asio::steady_timer watch;
  bool watching = false;
  std::vector<char> buffer;  // what was read last, of whichever connection
  std::vector<Socket::endpoint_type> endpoints;
  std::string resolve_error;
  std::map<CallId, std::shared_ptr<Call>> open;
  std::vector<std::unique_ptr<Connection>> idle;
  CallId next = 1;
};

HttpLoop::HttpLoop(const ServerUrl& url, const HttpLoopSettings& settings)
    : impl_(std::make_unique<Impl>(url, settings)) {}
HttpLoop::~HttpLoop() = default;

const ServerUrl& HttpLoop::url() const {
  return impl_->url;
}

const HttpLoopSettings& HttpLoop::settings() const {
  return impl_->settings;
}

HttpLoop::CallId HttpLoop::ask(HttpCall request, HttpEvents events) {
  const auto call = std::make_shared<Call>();
  call->id = impl_->next++;
  call->request = std::move(request);
  call->events = std::move(events);
  impl_->open.emplace(call->id, call);
  asio::co_spawn(impl_->io, impl_->serve(call), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  if (!impl_->watching) impl_->look();
  return call->id;
}

void HttpLoop::cancel(CallId id) {
  if (const auto found = impl_->open.find(id); found != impl_->open.end())
    Impl::close(*found->second, Trouble::cancelled);
}

void HttpLoop::cancel_all() {
  for (const auto& [id, call] : impl_->open) Impl::close(*call, Trouble::cancelled);
}

void HttpLoop::at(Clock::time_point when, std::function<void()> task) {
  const auto timer = std::make_shared<asio::steady_timer>(impl_->io, when);
  timer->async_wait([timer, task = std::move(task)](error_code cancelled) {
    if (!cancelled) task();
  });
}

void HttpLoop::run(const std::function<bool()>& interrupted) {
  impl_->io.restart();
  if (!interrupted) {
    impl_->io.run();
    return;
  }
  while (!impl_->io.stopped()) {
    impl_->io.run_for(std::chrono::milliseconds(50));
    if (interrupted()) return;
  }
}

}  // namespace reprise::client
