// Answers whose making takes long: off the I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/json.h"
#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// Replies with what `work` returns, which runs on a worker and may add header fields; with the error that it throws
// otherwise.
void reply_later(Service& service, const std::shared_ptr<Exchange>& exchange,
                 std::function<Json(std::vector<HttpField>& fields)> work);

}  // namespace reprise::server
