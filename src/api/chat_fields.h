// Requests of text as JSON: what a chat template is rendered with, and the lines of `reprise tokenizer
// --batch`.
#pragma once

#include <string>
#include <string_view>

#include "api/text_model.h"
#include "core/json.h"
#include "reprise/reprise.h"

namespace reprise::api {

// `messages`, `tools`, `documents`, `add_generation_prompt`, `chat_template` and `chat_template_kwargs` of a request;
// other members are not looked at. Throws Error that names the member on a wrong type. `add_generation_prompt`:
// where the request says nothing.
ChatRequest parse_chat_request(const Json& request, bool add_generation_prompt);

// The names of these members; parse_chat_request() reads all of them.
bool is_chat_field(std::string_view name);

// The same request read from a Prompt, whose parts are JSON text; throws as parse_chat_request() and on
// malformed JSON. set_chat() writes a request into a Prompt.
ChatRequest chat_request_of(const Prompt& prompt);
void set_chat(Prompt& prompt, const ChatRequest& chat);

// Answers one line of `reprise tokenizer --batch`: {"text": ..} with {"token_ids": [..]}, {"token_ids": [..]}
// with {"text": ..} or, with "stream": true, {"pieces": [..]} (what a stream gives out after each token and
// at its end), {"messages": [..]} with {"prompt": .., "token_ids": [..]} (no token_ids without a tokenizer).
// Throws Error that names what is wrong with the line.
Json answer_tokenizer_line(const TextModel& text, const std::string& line);

}  // namespace reprise::api
