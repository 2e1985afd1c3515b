// The body of /v1/chat/completions and /v1/completions, read by one table of fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "reprise/reprise.h"

namespace reprise::server {

enum class Endpoint : uint8_t { chat = 1, completions = 2 };

struct GenerationRequest {
  Endpoint endpoint = Endpoint::chat;
  std::string model;            // empty: whatever is served
  std::vector<Prompt> prompts;  // of a chat one; each with the request's sampling
  bool stream = false;
  bool include_usage = false;     // in a last chunk
  bool continuous_usage = false;  // in every chunk
  bool return_token_ids = false;
  bool wants_logprobs = false;
  int best_of = 0;         // completions: outputs that are made; 0: n
  std::string request_id;  // empty: one is made
};

inline constexpr size_t kMostPrompts = 1024;

// Throws ApiError, which names the field, on text that is no JSON, unknown and misspelt fields, wrong types and ranges,
// fields that contradict each other, and fields of what Reprise does not have.
GenerationRequest parse_generation_request(Endpoint endpoint, std::string_view body,
                                           const Sampling& defaults);

// The schema of a body, as OpenAPI has it.
Json request_schema(Endpoint endpoint);

}  // namespace reprise::server
