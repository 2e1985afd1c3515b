#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <latch>
#include <thread>
#include <utility>

#include "server/api_error.h"
#include "server/router.h"

namespace reprise::server {
namespace {

void refuse_empty(std::string_view flag, const std::vector<std::string>& keys) {
  if (std::ranges::find(keys, "") != keys.end())
    throw Error("[{}] a key is empty, and who sends none would have it; give another one", flag);
}

constexpr size_t kPrepareThreads = 2;
constexpr int kLastWordsMs = 200;

}  // namespace

struct Server::Impl {
  Impl(const ServerOptions& chosen, api::ServingModel& model)
      : options(chosen), service(options.service, model, kPrepareThreads) {
    refuse_empty("--api-key", options.service.api_keys);
    refuse_empty("--admin-api-key", options.service.admin_api_keys);
    http = std::make_unique<HttpServer>(options.http, make_app(service));
    listen_for_metrics(options.http);
    for (size_t i = 0; i < http->threads(); ++i)
      service.queues.push_back(model.make_queue([this, i] { drain_queue(i); }));
    http->start();
    if (metrics) metrics->start();
  }

  void listen_for_metrics(HttpSettings http_settings) {
    if (options.metrics_port < 0 && options.metrics_sockets.empty()) return;
    http_settings.uds.clear();
    http_settings.port = static_cast<uint16_t>(std::max(0, options.metrics_port));
    http_settings.sockets = options.metrics_sockets;
    http_settings.threads = 1;
    metrics = std::make_unique<HttpServer>(http_settings, make_metrics_app(service));
  }

  // While I/O threads run: every open request gets its last event, and what holds an exchange ends before they do.
  // Posting may lack memory: then the process ends here, as it was about to.
  ~Impl() {  // NOLINT(bugprone-exception-escape)
    service.draining = service.stopping = true;
    wait_for_io_threads();  // from now on nothing is posted to the pool
    service.model.stop();
    for (size_t i = 0; i < service.queues.size(); ++i) drain_queue(i);
    while (service.open_requests > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    service.prepare_pool.finish();
    for (const auto& queue : service.queues) queue->close();
    // Last events are small, and those who don't take them at once don't get them.
    wait_for_io_threads();
    for (int i = 0; i < kLastWordsMs && http->answering() > 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    http.reset();
    metrics.reset();
  }

  void drain_queue(size_t i) {
    http->post(i, [this, i] {
      try {
        service.queues[i]->drain();
      } catch (...) {
        drain_queue(i);  // for all but the request that threw
      }
    });
  }

  void wait_for_io_threads() {
    std::latch here(static_cast<std::ptrdiff_t>(http->threads()));
    for (size_t i = 0; i < http->threads(); ++i) http->post(i, [&here] { here.count_down(); });
    here.wait();
  }

  const ServerOptions options;
  Service service;
  std::unique_ptr<HttpServer> http;
  std::unique_ptr<HttpServer> metrics;  // null: no port of their own
};

Server::Server(const ServerOptions& options, api::ServingModel& model)
    : impl_(std::make_unique<Impl>(options, model)) {}

Server::~Server() = default;

std::string Server::address() const {
  return impl_->http->address();
}
uint16_t Server::port() const {
  return impl_->http->port();
}
std::string Server::metrics_address() const {
  return impl_->metrics ? impl_->metrics->address() : std::string();
}
int64_t Server::open_requests() const {
  return impl_->service.open_requests;
}

void Server::begin_drain() {
  impl_->service.draining = true;
  // What is open could not end otherwise.
  impl_->service.model.resume();
  impl_->service.model.wake();
  impl_->http->drain();
}

void Server::drain() {
  using Clock = std::chrono::steady_clock;
  begin_drain();
  const Clock::time_point start = Clock::now();
  const auto late = [&] {
    return impl_->options.grace.count() > 0 && Clock::now() - start >= impl_->options.grace;
  };
  while ((impl_->service.open_requests > 0 || impl_->http->answering() > 0) && !late())
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

}  // namespace reprise::server
