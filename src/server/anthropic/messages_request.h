// The bodies of /v1/messages and /v1/messages/count_tokens, by Anthropic's API.
#pragma once

#include "server/generation_request.h"
#include "server/http/message.h"

namespace reprise::server {

// Whether the body must say `max_tokens`.
enum class MessagesUse { generate, count };

// One prompt: the conversation. What only a hosted service knows, and tools, are left out and named in `ignored`.
// Throws ApiError and Error, which name the field.
GenerationRequest parse_messages_request(const HttpRequest& request, const Sampling& defaults,
                                         MessagesUse use);

// The schema of such a body, as OpenAPI has it.
Json messages_schema();

}  // namespace reprise::server
