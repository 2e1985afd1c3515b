// The repository's tiny model behind a server of this process.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "server/server.h"
#include "source_dir.h"
#include "tests/server/client.h"

namespace reprise::server {

#ifdef REPRISE_SANITIZED
inline constexpr int kSlowness = 10;
#else
inline constexpr int kSlowness = 1;
#endif

// Far less than any of the requests below lasts that nobody aborts.
inline constexpr std::chrono::milliseconds kSoon{2000 * kSlowness};

// Whether it comes true within that time.
inline bool soon(const std::function<bool()>& truth, std::chrono::milliseconds time = kSoon) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!truth()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline LoadOptions tiny_model() {
  return {.model = REPRISE_SOURCE_DIR "/models/tiny", .max_num_seqs = 4};
}

inline ServerOptions quiet_server() {
  ServerOptions options;
  options.http.host = "127.0.0.1";
  options.http.port = 0;
  options.service.model_names = {"tiny"};
  options.service.log_requests = false;
  return options;
}

struct ServedModel {
  explicit ServedModel(const ServerOptions& options = quiet_server(), const LoadOptions& load = tiny_model(),
                       const api::ServingOptions& serving = {})
      : model(load, serving), server(std::in_place, options, model) {}

  Client connect(int receive_bytes = 0) const { return Client(server->port(), receive_bytes); }
  Reply ask(const std::string& request, bool to_head = false) const {
    Client client = connect();
    client.send(request);
    return client.reply(to_head);
  }
  // Nothing runs, waits or holds memory.
  bool at_rest() const {
    const api::Health health = model.health();
    return health.running == 0 && health.waiting == 0 && health.open_requests == 0 &&
           server->open_requests() == 0 && model.stats().free_blocks == model.info().kv_blocks;
  }

  api::ServingModel model;
  std::optional<Server> server;
};

// A request that nobody would wait for: half a minute or more of work.
inline std::string endless(bool stream) {
  return post(
      "/v1/completions",
      std::string(R"({"prompt": "Once", "n": 128, "max_tokens": 500, "ignore_eos": true, "stream": )") +
          (stream ? "true}" : "false}"));
}
inline const std::string kShort =
    post("/v1/completions", R"({"prompt": "Once", "max_tokens": 3, "seed": 1})");

}  // namespace reprise::server
