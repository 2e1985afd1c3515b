#include "api/chat_fields.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "api/json_value.h"
#include "api/sampling_check.h"
#include "core/error.h"
#include "tokenizer/streaming_decoder.h"

namespace reprise::api {
namespace {

std::vector<int32_t> ids_of(const Json& value) {
  if (!value.is_array()) throw Error("[token_ids] is {}, expected a list of token ids", shown(value));
  std::vector<int32_t> ids;
  for (const Json& id : value) {
    ids.push_back(static_cast<int32_t>(integer_of(id, 0, INT32_MAX, "[token_ids] holds")));
  }
  return ids;
}

bool flag_of(const Json& line, const char* name, bool fallback) {
  const auto found = line.find(name);
  if (found == line.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) throw Error("[{}] is {}, expected true or false", name, shown(*found));
  return found->get<bool>();
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
Json list_of(const Json& request, const char* name) {
  const auto found = request.find(name);
  if (found == request.end() || found->is_null()) return nullptr;
  if (!found->is_array()) throw Error("[{}] is {}, expected a list", name, shown(*found));
  return *found;
}

Json parse_part(const std::string& text, const char* name) {
  return text.empty() ? Json() : parse_json(text, fmt::format("[{}]", name), kRequestJson);
}
std::string text_of(const Json& part) {
  return part.is_null() ? std::string() : to_json_text(part);
}

constexpr std::string_view kChatFields[] = {"messages", "tools", "documents", "add_generation_prompt",
                                            "chat_template_kwargs"};

}  // namespace

bool is_chat_field(std::string_view name) {
  return std::find(std::begin(kChatFields), std::end(kChatFields), name) != std::end(kChatFields);
}

ChatRequest parse_chat_request(const Json& request, bool add_generation_prompt) {
  ChatRequest chat;
  chat.messages = list_of(request, "messages");
  if (chat.messages.is_null()) throw Error("[messages] is missing or null, expected a list");
  if (chat.messages.size() > kMaxMessages)
    throw Error("[messages] has {} entries, at most {} are served; shorten it", chat.messages.size(),
                kMaxMessages);
  chat.tools = list_of(request, "tools");
  chat.documents = list_of(request, "documents");
  chat.add_generation_prompt = flag_of(request, "add_generation_prompt", add_generation_prompt);
  const auto kwargs = request.find("chat_template_kwargs");
  if (kwargs != request.end() && !kwargs->is_null()) {
    if (!kwargs->is_object()) throw Error("[chat_template_kwargs] is {}, expected an object", shown(*kwargs));
    chat.kwargs = *kwargs;
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
  request["chat_template_kwargs"] = parse_part(prompt.chat_template_kwargs_json, "chat_template_kwargs");
  return parse_chat_request(request, prompt.add_generation_prompt);
}

void set_chat(Prompt& prompt, const ChatRequest& chat) {
  prompt.messages_json = to_json_text(chat.messages);
  prompt.tools_json = text_of(chat.tools);
  prompt.documents_json = text_of(chat.documents);
  prompt.chat_template_kwargs_json = chat.kwargs.empty() ? std::string() : to_json_text(chat.kwargs);
  prompt.add_generation_prompt = chat.add_generation_prompt;
}

Json answer_tokenizer_line(const TextModel& text, const std::string& raw) {
  const Json line = parse_json(raw, "batch line", kRequestJson);
  if (!line.is_object()) throw Error("[batch line] is no object; expected text, token_ids or messages");
  if (line.contains("messages")) {
    const ChatPrompt prompt = text.render_chat(parse_chat_request(line, false));
    Json result = {{"prompt", prompt.text}};
    if (text.has_tokenizer()) result["token_ids"] = text.encode_chat(prompt);
    return result;
  }
  if (line.contains("token_ids")) {
    const std::vector<int32_t> ids = ids_of(line.at("token_ids"));
    const bool skip = flag_of(line, "skip_special_tokens", true);
    if (flag_of(line, "stream", false)) return {{"pieces", stream_pieces(text.tokenizer(), ids, skip)}};
    return {{"text", text.tokenizer().decode(ids, skip)}};
  }
  if (line.contains("text")) {
    if (!line.at("text").is_string()) throw Error("[text] is {}, expected a string", shown(line.at("text")));
    return {{"token_ids", text.tokenizer().encode(line.at("text").get<std::string>(),
                                                  flag_of(line, "add_special_tokens", true))}};
  }
  throw Error("[batch line] has none of text, token_ids and messages");
}

}  // namespace reprise::api
