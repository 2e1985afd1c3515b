// Any text as the body of each kind of generation request: an error with a status of the client's, or a
// request that keeps the limits.
#include <string>

#include "core/error.h"
#include "fuzz/amplify.h"
#include "server/anthropic/messages_request.h"
#include "server/api_error.h"
#include "server/generation_request.h"
#include "server/responses/responses_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string body = fuzz::amplified(data, size);
  server::HttpRequest http;
  http.body = body;
  for (int kind = 0; kind < 4; ++kind) {
    try {
      const server::GenerationRequest request =
          kind == 0   ? server::parse_generation_request(server::Endpoint::chat, body, {})
          : kind == 1 ? server::parse_generation_request(server::Endpoint::completions, body, {})
          : kind == 2 ? server::parse_messages_request(http, {}, server::MessagesUse::generate)
                      : server::parse_responses_request(http, {});
      REPRISE_CHECK(!request.prompts.empty() && request.prompts.size() <= server::kMostPrompts, "prompts");
      for (const Prompt& prompt : request.prompts)
        REPRISE_CHECK(prompt.sampling.n >= 1 && prompt.sampling.n <= 128 && prompt.sampling.temperature >= 0,
                      "unchecked fields");
      REPRISE_CHECK(request.request_id.size() <= 128, "request_id");
    } catch (...) {
      const server::ApiError error = server::api_error_of_current();
      REPRISE_CHECK(error.status >= 400 && error.status < 500, "{}", error.what());
      REPRISE_CHECK(!server::error_response(error).body.empty(), "an error without a body");
    }
  }
  return 0;
}
