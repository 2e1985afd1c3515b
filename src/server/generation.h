// One chat or completion request from its body to the last byte of its reply.
#pragma once

#include <memory>

#include "server/generation_request.h"
#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// Answers the exchange, sooner or later. On its I/O thread.
void start_generation(Service& service, Endpoint endpoint, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
