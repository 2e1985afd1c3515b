#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "server/api_error.h"
#include "server/router.h"

namespace reprise::server {
namespace {

// What a seeded reply's bits depend on beside the request. FNV-1a.
std::string fingerprint_of(const ModelInfo& info) {
  const std::string text = fmt::format("{} {} {} {} {} {}", info.architecture, info.parameters,
                                       info.weight_bytes, info.dtype, info.isa, version());
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("reprise-{}-{}-{}-{:08x}", version(), info.isa, info.dtype,
                     static_cast<uint32_t>(hash >> 32));
}

constexpr size_t kPrepareThreads = 2;

}  // namespace

struct Server::Impl {
  Impl(const ServerOptions& chosen, api::ServingModel& model)
      : options(chosen), service(options.service, model, kPrepareThreads) {
    service.fingerprint = fingerprint_of(model.info());
    HttpSettings http_settings = options.http;
    http_settings.error_body = [](int status, std::string_view what) { return error_json(status, what); };
    const size_t threads = std::max<size_t>(1, http_settings.threads);
    // Queues before the first request, which may come as soon as somebody listens.
    for (size_t i = 0; i < threads; ++i)
      service.queues.push_back(model.make_queue([this, i] {
        if (http) http->post(i, [queue = service.queues[i]] { queue->drain(); });
      }));
    http = std::make_unique<HttpServer>(
        http_settings, [this](const std::shared_ptr<Exchange>& exchange) { route(service, exchange); });
  }
  // While I/O threads run: every open request gets its last event, and what holds an exchange ends before they do.
  ~Impl() {
    service.draining = true;
    service.model.stop();
    for (size_t i = 0; i < service.queues.size(); ++i)
      http->post(i, [queue = service.queues[i]] { queue->drain(); });
    while (service.open_requests > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    service.prepare_pool.finish();
    for (const auto& queue : service.queues) queue->close();
    http.reset();
  }

  const ServerOptions options;
  Service service;
  std::unique_ptr<HttpServer> http;
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
int64_t Server::open_requests() const {
  return impl_->service.open_requests;
}

void Server::drain(const std::function<bool()>& hurry) {
  using Clock = std::chrono::steady_clock;
  impl_->service.draining = true;
  impl_->http->drain();
  const Clock::time_point start = Clock::now();
  const auto late = [&] {
    return impl_->options.grace.count() > 0 && Clock::now() - start >= impl_->options.grace;
  };
  while ((impl_->service.open_requests > 0 || impl_->http->connections() > 0) && !hurry() && !late())
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

}  // namespace reprise::server
