#include "server/request_body.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/json_fields.h"
#include "server/api_error.h"
#include "server/http/message.h"

namespace reprise::server {
namespace {

// False: the block is left out.
bool takes_block(const std::string& type, const TextBlocks& blocks, const std::string& name,
                 std::vector<std::string>* left_out) {
  if (is_among(blocks.text, type)) return true;
  if (left_out != nullptr && is_among(blocks.left_out, type)) {
    leave_out(*left_out, type);
    return false;
  }
  throw ApiError(400,
                 fmt::format("{} is a block of type {}, expected {}; this version reads nothing else", name,
                             short_json_text(type), fmt::join(blocks.text, " or ")),
                 "unsupported_content", name.substr(1, name.find(']') - 1));
}

constexpr std::string_view kChatText[] = {"text"};

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

std::string content_text(const Json& content, const std::string& name, const TextBlocks& blocks,
                         std::vector<std::string>* left_out) {
  const JsonValue value(content, name);
  if (content.is_string()) return value.string();
  if (!content.is_array()) value.fail("a string or a list of blocks");
  std::string text;
  bool first = true;
  for (const JsonValue& block : value.items()) {
    const JsonFields fields = block.fields();
    if (!takes_block(fields.at("type").string(), blocks, block.name(), left_out)) continue;
    if (left_out != nullptr)
      for (const auto& [key, unused] : block.json().items())
        if (key != "type" && key != "text" && !is_among(blocks.quiet, key)) leave_out(*left_out, key);
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
      *content =
          content_text(*content, fmt::format("[messages][{}].content", i), {.text = kChatText}, nullptr);
  }
  return chat;
}

bool is_among(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

void leave_out(std::vector<std::string>& names, std::string_view name) {
  constexpr size_t kMostNames = 32, kMostBytes = 64;
  if (name.size() > kMostBytes || !may_be_field_value(name)) name = "(unnamed)";
  if (names.size() < kMostNames && std::ranges::find(names, name) == names.end()) names.emplace_back(name);
}

void add_ignored_field(const std::vector<std::string>& names, std::vector<HttpField>& fields) {
  if (!names.empty()) fields.emplace_back("x-reprise-ignored", fmt::format("{}", fmt::join(names, ", ")));
}

}  // namespace reprise::server
