#include "server/information.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/chat_fields.h"
#include "api/graph_report.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "server/anthropic/messages_request.h"
#include "server/api_error.h"
#include "server/generation_request.h"
#include "server/reply_later.h"
#include "server/request_body.h"
#include "server/responses/responses_request.h"

namespace reprise::server {
namespace {

void reply_json(const std::shared_ptr<Exchange>& exchange, const Json& json, int status = 200) {
  exchange->reply({.status = status, .body = to_json_text(json)});
}

Json body_of(const Exchange& exchange, std::initializer_list<std::string_view> known) {
  Json body = parse_body(exchange.request().body);
  for (const auto& [name, value] : body.items())
    if (std::ranges::find(known, std::string_view(name)) == known.end() && !api::is_chat_field(name))
      throw ApiError(400, fmt::format("[{}] is no field of this endpoint", name.substr(0, 80)),
                     "unknown_field", name.substr(0, 80));
  return body;
}

Json model_json(const Service& service, const std::string& name) {
  return {{"id", name},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "reprise"},
          {"max_model_len", service.model.info().max_model_len}};
}

Json reply_schema(std::string_view description) {
  return {{"description", description},
          {"content", {{"application/json", {{"schema", {{"type", "object"}}}}}}}};
}

// What else a reply may be than JSON, by its content type.
enum class ReplyForm { json, json_or_events, text, html };

Json whole_reply(ReplyForm form) {
  const Json text = {{"schema", {{"type", "string"}}}};
  if (form == ReplyForm::text) return {{"description", "the reply"}, {"content", {{"text/plain", text}}}};
  if (form == ReplyForm::html) return {{"description", "the reply"}, {"content", {{"text/html", text}}}};
  Json reply = reply_schema("the reply");
  if (form == ReplyForm::json_or_events) reply["content"]["text/event-stream"] = Json::object();
  return reply;
}

Json operation(std::string_view summary, Json schema = nullptr, ReplyForm form = ReplyForm::json) {
  Json of = {{"summary", summary},
             {"responses",
              {{"200", whole_reply(form)},
               {"400", reply_schema("a request that can't be served")},
               {"401", reply_schema("no API key, or a wrong one")},
               {"403", reply_schema("an API key that does not open this door")},
               {"404", reply_schema("no such model or path")},
               {"405", reply_schema("a method that the path has not")},
               {"408", reply_schema("a request that came too slowly")},
               {"413", reply_schema("a body that is too large")},
               {"414", reply_schema("a target that is too long")},
               {"415", reply_schema("a body that is no JSON")},
               {"429", reply_schema("too many requests")},
               {"431", reply_schema("a head that is too large")},
               {"500", reply_schema("a fault of the server")},
               {"503", reply_schema("shutting down, or not healthy")}}}};
  if (!schema.is_null())
    of["requestBody"] = {{"required", true},
                         {"content", {{"application/json", {{"schema", std::move(schema)}}}}}};
  return of;
}

}  // namespace

void answer_models(Service& service, const std::shared_ptr<Exchange>& exchange) {
  Json list = Json::array();
  for (const std::string& name : service.settings.model_names) list.push_back(model_json(service, name));
  reply_json(exchange, {{"object", "list"}, {"data", std::move(list)}});
}

void answer_model(Service& service, const std::shared_ptr<Exchange>& exchange) {
  // Clients write a slash in a name as it is or as %2F.
  const std::string sent = exchange->request().path.substr(std::string_view("/v1/models/").size());
  const std::string name = percent_decoded(sent).value_or(sent);
  check_model(service.settings, name);
  reply_json(exchange, model_json(service, name));
}

void answer_tokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  reply_later(service, exchange, [&service, exchange](std::vector<HttpField>&) {
    const Json body = body_of(*exchange, {"model", "prompt", "add_special_tokens"});
    const JsonFields fields(body, "body", FieldNames::request);
    if (fields.has("prompt") == fields.has("messages"))
      throw ApiError(400, "give one of [prompt] and [messages]", "missing_field", "prompt");
    const api::TextModel& text = service.model.text();
    const std::vector<int32_t> ids =
        fields.has("messages") ? text.encode_chat(text.render_chat(parse_chat(body)))
                               : text.tokenizer().encode(fields.at("prompt").string(),
                                                         fields.boolean("add_special_tokens").value_or(true));
    return Json{
        {"tokens", ids}, {"count", ids.size()}, {"max_model_len", service.model.info().max_model_len}};
  });
}

void answer_detokenize(Service& service, const std::shared_ptr<Exchange>& exchange) {
  reply_later(service, exchange, [&service, exchange](std::vector<HttpField>&) {
    const Json body = body_of(*exchange, {"model", "tokens"});
    const std::vector<int64_t> wide = JsonFields(body, "body", FieldNames::request)
                                          .at("tokens")
                                          .integers(0, service.model.info().vocab_size - 1, size_t{1} << 20);
    const std::vector<int32_t> ids(wide.begin(), wide.end());
    return Json{{"prompt", service.model.text().tokenizer().decode(ids, false)}};
  });
}

