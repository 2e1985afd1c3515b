// Which path is answered by whom, and who may ask.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// Answers any request, at once or later.
void route(Service& service, const std::shared_ptr<Exchange>& exchange);
// The same for what tells how the server is: /health, /ping, /load, /metrics. There is nothing else there.
void route_metrics(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
