#include "server/request_body.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/json_fields.h"
#include "server/api_error.h"
#include "server/http/message.h"

namespace reprise::server {
namespace {

// False: the block is left out.
bool takes_block(const JsonFields& fields, const std::string& name, std::vector<std::string>* left_out) {
  const std::string type = fields.at("type").string();
  if (type == "text") return true;
  if (left_out != nullptr && (type == "thinking" || type == "redacted_thinking")) {
    leave_out(*left_out, type);
    return false;
  }
  throw ApiError(400,
                 fmt::format("{} is a block of type {}, expected text; this version reads nothing else", name,
                             short_json_text(type)),
                 "unsupported_content", name.substr(1, name.find(']') - 1));
}

}  // namespace

Json parse_body(std::string_view text) {
  JsonLimits limits = kRequestJson;
  limits.max_bytes = size_t{32} << 20;
  limits.unique_keys = true;
  Json body = parse_json(text, "body", limits);
  if (!body.is_object())
    throw ApiError(400, fmt::format("[body] is {}, expected an object", short_json_text(body)),
                   "invalid_json");
  return body;
}

std::string content_text(const Json& content, const std::string& name, std::vector<std::string>* left_out) {
  const JsonValue value(content, name);
  if (content.is_string()) return value.string();
  if (!content.is_array()) value.fail("a string or a list of blocks");
  std::string text;
  bool first = true;
  for (const JsonValue& block : value.items()) {
    const JsonFields fields = block.fields();
    if (!takes_block(fields, block.name(), left_out)) continue;
    if (left_out != nullptr)
      for (const auto& [key, unused] : block.json().items())
        if (key != "type" && key != "text") leave_out(*left_out, key);
    if (!first) text.push_back('\n');
    text += fields.at("text").string();
    first = false;
  }
  return text;
}

api::ChatRequest parse_chat(const Json& body) {
  api::ChatRequest chat = api::parse_chat_request(body, true);
  for (size_t i = 0; i < chat.messages.size(); ++i) {
    Json& message = chat.messages[i];
    const auto content = message.find("content");
    if (content != message.end() && content->is_array())
      *content = content_text(*content, fmt::format("[messages][{}].content", i), nullptr);
  }
  return chat;
}

void leave_out(std::vector<std::string>& names, std::string_view name) {
  constexpr size_t kMostNames = 32, kMostBytes = 64;
  if (name.size() > kMostBytes || !may_be_field_value(name)) name = "(unnamed)";
  if (names.size() < kMostNames && std::ranges::find(names, name) == names.end()) names.emplace_back(name);
}

}  // namespace reprise::server
