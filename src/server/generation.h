// One request that generates, from its body to the last byte of its reply.
#pragma once

#include <memory>

#include "server/generation_form.h"
#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// Throws ApiError where the server takes no more requests just now. Any thread.
void check_admission(const Service& service);
// Answers the exchange, sooner or later. On its I/O thread. Throws as check_admission().
void start_generation(Service& service, const GenerationForm& form,
                      const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
