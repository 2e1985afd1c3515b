// Requests of text as JSON: what a chat template is rendered with, and the lines of `reprise tokenizer
// --batch`.
#pragma once

#include <string>

#include "api/text_model.h"
#include "core/json.h"

namespace reprise::api {

// `messages`, `tools`, `documents`, `add_generation_prompt` and `chat_template_kwargs` of a request; other
// members are not looked at. Throws Error that names the member on a wrong type. `add_generation_prompt`:
// where the request says nothing.
ChatRequest parse_chat_request(const Json& request, bool add_generation_prompt);

// Answers one line {"text": ..}, {"token_ids": [..]} or {"messages": [..]}. Throws Error.
Json answer_tokenizer_line(const TextModel& text, const std::string& line);

}  // namespace reprise::api
