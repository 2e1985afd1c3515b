// What bodies of requests have in common.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/chat_fields.h"
#include "core/json.h"
#include "server/http/message.h"

namespace reprise::server {

// A body that must be a JSON object. Throws ApiError and Error.
Json parse_body(std::string_view text);

// How the content of a message may be written beside one string. Types, and names of fields.
struct TextBlocks {
  std::span<const std::string_view> text;           // have a field `text`
  std::span<const std::string_view> left_out = {};  // what the model does not read: reasoning
  std::span<const std::string_view> quiet =
      {};  // fields that nobody is told of: they come from replies of ours
};

// What a message says as one text: a string as it is, blocks of text joined by line feeds. `name` is the message's
// content in errors. Throws ApiError on a block of another type, by its name. `left_out`: takes the names of what is left
// out, which are blocks of those types and all fields of a block but its text; null: fields are ignored as OpenAI's API
// has them.
std::string content_text(const Json& content, const std::string& name, const TextBlocks& blocks,
                         std::vector<std::string>* left_out);

// The conversation of a body (api/chat_fields.h), each message's content as one text: few templates know that it may be a
// list of blocks.
api::ChatRequest parse_chat(const Json& body);

bool is_among(std::span<const std::string_view> names, std::string_view name);

// Each name once, in the order of the calls. Names come from clients and go into a field of the reply's head: one that
// may not stand there, or is long, counts as "(unnamed)", and 32 names are enough.
void leave_out(std::vector<std::string>& names, std::string_view name);
// The field of the reply's head that tells these names, where there are any.
void add_ignored_field(const std::vector<std::string>& names, std::vector<HttpField>& fields);

}  // namespace reprise::server
