#include "api/chat_fields.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "api/sampling_check.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "tokenizer/streaming_decoder.h"

namespace reprise::api {
namespace {

std::vector<int32_t> ids_of(const Json& value) {
  const JsonValue list(value, "[token_ids]");
  if (!value.is_array()) list.fail("a list of token ids");
  const std::vector<int64_t> wide = list.integers(0, INT32_MAX);
  return {wide.begin(), wide.end()};
}

// What a stream of these tokens gives out after each of them, and at its end.
Json stream_pieces(const tokenizer::Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                   bool skip_special_tokens) {
  tokenizer::StreamingDecoder decoder(tokenizer, skip_special_tokens);
  Json pieces = Json::array();
  for (const int32_t id : ids) pieces.push_back(decoder.push(id));
  pieces.push_back(decoder.flush());
  return pieces;
}

// Null where absent.
Json list_of(const JsonFields& request, const char* name) {
  const std::optional<JsonValue> found = request.value(name);
  if (!found) return nullptr;
  if (!found->json().is_array()) found->fail("a list");
  return found->json();
}

Json parse_part(const std::string& text, const char* name) {
  return text.empty() ? Json() : parse_json(text, fmt::format("[{}]", name), kRequestJson);
}
std::string text_of(const Json& part) {
  return part.is_null() ? std::string() : to_json_text(part);
}

constexpr std::string_view kChatFields[] = {
    "messages", "tools", "documents", "add_generation_prompt", "chat_template", "chat_template_kwargs"};

}  // namespace

bool is_chat_field(std::string_view name) {
  return std::find(std::begin(kChatFields), std::end(kChatFields), name) != std::end(kChatFields);
}

ChatRequest parse_chat_request(const Json& request, bool add_generation_prompt) {
  const JsonFields fields(request, "request", FieldNames::request);
  ChatRequest chat;
  chat.messages = list_of(fields, "messages");
  if (chat.messages.is_null()) throw Error("[messages] is missing or null, expected a list");
  if (chat.messages.size() > kMaxMessages)
    throw Error("[messages] has {} entries, at most {} are served; shorten it", chat.messages.size(),
                kMaxMessages);
  for (const JsonValue& message : fields.at("messages").items())
    if (!message.json().is_object() || !message.fields().string("role"))
      message.fail("an object with a role, such as {\"role\": \"user\", \"content\": \"..\"}");
  chat.tools = list_of(fields, "tools");
  chat.documents = list_of(fields, "documents");
  chat.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(add_generation_prompt);
  chat.chat_template = fields.string("chat_template").value_or("");
  if (const auto kwargs = fields.value("chat_template_kwargs")) {
    if (!kwargs->json().is_object()) kwargs->fail("an object");
    chat.kwargs = kwargs->json();
  }
  return chat;
}

ChatRequest chat_request_of(const Prompt& prompt) {
  Json request = Json::object();
  if (!prompt.messages_json.empty()) {
    request["messages"] = parse_part(prompt.messages_json, "messages");
  } else {
    request["messages"] = Json::array();
    for (const Message& message : prompt.messages)
      request["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  request["tools"] = parse_part(prompt.tools_json, "tools");
  request["documents"] = parse_part(prompt.documents_json, "documents");
  if (!prompt.chat_template.empty()) request["chat_template"] = prompt.chat_template;
  request["chat_template_kwargs"] = parse_part(prompt.chat_template_kwargs_json, "chat_template_kwargs");
  return parse_chat_request(request, prompt.add_generation_prompt);
}

void set_chat(Prompt& prompt, const ChatRequest& chat) {
  prompt.messages_json = to_json_text(chat.messages);
  prompt.tools_json = text_of(chat.tools);
  prompt.documents_json = text_of(chat.documents);
  prompt.chat_template_kwargs_json = chat.kwargs.empty() ? std::string() : to_json_text(chat.kwargs);
  prompt.chat_template = chat.chat_template;
  prompt.add_generation_prompt = chat.add_generation_prompt;
}

Json answer_tokenizer_line(const TextModel& text, const std::string& raw) {
  const Json line = parse_json(raw, "batch line", kRequestJson);
  if (!line.is_object()) throw Error("[batch line] is no object; expected text, token_ids or messages");
  const JsonFields fields(line, "batch line", FieldNames::request);
  if (fields.present("messages")) {
    const ChatPrompt prompt = text.render_chat(parse_chat_request(line, false));
    Json result = {{"prompt", prompt.text}};
    if (text.has_tokenizer()) result["token_ids"] = text.encode_chat(prompt);
    return result;
  }
  if (fields.present("token_ids")) {
    const std::vector<int32_t> ids = ids_of(line.at("token_ids"));
    const bool skip = fields.boolean("skip_special_tokens").value_or(true);
    if (fields.boolean("stream").value_or(false))
      return {{"pieces", stream_pieces(text.tokenizer(), ids, skip)}};
    return {{"text", text.tokenizer().decode(ids, skip)}};
  }
  if (fields.present("text"))
    return {{"token_ids", text.tokenizer().encode(JsonValue(line.at("text"), "[text]").string(),
                                                  fields.boolean("add_special_tokens").value_or(true))}};
  throw Error("[batch line] has none of text, token_ids and messages");
}

}  // namespace reprise::api
