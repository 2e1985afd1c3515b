// How long the prompt of a conversation is.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

void answer_count_tokens(Service& service, const std::shared_ptr<Exchange>& exchange);  // of /v1/messages
void answer_input_tokens(Service& service, const std::shared_ptr<Exchange>& exchange);  // of /v1/responses

}  // namespace reprise::server
