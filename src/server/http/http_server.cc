#include "server/http/http_server.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "server/http/connection.h"

namespace reprise::server {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using unix_socket = asio::local::stream_protocol;

namespace {

// Connections above the limit that are told so, at a time; any more are closed without a word.
constexpr size_t kMostTurnedAway = 64;

// An I/O thread: its loop and the connections that live there.
struct IoThread {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::vector<std::weak_ptr<Connection>>
      connections;  // of this thread alone; expired ones are left out now and then
  size_t prune_at = 64;
  std::thread thread;
};

std::string text_of(const tcp::endpoint& endpoint) {
  const bool v6 = endpoint.address().is_v6();
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", endpoint.address().to_string(), v6 ? "]" : "",
                     endpoint.port());
}

// Whether somebody answers at a unix socket.
bool is_served(const std::string& path) {
  asio::io_context io;
  unix_socket::socket probe(io);
  error_code failed;
  probe.connect(unix_socket::endpoint(path), failed);
  return !failed;
}

void set_no_delay(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
}
void set_no_delay(unix_socket::socket&) {}

std::string client_of(const tcp::socket& socket) {
  error_code failed;
  const tcp::endpoint from = socket.remote_endpoint(failed);
  return failed ? "unknown" : text_of(from);
}
std::string client_of(const unix_socket::socket&) {
  return "unix";
}

