// One request that generates, from its body to the last byte of its reply.
#pragma once

#include <memory>

#include "server/generation_form.h"
#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// Answers the exchange, sooner or later. On its I/O thread. Throws ApiError where the server takes no more requests.
void start_generation(Service& service, const GenerationForm& form,
                      const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
