// What bodies of requests have in common.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/chat_fields.h"
#include "core/json.h"

namespace reprise::server {

// A body that must be a JSON object. Throws ApiError and Error.
Json parse_body(std::string_view text);

// What a message says as one text: a string as it is, blocks of type text joined by line feeds. `name` is the message's
// content in errors. Throws ApiError on a block of another type, by its name. `left_out`: takes the names of what is left
// out, which are the blocks of reasoning and all fields of a block but its text; null: they are refused or ignored as
// OpenAI's API has them.
std::string content_text(const Json& content, const std::string& name, std::vector<std::string>* left_out);

// The conversation of a body (api/chat_fields.h), each message's content as one text: few templates know that it may be a
// list of blocks.
api::ChatRequest parse_chat(const Json& body);

// Each name once, in the order of the calls. Names come from clients and go into a field of the reply's head: one that
// may not stand there, or is long, counts as "(unnamed)", and 32 names are enough.
void leave_out(std::vector<std::string>& names, std::string_view name);

}  // namespace reprise::server
