// JSON for configurations, requests and reports. Reading is guarded: nesting is capped, the time is linear in
// the text, and every error names the document. Large documents (tokenizer.json) are read with simdjson where
// they are used.
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace reprise {

// Keeps the order of keys, as templates and reports need.
using Json = nlohmann::ordered_json;

// Parses `text`; `what` names it in errors ("config.json of /models/x"). Throws Error on malformed text, on
// nesting deeper than `max_depth`, on invalid UTF-8 and on trailing garbage.
Json parse_json(std::string_view text, std::string_view what, int max_depth = 256);

// The whole file as bytes. Throws Error when it can't be read or is larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

Json read_json_file(const std::filesystem::path& path);

// Text of `value` in which invalid UTF-8 becomes U+FFFD instead of an exception: for anything that users
// wrote.
std::string to_json_text(const Json& value, int indent = -1);

}  // namespace reprise
