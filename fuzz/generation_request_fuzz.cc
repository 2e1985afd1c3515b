// Any text as the body of a chat and of a completion request: an error with a status of the client's, or a
// request that keeps the limits.
#include <string>

#include "core/error.h"
#include "fuzz/amplify.h"
#include "server/api_error.h"
#include "server/generation_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string body = fuzz::amplified(data, size);
  for (const auto endpoint : {server::Endpoint::chat, server::Endpoint::completions}) {
    try {
      const server::GenerationRequest request = server::parse_generation_request(endpoint, body, {});
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
