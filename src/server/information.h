// Answers that need no generation: what is served, how it is, and text to tokens and back.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

void answer_models(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_model(Service& service, const std::shared_ptr<Exchange>& exchange);  // /v1/models/NAME
void answer_tokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_detokenize(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_health(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_ping(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_load(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_metrics(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_graph(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_openapi(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