// A socket that listens, and a timer to wait when nothing can be accepted.
template <typename Protocol>
struct Listener {
  explicit Listener(asio::io_context& io) : acceptor(io), retry(io) {}
  typename Protocol::acceptor acceptor;
  asio::steady_timer retry;
};

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpSettings& settings, HttpApp app) : shared(std::make_shared<ConnectionShared>()) {
    shared->settings = settings;
    shared->app = std::move(app);
    const size_t count = std::max<size_t>(1, settings.threads);
    for (size_t i = 0; i < count; ++i) threads.push_back(std::make_unique<IoThread>());
    if (!settings.sockets.empty())
      for (const int socket : settings.sockets) take_listening(socket);
    else if (settings.uds.empty())
      listen_tcp(settings);
    else
      listen_unix(settings.uds);
  }

  void start() {
    for (const auto& thread : threads)
      thread->thread = std::thread([&io = thread->io] {
        pthread_setname_np(pthread_self(), "reprise-http");
        run(io);
      });
  }

  // What one handler throws, for want of memory, ends no other.
  static void run(asio::io_context& io) {
    for (bool ended = false; !ended;) {
      try {
        io.run();
        ended = true;
      } catch (const std::exception&) {
      }
    }
  }

  ~Impl() {
    for (const auto& thread : threads) try {
        asio::post(thread->io, [this, &thread = *thread] {
          if (&thread == threads[0].get()) stop_listening();
          for (const auto& weak : thread.connections)
            if (const auto connection = weak.lock()) connection->close();
          thread.work.reset();
          thread.io.stop();
        });
      } catch (...) {  // memory: connections go away with their thread
        thread->io.stop();
      }
    for (const auto& thread : threads)
      if (thread->thread.joinable()) thread->thread.join();
    if (!uds.empty()) unlink(uds.c_str());
  }

  void listen_tcp(const HttpSettings& settings) {
    error_code failed;
    tcp::resolver resolver(threads[0]->io);
    const auto found = resolver.resolve(settings.host, std::to_string(settings.port),
                                        tcp::resolver::passive | tcp::resolver::numeric_service, failed);
    if (failed || found.empty())
      throw Error(
          "[--host] {} can't be resolved: {}; give an address of this machine, or 0.0.0.0 for all of them",
          settings.host, failed.message());
    const tcp::endpoint endpoint = found.begin()->endpoint();
    auto& listener = *tcp_listeners.emplace_back(std::make_unique<Listener<tcp>>(threads[0]->io));
    tcp::acceptor& acceptor = listener.acceptor;
    acceptor.open(endpoint.protocol(), failed);
    if (!failed) acceptor.set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor.bind(endpoint, failed);
    if (!failed) acceptor.listen(asio::socket_base::max_listen_connections, failed);
    if (failed)
      throw Error("[--port] can't listen on {}: {}; give another --port, or end what listens there",
                  text_of(endpoint), failed.message());
    begin(listener);
  }

  void listen_unix(const std::string& path) {
    struct stat about = {};
    if (lstat(path.c_str(), &about) == 0) {
      if (!S_ISSOCK(about.st_mode)) throw Error("[--uds] {} is no socket; give another path", path);
      if (is_served(path)) throw Error("[--uds] {} is served by another process; give another path", path);
      unlink(path.c_str());
    }
    auto& listener = *unix_listeners.emplace_back(std::make_unique<Listener<unix_socket>>(threads[0]->io));
    error_code failed;
    unix_socket::endpoint endpoint;
    try {
      endpoint = unix_socket::endpoint(path);
    } catch (const boost::system::system_error& error) {  // it is too long
      failed = error.code();
    }
    if (!failed) listener.acceptor.open(endpoint.protocol(), failed);
    if (!failed) listener.acceptor.bind(endpoint, failed);
    if (!failed) listener.acceptor.listen(asio::socket_base::max_listen_connections, failed);
    if (failed)
      throw Error(
          "[--uds] can't listen on {}: {}; its folder must exist and be writable, and the path be at most 107 "
          "bytes long",
          path, failed.message());
    uds = path;
    begin(listener);
  }

  // One that whoever started us made.
  void take_listening(int socket) {
    sockaddr_storage at = {};
    socklen_t size = sizeof at;
    error_code failed;
    if (getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size) != 0)
      throw Error("descriptor {} is no socket", socket);
    if (at.ss_family == AF_UNIX) {
      auto& listener = *unix_listeners.emplace_back(std::make_unique<Listener<unix_socket>>(threads[0]->io));
      listener.acceptor.assign(unix_socket(), socket, failed);
      if (!failed) return begin(listener);
    } else {
      auto& listener = *tcp_listeners.emplace_back(std::make_unique<Listener<tcp>>(threads[0]->io));
      listener.acceptor.assign(at.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), socket, failed);
      if (!failed) return begin(listener);
    }
    throw Error("descriptor {} can't be listened on: {}", socket, failed.message());
  }

  void begin(Listener<tcp>& listener) {
    const tcp::endpoint at = listener.acceptor.local_endpoint();
    if (address.empty()) address = "http://" + text_of(at);
    if (port == 0) port = at.port();
    accept(listener);
  }
  void begin(Listener<unix_socket>& listener) {
    if (address.empty()) address = "unix:" + listener.acceptor.local_endpoint().path();
    accept(listener);
  }

  template <typename Protocol>
  void accept(Listener<Protocol>& from) {
    IoThread& thread = *threads[next++ % threads.size()];
    const auto socket = std::make_shared<typename Protocol::socket>(thread.io);
    from.acceptor.async_accept(*socket, [this, &from, &thread, socket](error_code failed) {
      if (!from.acceptor.is_open()) return;
      if (failed) {  // no descriptors left, say
        from.retry.expires_after(std::chrono::milliseconds(50));
        from.retry.async_wait([this, &from](error_code cancelled) {
          if (!cancelled && from.acceptor.is_open()) accept(from);
        });
        return;
      }
      try {
        if (shared->open < shared->settings.max_connections + kMostTurnedAway)
          take(std::move(*socket), thread);
      } catch (const std::exception&) {  // no memory for this one
      }
      accept(from);
    });
  }

  template <typename Socket>
  void take(Socket socket, IoThread& thread) {
    set_no_delay(socket);
    std::string client = client_of(socket);
    auto connection = std::make_shared<Connection>(std::move(socket), thread.io, index_of(thread),
                                                   std::move(client), shared);
    asio::post(thread.io, [&thread, connection] {
      if (thread.connections.size() >= thread.prune_at) {
        std::erase_if(thread.connections, [](const auto& weak) { return weak.expired(); });
        thread.prune_at = 2 * thread.connections.size() + 64;
      }
      thread.connections.push_back(connection);
      connection->start();
    });
  }

  size_t index_of(const IoThread& thread) const {
    size_t index = 0;
    while (threads[index].get() != &thread) ++index;
    return index;
  }

  void stop_listening() {
    const auto stop = [](auto& listeners) {
      error_code ignored;
      for (const auto& listener : listeners) {
        listener->retry.cancel();
        listener->acceptor.close(ignored);
      }
    };
    stop(tcp_listeners);
    stop(unix_listeners);
  }

  std::shared_ptr<ConnectionShared> shared;
  std::vector<std::unique_ptr<IoThread>> threads;
  std::vector<std::unique_ptr<Listener<tcp>>> tcp_listeners;
  std::vector<std::unique_ptr<Listener<unix_socket>>> unix_listeners;
  size_t next = 0;
  std::string address, uds;
  uint16_t port = 0;
};

HttpServer::HttpServer(const HttpSettings& settings, HttpApp app)
    : impl_(std::make_unique<Impl>(settings, std::move(app))) {}

HttpServer::~HttpServer() = default;

std::string HttpServer::address() const {
  return impl_->address;
}
uint16_t HttpServer::port() const {
  return impl_->port;
}
size_t HttpServer::threads() const {
  return impl_->threads.size();
}
size_t HttpServer::connections() const {
  return impl_->shared->open;
}

size_t HttpServer::answering() const {
  return impl_->shared->answering;
}

void HttpServer::start() {
  impl_->start();
}

void HttpServer::drain() {
  impl_->shared->draining = true;
  for (const auto& thread : impl_->threads)
    asio::post(thread->io, [&thread = *thread] {
      for (const auto& weak : thread.connections)
        if (const auto connection = weak.lock(); connection && connection->idle()) connection->close();
    });
}

void HttpServer::post(size_t thread, std::function<void()> task) {
  asio::post(impl_->threads[thread]->io, std::move(task));
}

}  // namespace reprise::server
