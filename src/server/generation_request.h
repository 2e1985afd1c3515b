// The body of /v1/chat/completions and /v1/completions, read by one table of fields.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/json_fields.h"
#include "reprise/reprise.h"

namespace reprise::server {

enum class Endpoint : uint8_t { chat = 1, completions = 2 };

struct GenerationRequest {
  Endpoint endpoint = Endpoint::chat;  // chat: also of the other APIs of conversations
  std::string model;                   // empty: whatever is served
  std::vector<Prompt> prompts;         // of a chat one; each with the request's sampling
  bool stream = false;
  bool include_usage = false;     // in a last chunk
  bool continuous_usage = false;  // in every chunk
  size_t gathered_tokens = 1;     // of an output that a chunk of a stream waits for
  bool return_token_ids = false;
  bool wants_logprobs = false;
  int n = 1;               // outputs of a prompt that are returned; its sampling says how many are made
  int32_t priority = 0;    // as in engine::Request
  std::string request_id;  // empty: one is made
  std::string cache_salt;
  std::vector<std::string> ignored = {};  // fields that were left out, where the endpoint allows that
  std::string repeated = {};              // members of the reply that say what was asked for, as JSON text
};

inline constexpr size_t kMostPrompts = 1024;

// Of chats and completions. Throws ApiError, which names the field, on text that is no JSON, unknown and
// misspelt fields, wrong types and ranges, fields that contradict each other, and fields of what Reprise does
// not have.
GenerationRequest parse_generation_request(Endpoint endpoint, std::string_view body,
                                           const Sampling& defaults);

// A request's own name. Throws where it can't stand in a header field.
std::string parse_request_id(const JsonValue& value);
// Throws where it is too long.
std::string parse_cache_salt(const JsonValue& value);

int32_t parse_priority(const JsonValue& value);

// The schema of such a body, as OpenAPI has it.
Json request_schema(Endpoint endpoint);

}  // namespace reprise::server
