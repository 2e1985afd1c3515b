// A line of a prompts file: a JSON string, or an object with prompt, prompt_token_ids or messages and
// sampling fields.
#pragma once

#include <string>

#include "reprise/reprise.h"

namespace reprise::api {

// Throws Error on malformed JSON, an unknown field or a wrong type. `defaults` holds where the line says
// nothing.
Prompt parse_prompt_line(const std::string& line, const Sampling& defaults);

}  // namespace reprise::api
