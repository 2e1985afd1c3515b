// The web page.
#pragma once

#include <memory>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

// `/` answers with index.html, `/page/NAME` with a file. Needs no key: what these hold is no secret, and the page asks
// for a key itself.
void answer_page(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