void answer_health(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const api::Health health = service.model.health();
  std::string reason = health.reason;
  if (service.draining) reason = "shutting down";
  const bool ok = health.ok && !service.draining;
  const char* status = health.asleep ? "sleeping" : health.paused ? "paused" : "ok";
  reply_json(exchange, ok ? Json{{"status", status}} : Json{{"status", "unhealthy"}, {"reason", reason}},
             ok ? 200 : 503);
}

void answer_ping(Service&, const std::shared_ptr<Exchange>& exchange) {
  reply_json(exchange, {{"status", "ok"}});
}

void answer_load(Service& service, const std::shared_ptr<Exchange>& exchange) {
  const api::Health health = service.model.health();
  reply_json(exchange, {{"num_requests_running", health.running}, {"num_requests_waiting", health.waiting}});
}

void answer_metrics(Service& service, const std::shared_ptr<Exchange>& exchange) {
  exchange->reply(
      {.body = service.metrics.text(service), .content_type = "text/plain; version=0.0.4; charset=utf-8"});
}

void answer_graph(Service& service, const std::shared_ptr<Exchange>& exchange) {
  reply_later(service, exchange, [&service](std::vector<HttpField>&) {
    try {
      return api::graph_json(service.model.graph_report());
    } catch (const Error& error) {
      throw ApiError(503, error.what(), "engine_stopped");
    }
  });
}

void answer_openapi(Service&, const std::shared_ptr<Exchange>& exchange) {
  const Json ids = {{"type", "array"}, {"items", {{"type", "integer"}}}};
  const Json tokenize = {{"type", "object"},
                         {"properties",
                          {{"model", {{"type", "string"}}},
                           {"prompt", {{"type", "string"}}},
                           {"messages", {{"type", "array"}}},
                           {"add_special_tokens", {{"type", "boolean"}}}}}};
  const Json detokenize = {{"type", "object"}, {"required", {"tokens"}}, {"properties", {{"tokens", ids}}}};
  const Json messages = messages_schema(), responses = responses_schema();
  const Json nothing = {{"type", "object"}, {"additionalProperties", false}};
  const Json pause = {
      {"type", "object"},
      {"properties", {{"mode", {{"type", "string"}, {"enum", {"keep", "abort"}}, {"default", "keep"}}}}},
      {"additionalProperties", false}};
  const Json abort = {{"type", "object"},
                      {"properties",
                       {{"req_ids", {{"type", "array"}, {"items", {{"type", "string"}}}}},
                        {"abort_all", {{"type", "boolean"}}}}},
                      {"additionalProperties", false}};
  const auto control = [](std::string_view summary, const Json& schema) {
    Json of = operation(summary, schema);
    of["requestBody"]["required"] = false;
    return Json{{"post", std::move(of)}};
  };
  const auto get = [](std::string_view summary, ReplyForm form = ReplyForm::json) {
    return Json{{"get", operation(summary, nullptr, form)}};
  };
  const auto generate = [](std::string_view summary, const Json& schema) {
    return Json{{"post", operation(summary, schema, ReplyForm::json_or_events)}};
  };
  Json model = get("One of them");
  model["parameters"] = {
      {{"name", "name"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}};
  reply_json(
      exchange,
      {{"openapi", "3.1.0"},
       {"info", {{"title", "Reprise"}, {"version", version()}}},
       {"paths",
        {{"/v1/chat/completions",
          generate("The next message of a conversation", request_schema(Endpoint::chat))},
         {"/v1/completions", generate("What a text goes on with", request_schema(Endpoint::completions))},
         {"/v1/messages", generate("A message, by Anthropic's API", messages)},
         {"/v1/messages/count_tokens", {{"post", operation("How many tokens a conversation has", messages)}}},
         {"/v1/responses", generate("A response, by OpenAI's newer API; nothing is kept", responses)},
         {"/v1/responses/input_tokens", {{"post", operation("How many tokens an input has", responses)}}},
         {"/v1/models", get("What is served")},
         {"/v1/models/{name}", std::move(model)},
         {"/tokenize", {{"post", operation("Token ids of a text or a conversation", tokenize)}}},
         {"/detokenize", {{"post", operation("The text of token ids", detokenize)}}},
         {"/v1/pause", control("No step begins until resume", pause)},
         {"/v1/resume", control("Steps begin again", nothing)},
         {"/v1/is_paused", get("Whether it is paused or asleep")},
         {"/v1/sleep", control("Pauses and gives memory back", nothing)},
         {"/v1/wakeup", control("The end of sleep", nothing)},
         {"/v1/abort_requests", control("Ends requests with what they have", abort)},
         {"/health", get("Whether requests are served")},
         {"/ping", get("Whether the process lives")},
         {"/load", get("How many outputs run and wait")},
         {"/metrics", get("Metrics for Prometheus", ReplyForm::text)},
         {"/", get("A page to chat on", ReplyForm::html)},
         {"/v1/graph", get("What is captured, and why steps were not replayed")}}}});
}

}  // namespace reprise::server
