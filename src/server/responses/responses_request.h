// The bodies of /v1/responses and /v1/responses/input_tokens, by OpenAI's API.
#pragma once

#include "server/generation_request.h"
#include "server/http/message.h"

namespace reprise::server {

// One prompt: the instructions and the input. What only a hosted service knows, and tools, are left out and named in
// `ignored`; `repeated` has what the reply says of the request. Throws ApiError and Error, which name the field.
GenerationRequest parse_responses_request(const HttpRequest& request, const Sampling& defaults);

// The schema of such a body, as OpenAPI has it.
Json responses_schema();

}  // namespace reprise::server
