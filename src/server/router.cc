#include "server/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/nearest.h"
#include "server/api_error.h"
#include "server/control.h"
#include "server/count_tokens.h"
#include "server/generation.h"
#include "server/information.h"
#include "server/page/page.h"

namespace reprise::server {
namespace {

enum class Door { open, key, admin };

using Answer = void (*)(Service&, const std::shared_ptr<Exchange>&);

struct Route {
  std::string_view method, path;
  Door door;
  Answer answer;
  bool generates = false;
};

void chat(Service& service, const std::shared_ptr<Exchange>& exchange) {
  start_generation(service, kChatForm, exchange);
}
void completions(Service& service, const std::shared_ptr<Exchange>& exchange) {
  start_generation(service, kCompletionsForm, exchange);
}
void messages(Service& service, const std::shared_ptr<Exchange>& exchange) {
  start_generation(service, kMessagesForm, exchange);
}

void responses(Service& service, const std::shared_ptr<Exchange>& exchange) {
  start_generation(service, kResponsesForm, exchange);
}

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Door::key, chat, true},
    {"POST", "/v1/completions", Door::key, completions, true},
    {"POST", "/v1/messages", Door::key, messages, true},
    {"POST", "/v1/messages/count_tokens", Door::key, answer_count_tokens},
    {"POST", "/v1/responses", Door::key, responses, true},
    {"POST", "/v1/responses/input_tokens", Door::key, answer_input_tokens},
    {"GET", "/v1/models", Door::key, answer_models},
    {"GET", "/v1/models/*", Door::key, answer_model},
    {"POST", "/tokenize", Door::key, answer_tokenize},
    {"POST", "/detokenize", Door::key, answer_detokenize},
    {"POST", "/v1/pause", Door::admin, answer_pause},
    {"POST", "/v1/resume", Door::admin, answer_resume},
    {"GET", "/v1/is_paused", Door::admin, answer_is_paused},
    {"POST", "/v1/sleep", Door::admin, answer_sleep},
    {"POST", "/v1/wakeup", Door::admin, answer_wakeup},
    {"POST", "/v1/abort_requests", Door::admin, answer_abort_requests},
    {"GET", "/health", Door::open, answer_health},
    {"GET", "/ping", Door::open, answer_ping},
    {"GET", "/load", Door::key, answer_load},
    {"GET", "/metrics", Door::key, answer_metrics},
    {"GET", "/v1/graph", Door::key, answer_graph},
    {"GET", "/openapi.json", Door::key, answer_openapi},
    {"GET", "/", Door::open, answer_page},
    {"GET", "/page/*", Door::open, answer_page},
};

// "/v1/models/*": any name behind the last slash.
bool is_at(const Route& route, std::string_view path) {
  if (!route.path.ends_with('*')) return path == route.path;
  const std::string_view folder = route.path.substr(0, route.path.size() - 1);
  return path.size() > folder.size() && path.starts_with(folder);
}

// In a time that says nothing about where they differ.
bool same_secret(std::string_view given, std::string_view kept) {
  unsigned difference = given.size() == kept.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(kept.empty() ? '\0' : kept[i % kept.size()]);
  return difference == 0;
}

bool has_key(const std::vector<std::string>& keys, const HttpRequest& request) {
  std::string_view given = request.field("authorization");
  if (given.starts_with("Bearer ") || given.starts_with("bearer "))
    given.remove_prefix(7);
  else
    given = request.field("x-api-key");
  bool found = false;
  for (const std::string& key : keys) found |= same_secret(given, key);
  return found;
}

