// Which path is answered by whom, and who may ask.
#pragma once

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// All paths. `service` outlives it.
HttpApp make_app(Service& service);
// Those that tell how the server is alone: /health, /ping, /load, /metrics.
HttpApp make_metrics_app(Service& service);

}  // namespace reprise::server
