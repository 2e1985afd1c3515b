// Whether a reply says what the log says that it said.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/replay/log_file.h"
#include "core/json.h"

namespace reprise::client {

// A request of the log as it is sent again.
struct ReplayCall {
  std::string body;
  size_t first_prompt = 0, prompts = 0;  // which of the line's prompts it has
};
// Not streamed, with the ids of the tokens where the endpoint has them, and with the seeds that were drawn: then each
// prompt is a request of its own, since each had a seed of its own. Throws Error where the body is no JSON object.
// `keep_model` false: whatever model is served answers.
std::vector<ReplayCall> replay_calls(const LoggedLine& line, bool keep_model);

// The text of tokens, to find where texts differ whose reply has no ids; may be null.
using TextOfTokens = std::function<std::string(const std::vector<int32_t>&)>;

// The first difference in words, such as "output 0 differs at token 5: 312 in the log, 77 now"; empty: none. Throws Error on a
// reply that is not that of a request to `line.path`.
std::string first_difference(const LoggedLine& line, const ReplayCall& call, std::string_view reply,
                             const TextOfTokens& text_of);

// system_fingerprint of a reply; empty where it has none.
std::string fingerprint_of(std::string_view reply);

}  // namespace reprise::client