bool allows_origin(const Service& service, std::string_view origin) {
  return std::ranges::any_of(service.settings.allowed_origins,
                             [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

std::string_view host_of(std::string_view origin) {
  const size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

// Throws ApiError where the request may not come in by `door`.
void check_door(const Service& service, const HttpRequest& request, Door door) {
  const ServiceSettings& settings = service.settings;
  if (door == Door::open) return;
  const bool admin = has_key(settings.admin_api_keys, request);
  if (!admin && !settings.api_keys.empty() && !has_key(settings.api_keys, request))
    throw ApiError(401, "this server needs an API key, in the field Authorization (Bearer KEY) or x-api-key",
                   "invalid_api_key");
  if (door != Door::admin) return;
  if (!admin && !settings.admin_api_keys.empty())
    throw ApiError(settings.api_keys.empty() ? 401 : 403,
                   "this endpoint needs an admin key, in the field Authorization (Bearer KEY) or x-api-key",
                   "invalid_api_key");
  // A browser sends a page's request without a body to any server, and asks only whether the page may read the
  // reply.
  const std::string_view origin = request.field("origin");
  if (!origin.empty() && host_of(origin) != request.field("host") && !allows_origin(service, origin))
    throw ApiError(403,
                   "pages of other origins may not control this server; [--allowed-origins] names those that "
                   "may",
                   "origin_not_allowed");
}

// The fields that let a page of another origin read the reply; none where it is not allowed to.
std::vector<HttpField> cors_fields(const Service& service, const HttpRequest& request) {
  if (service.settings.allowed_origins.empty()) return {};
  std::vector<HttpField> fields = {{"Vary", "Origin"}};
  const std::string_view origin = request.field("origin");
  if (!origin.empty() && may_be_field_value(origin) && allows_origin(service, origin))
    fields.emplace_back("Access-Control-Allow-Origin", origin);
  return fields;
}

// Which fields a page may send is no secret: what keeps it out is that its origin is not named.
HttpResponse preflight(const HttpRequest& request) {
  std::string_view asked = request.field("access-control-request-headers");
  if (asked.empty() || !may_be_field_value(asked)) asked = "authorization, content-type, x-api-key";
  return {.status = 204,
          .fields = {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
                     {"Access-Control-Allow-Headers", std::string(asked)},
                     {"Access-Control-Max-Age", "600"}}};
}

bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return content_type.empty() || same_field_name(type, "application/json") ||
         same_field_name(type, "text/json");
}

ApiError no_such_path(std::string_view path) {
  std::vector<std::string_view> known;
  for (const Route& route : kRoutes)
    if (!route.path.ends_with('*')) known.push_back(route.path);
  const std::string shown(path.substr(0, 200));
  const std::string_view near = nearest_name(shown, known);
  return {404,
          near.empty() ? fmt::format("there is no {} here; /openapi.json lists what there is", shown)
                       : fmt::format("there is no {} here; did you mean {}?", shown, near),
          "no_such_path"};
}

struct Place {
  const Route* route = nullptr;  // of path and method
  Door door = Door::key;         // of the path: who has no key isn't told which there are
  std::string allowed = {};      // the methods that the path has; empty: there is no such path
};

Place place_of(const HttpRequest& request) {
  const std::string_view method =
      request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
  Place place;
  for (const Route& route : kRoutes) {
    if (!is_at(route, request.path)) continue;
    place.door = route.door;
    place.allowed.append(place.allowed.empty() ? "" : ", ").append(route.method);
    if (method == route.method) place.route = &route;
  }
  return place;
}

HttpResponse method_not_allowed(const HttpRequest& request, const std::string& allowed) {
  HttpResponse response = error_response(
      ApiError(405, fmt::format("{} is answered for {} only", request.path, allowed), "method_not_allowed"),
      error_form_of(request.path));
  response.fields.emplace_back("Allow", allowed);
  return response;
}

// What the head decides. Throws ApiError.
std::optional<HttpResponse> decide(const Service& service, const HttpRequest& request) {
  if (request.method == "OPTIONS" && !request.field("origin").empty()) return preflight(request);
  if (request.path == "*")
    return HttpResponse{.status = 204, .fields = {{"Allow", "GET, HEAD, POST, OPTIONS"}}};
  const Place place = place_of(request);
  check_door(service, request, place.door);
  if (place.allowed.empty()) throw no_such_path(request.path);
  if (place.route == nullptr) return method_not_allowed(request, place.allowed);
  if (place.route->method == "POST" && !is_json(request.field("content-type")))
    throw ApiError(415, "the body must be JSON: Content-Type: application/json", "unsupported_media_type");
  if (place.route->generates) check_admission(service);
  return std::nullopt;
}

constexpr std::string_view kMetricsPaths[] = {"*", "/health", "/ping", "/load", "/metrics"};

std::optional<HttpResponse> decide_metrics(const Service& service, const HttpRequest& request) {
  if (std::ranges::find(kMetricsPaths, request.path) == std::end(kMetricsPaths))
    throw ApiError(404, "this port has /health, /ping, /load and /metrics alone; the other one has the rest",
                   "no_such_path");
  return decide(service, request);
}

HttpResponse error_of_current(std::string_view path) {
  return error_response(api_error_of_current(), error_form_of(path));
}

template <auto kDecide>
HttpApp app_of(Service& service) {
  return {.answer =
              [&service](const std::shared_ptr<Exchange>& exchange) {
                try {
                  place_of(exchange->request()).route->answer(service, exchange);
                } catch (...) {
                  exchange->reply(error_of_current(exchange->request().path));
                }
              },
          .decide = [&service](const HttpRequest& head) -> std::optional<HttpResponse> {
            try {
              return kDecide(service, head);
            } catch (...) {
              return error_of_current(head.path);
            }
          },
          .fields = [&service](const HttpRequest& seen) { return cors_fields(service, seen); },
          .error =
              [](int status, std::string_view what, std::string_view path) {
                return error_response(ApiError(status, std::string(what)), error_form_of(path));
              }};
}

}  // namespace

HttpApp make_app(Service& service) {
  return app_of<decide>(service);
}

HttpApp make_metrics_app(Service& service) {
  return app_of<decide_metrics>(service);
}

}  // namespace reprise::server
