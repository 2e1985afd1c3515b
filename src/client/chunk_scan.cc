#include "client/chunk_scan.h"

#include <algorithm>

#include "core/json.h"

namespace reprise::client {
namespace {

// What follows the next key of that name, without blanks; empty where there is none. `key` comes with its quotes. Within
// a string the quotes would be escaped, so that nothing but a key or a whole string is found.
std::string_view value_behind(std::string_view text, std::string_view key) {
  for (size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at)) {
    at += key.size();
    size_t next = text.find_first_not_of(" \t\r\n", at);
    if (next == std::string_view::npos || text[next] != ':') continue;
    next = text.find_first_not_of(" \t\r\n", next + 1);
    return next == std::string_view::npos ? std::string_view() : text.substr(next);
  }
  return {};
}

bool is_text(std::string_view value) {
  return value.size() > 1 && value[0] == '"' && value[1] != '"';
}

int64_t count_of(const Json& object, const char* name) {
  if (!object.is_object()) return 0;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return 0;
  return std::max<int64_t>(0, found->get<int64_t>());
}

}  // namespace

ChunkNews scan_chunk(std::string_view data) {
  ChunkNews news;
  if (data == "[DONE]") return {.done = true};
  for (const std::string_view key : {"\"content\"", "\"text\"", "\"reasoning_content\"", "\"reasoning\""})
    news.text = news.text || is_text(value_behind(data, key));
  if (!news.text) {
    const std::string_view calls = value_behind(data, "\"tool_calls\"");
    news.text = calls.size() > 1 && calls[0] == '[' && calls[1] != ']';
    const std::string_view error = value_behind(data, "\"error\"");
    news.error = error.starts_with('{') || error.starts_with('"');
  }
  news.usage = value_behind(data, "\"usage\"").starts_with('{');
  return news;
}

ChunkUsage usage_of(std::string_view data) {
  const Json json = parse_json(data, "a chunk of the stream", kRequestJson);
  ChunkUsage counts;
  if (!json.is_object()) return counts;
  const auto usage = json.find("usage");
  if (usage == json.end() || !usage->is_object()) return counts;
  counts.prompt_tokens = count_of(*usage, "prompt_tokens");
  counts.output_tokens = count_of(*usage, "completion_tokens");
  if (const auto details = usage->find("prompt_tokens_details"); details != usage->end())
    counts.cached_tokens = count_of(*details, "cached_tokens");
  return counts;
}

}  // namespace reprise::client
