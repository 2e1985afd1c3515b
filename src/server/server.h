// A model behind HTTP: the server that `reprise serve` runs.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "api/serving_model.h"
#include "server/http/http_server.h"
#include "server/service.h"

namespace reprise::server {

struct ServerOptions {
  HttpSettings http;
  ServiceSettings service;
  int metrics_port = -1;  // a port of their own for /metrics, /health and such; -1: none, 0: any free one
  std::vector<int> metrics_sockets = {};  // the same as descriptors that listen already
  std::chrono::milliseconds grace{0};  // how long accepted requests may go on after stop(); 0: until they end
};

class Server {
 public:
  // Serves from then on. `model` must outlive this. Throws Error where it can't listen.
  Server(const ServerOptions& options, api::ServingModel& model);
  // Stops the model: what is open is aborted and told so.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string address() const;
  uint16_t port() const;
  std::string metrics_address() const;  // empty: there is none
  int64_t open_requests() const;
  // From now on new requests get 503, /health too, and those that are open end.
  void begin_drain();
  // Waits until they have ended or the grace time is over; what is then open is aborted. Begins where nobody has.
  void drain();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::server
