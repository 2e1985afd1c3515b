// JSON as text, without a tree: what is written once a token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/reprise.h"
#include "tokenizer/tokenizer.h"

namespace reprise::server {

// `text` as a JSON string with its quotes. Valid UTF-8 stays as it is; what is not becomes U+FFFD.
void append_json_string(std::string& to, std::string_view text);
void append_ids(std::string& to, const std::vector<int32_t>& ids);  // [1,2]
// 9 significant digits, which give back the exact float; -9999 for minus infinity, as OpenAI's API has it.
void append_logprob(std::string& to, float value);

// The chat API's list: [{"token":..,"logprob":..,"bytes":[..],"top_logprobs":[..]}]
void append_chat_logprobs(std::string& to, const std::vector<TokenLogprob>& logprobs,
                          const tokenizer::Tokenizer* tokenizer);
// The completions API's object; `offset`: characters of the output before, raised by those of these tokens.
// `first_unknown`: nothing predicted the first one.
void append_completion_logprobs(std::string& to, const std::vector<TokenLogprob>& logprobs,
                                const tokenizer::Tokenizer* tokenizer, int64_t& offset, bool first_unknown);

}  // namespace reprise::server
