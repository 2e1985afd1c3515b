// The endpoints that control the engine: pause, resume, sleep, wakeup, abort_requests. They answer
// {"status": "success", "result": ..}, errors as all endpoints.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

void answer_pause(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_resume(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_is_paused(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_sleep(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_wakeup(Service& service, const std::shared_ptr<Exchange>& exchange);
void answer_abort_requests(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
