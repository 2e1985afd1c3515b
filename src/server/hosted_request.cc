#include "server/hosted_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/chat_fields.h"
#include "api/sampling_check.h"
#include "api/sampling_fields.h"
#include "core/nearest.h"
#include "server/api_error.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

[[noreturn]] void fail_unknown_hosted(const HostedFields& fields, const std::string& name) {
  std::vector<std::string_view> known(fields.own.begin(), fields.own.end());
  known.insert(known.end(), fields.left_out.begin(), fields.left_out.end());
  for (const api::SamplingField& field : api::sampling_fields())
    if (!is_among(fields.not_here, field.name)) known.emplace_back(field.name);
  const std::string shown = name.substr(0, 80);
  const std::string_view near = nearest_name(shown, known);
  throw ApiError(400,
                 fmt::format("[{}] is no field of this endpoint{}", shown,
                             near.empty() ? std::string() : fmt::format("; did you mean {}?", near)),
                 "unknown_field", shown);
}

}  // namespace

void read_hosted_fields(const Json& body, const HostedFields& known, Sampling& sampling,
                        std::vector<std::string>& ignored) {
  for (const auto& [name, value] : body.items()) {
    if (is_among(known.own, name)) continue;
    if (is_among(known.left_out, name)) {
      if (value.is_null()) continue;
      known.check_left_out(name, JsonValue(value, "[" + name + "]"));
      leave_out(ignored, name);
    } else if (is_among(known.not_here, name) || !api::set_sampling_field(sampling, name, value)) {
      fail_unknown_hosted(known, name);
    }
  }
}

Json hosted_schema(const HostedFields& known, Json own) {
  for (const api::SamplingField& field : api::sampling_fields())
    if (!is_among(known.not_here, field.name) && !own.contains(field.name))
      own[field.name] = api::field_schema(field);
  for (const std::string_view name : known.left_out)
    own[std::string(name)] = {{"description", "left out, and named in x-reprise-ignored"}};
  return {{"type", "object"}, {"properties", std::move(own)}, {"additionalProperties", false}};
}

void append_turn(Json& messages, std::string_view role, const std::string& text) {
  if (!messages.empty() && messages.back()["role"] == role)
    messages.back()["content"].get_ref<std::string&>().append("\n").append(text);
  else
    messages.push_back({{"role", role}, {"content", text}});
}

void set_conversation(GenerationRequest& request, Json messages, std::string_view field,
                      const JsonFields& body, const Sampling& sampling) {
  if (messages.back()["role"] == "assistant")
    throw ApiError(400,
                   fmt::format("[{}] ends with what the assistant said, and this version can't go on with "
                               "that; end with a message of the user",
                               field),
                   "unsupported_field", std::string(field));
  Json chat = {{"messages", std::move(messages)}};
  if (const Json* kwargs = body.find("chat_template_kwargs")) chat["chat_template_kwargs"] = *kwargs;
  api::check_sampling(sampling);
  Prompt& prompt = request.prompts.emplace_back();
  api::set_chat(prompt, api::parse_chat_request(chat, true));
  prompt.sampling = sampling;
  if (body.has("priority")) request.priority = parse_priority(body.at("priority"));
  if (body.has("cache_salt")) prompt.cache_salt = parse_cache_salt(body.at("cache_salt"));
}

}  // namespace reprise::server
