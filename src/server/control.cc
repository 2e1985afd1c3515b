#include "server/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/json_fields.h"
#include "server/api_error.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

constexpr size_t kMostIds = 16384;

std::string success(Json result) {
  return to_json_text({{"status", "success"}, {"result", std::move(result)}});
}

Json state_of(const Service& service) {
  const api::Health health = service.model.health();
  return {{"is_paused", health.paused}, {"is_sleeping", health.asleep}};
}

// None at all stands for an object without fields.
Json control_body(const Exchange& exchange, std::initializer_list<std::string_view> known) {
  const std::string& text = exchange.request().body;
  if (text.empty()) return Json::object();
  Json body = parse_body(text);
  for (const auto& [name, value] : body.items())
    if (std::ranges::find(known, std::string_view(name)) == known.end())
      throw ApiError(400, fmt::format("[{}] is no field of this endpoint", name.substr(0, 80)),
                     "unknown_field", name.substr(0, 80));
  return body;
}

// Runs `action`, which may wait for a step, on a worker; then `then` on the exchange's thread.
void later(Service& service, const std::shared_ptr<Exchange>& exchange, std::function<void()> action,
           std::function<void()> then) {
  if (service.draining)
    throw ApiError(503, "the server is shutting down, and what is open ends first", "draining");
  service.prepare_pool.post([&service, exchange, action = std::move(action), then = std::move(then)] {
    HttpResponse failed;
    try {
      action();
      // Server::drain() may have let the engine go on just before.
      if (service.draining) {
        service.model.resume();
        service.model.wake();
      }
      return exchange->post(then);
    } catch (const Error& error) {  // the engine has stopped meanwhile
      failed = error_response(ApiError(503, error.what(), "engine_stopped"));
    } catch (...) {
      failed = error_response(api_error_of_current());
    }
    exchange->post([exchange, failed = std::move(failed)] { exchange->reply(failed); });
  });
}

Json json_of(const std::vector<EndedRequest>& ended) {
  Json list = Json::array();
  for (const EndedRequest& request : ended)
    list.push_back({{"request_id", request.id}, {"output_token_count", request.output_tokens}});
  return list;
}

// Replies with `result` and the requests that were aborted, when these have ended.
std::shared_ptr<AbortTicket> ticket_for(const std::shared_ptr<Exchange>& exchange,
                                        std::shared_ptr<Json> result) {
  return std::make_shared<AbortTicket>(
      [exchange, result = std::move(result)](std::vector<EndedRequest>&& ended) {
        (*result)["aborted"] = json_of(ended);
        exchange->post([exchange, body = success(std::move(*result))] { exchange->reply({.body = body}); });
      });
}

void reply_state(Service& service, const std::shared_ptr<Exchange>& exchange) {
  exchange->reply({.body = success(state_of(service))});
}

}  // namespace

void answer_pause(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const Json body = control_body(*exchange, {"mode"});
  const auto mode = JsonFields(body, "body", FieldNames::request).value("mode");
  const std::string chosen = mode ? mode->string() : "keep";
  if (chosen != "keep" && chosen != "abort")
    mode->fail("\"keep\" (what is open goes on after resume) or \"abort\"");
  later(
      service, exchange, [&service] { service.model.pause(); },
      [&service, exchange, chosen] {
        if (chosen == "keep") return reply_state(service, exchange);
        service.open.abort_all(ticket_for(exchange, std::make_shared<Json>(state_of(service))));
      });
}

void answer_resume(Service& service, const std::shared_ptr<Exchange>& exchange) {
  control_body(*exchange, {});
  service.model.resume();
  reply_state(service, exchange);
}

void answer_is_paused(Service& service, const std::shared_ptr<Exchange>& exchange) {
  reply_state(service, exchange);
}

void answer_sleep(Service& service, const std::shared_ptr<Exchange>& exchange) {
  control_body(*exchange, {});
  later(
      service, exchange, [&service] { service.model.sleep(); },
      [&service, exchange] { reply_state(service, exchange); });
}

void answer_wakeup(Service& service, const std::shared_ptr<Exchange>& exchange) {
  control_body(*exchange, {});
  service.model.wake();
  reply_state(service, exchange);
}

void answer_abort_requests(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const Json body = control_body(*exchange, {"req_ids", "abort_all"});
  const JsonFields fields(body, "body", FieldNames::request);
  const bool all = fields.boolean("abort_all").value_or(false);
  const auto ids = fields.value("req_ids");
  const std::vector<std::string> names = ids ? ids->strings(kMostIds) : std::vector<std::string>();
  if (all == !names.empty())
    throw ApiError(400, "give one of [req_ids], with at least one id, and \"abort_all\": true",
                   "missing_field", "req_ids");
  const auto result = std::make_shared<Json>(Json{{"aborted", Json::array()}, {"not_found", Json::array()}});
  const auto ticket = ticket_for(exchange, result);
  if (all)
    service.open.abort_all(ticket);
  else
    (*result)["not_found"] = service.open.abort(names, ticket);
}

}  // namespace reprise::server
