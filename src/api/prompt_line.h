// A line of a prompts file, and the body of a completion request: a JSON string, or an object with `prompt`,
// `prompt_token_ids` or `messages`, and sampling fields. With `messages` also what a chat template takes:
// `tools`, `documents`, `add_generation_prompt` (true where absent) and `chat_template_kwargs`.
#pragma once

#include <string>

#include "reprise/reprise.h"

namespace reprise::api {

// `defaults` holds where the line says nothing. Throws Error, which names the field, on malformed JSON, an
// unknown field, a wrong type, and a value out of the range that holds for every model.
Prompt parse_prompt_line(const std::string& line, const Sampling& defaults);

}  // namespace reprise::api
