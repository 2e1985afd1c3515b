#include "server/reply_later.h"

#include <utility>

#include "server/api_error.h"

namespace reprise::server {

void reply_later(Service& service, const std::shared_ptr<Exchange>& exchange,
                 std::function<Json(std::vector<HttpField>& fields)> work) {
  if (service.draining) throw ApiError(503, "the server is shutting down", "draining");
  service.prepare_pool.post([exchange, work = std::move(work)] {
    HttpResponse response;
    try {
      response.body = to_json_text(work(response.fields));
    } catch (...) {
      response = error_response(api_error_of_current(), error_form_of(exchange->request().path));
    }
    exchange->post(
        [exchange, response = std::move(response)]() mutable { exchange->reply(std::move(response)); });
  });
}

}  // namespace reprise::server
