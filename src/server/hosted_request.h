// What the bodies of /v1/messages and /v1/responses have in common: their clients also send what only a hosted service
// knows. That is left out, and named to the client.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/json_fields.h"
#include "server/generation_request.h"

namespace reprise::server {

struct HostedFields {
  std::span<const std::string_view> own;       // read by the endpoint itself
  std::span<const std::string_view> left_out;  // null counts as absent
  std::span<const std::string_view>
      not_here;  // sampling fields that this API has another name or no place for
  // Throws where the value of one of `left_out` asks for what would change the reply.
  void (*check_left_out)(const std::string& name, const JsonValue& value);
};

// Sets the sampling fields of a body and names in `ignored` what is left out. Throws ApiError on any other field, with
// the nearest one that is known.
void read_hosted_fields(const Json& body, const HostedFields& known, Sampling& sampling,
                        std::vector<std::string>& ignored);

// The schema of such a body, as OpenAPI has it. `own`: the schemas of fields that the endpoint reads itself, those that
// change nothing among them.
Json hosted_schema(const HostedFields& known, Json own);

// Adds what somebody says to a list of messages. Turns of one role in a row are one: some templates take no others.
void append_turn(Json& messages, std::string_view role, const std::string& text);

// The request's one prompt: these messages, and the body's chat_template_kwargs, priority and
// cache_salt. `field` is what the body calls its
// messages. Throws ApiError where the last turn is the assistant's, and Error on sampling fields that contradict each
// other.
void set_conversation(GenerationRequest& request, Json messages, std::string_view field,
                      const JsonFields& body, const Sampling& sampling);

}  // namespace reprise::server
