// What the handlers of a server share.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/event_queue.h"
#include "api/serving_model.h"
#include "core/seeded_hash.h"
#include "server/metrics.h"
#include "server/open_requests.h"
#include "server/request_log.h"

namespace reprise::server {

// Threads for work that takes long: parsing bodies, templates, encoding.
class WorkerPool {
 public:
  explicit WorkerPool(size_t threads);
  ~WorkerPool();  // finishes
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  void post(std::function<void()> task);
  void finish();  // runs what was posted; nothing may be posted afterwards

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct ServiceSettings {
  std::vector<std::string> model_names;     // the first is the one that replies carry
  std::vector<std::string> api_keys;        // none: nobody needs one
  std::vector<std::string> admin_api_keys;  // open every door; none: api_keys open those of control too
  std::vector<std::string> allowed_origins;
  int64_t max_concurrency = 2048;    // requests that are open at once
  int64_t keep_alive_interval = 15;  // seconds; 0: none
  bool log_requests = true;
  bool log_json = false;
  std::shared_ptr<RequestLog> request_log = nullptr;  // null: requests are not kept
};

// Throws ApiError 404 where no model of this name is served; an empty name stands for the first.
void check_model(const ServiceSettings& settings, const std::string& name);

struct Service {
  Service(const ServiceSettings& chosen, api::ServingModel& served, size_t prepare_threads);

  // Of a request that gives none: no two alike, in no two starts. Any thread.
  uint64_t draw_seed();

  const ServiceSettings settings;
  api::ServingModel& model;
  Metrics metrics;
  OpenRequests open;
  std::vector<std::shared_ptr<api::EventQueue>> queues;  // by I/O thread
  std::atomic<bool> draining{false};                     // new requests are refused
  std::atomic<bool> stopping{false};                     // so are those that were taken but not submitted
  std::atomic<int64_t> open_requests{0};
  std::atomic<uint64_t> next_id;  // of requests; begins anywhere, so that ids of two starts differ
  const HashKey seed_key;
  std::atomic<uint64_t> drawn_seeds{0};
  WorkerPool prepare_pool;  // last: its tasks use all above
};

}  // namespace reprise::server
