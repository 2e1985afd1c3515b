#include "api/chat_fields.h"

#include <utility>
#include <vector>

#include "core/error.h"

namespace reprise::api {
namespace {

std::vector<int32_t> ids_of(const Json& value) {
  if (!value.is_array()) throw Error("[token_ids] is {}, expected a list of token ids", to_json_text(value));
  std::vector<int32_t> ids;
  for (const Json& id : value) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      throw Error("[token_ids] holds {}, expected token ids", to_json_text(id));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

bool flag_of(const Json& line, const char* name, bool fallback) {
  const auto found = line.find(name);
  if (found == line.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) throw Error("[{}] is {}, expected true or false", name, to_json_text(*found));
  return found->get<bool>();
}

Json value_or_null(const Json& line, const char* name) {
  return line.contains(name) ? line.at(name) : Json();
}

}  // namespace

ChatRequest parse_chat_request(const Json& request, bool add_generation_prompt) {
  ChatRequest chat{.messages = request.at("messages"),
                   .tools = value_or_null(request, "tools"),
                   .documents = value_or_null(request, "documents"),
                   .add_generation_prompt = flag_of(request, "add_generation_prompt", add_generation_prompt)};
  if (request.contains("chat_template_kwargs") && !request.at("chat_template_kwargs").is_null()) {
    chat.kwargs = request.at("chat_template_kwargs");
    if (!chat.kwargs.is_object()) throw Error("[chat_template_kwargs] is no object");
  }
  return chat;
}

Json answer_tokenizer_line(const TextModel& text, const std::string& raw) {
  const Json line = parse_json(raw, "batch line");
  if (!line.is_object()) throw Error("[batch line] is no object; expected text, token_ids or messages");
  if (line.contains("messages")) {
    const std::string prompt = text.render_chat(parse_chat_request(line, false));
    Json result = {{"prompt", prompt}};
    if (text.has_tokenizer()) result["token_ids"] = text.encode_chat(prompt);
    return result;
  }
  if (line.contains("token_ids"))
    return {{"text", text.tokenizer().decode(ids_of(line.at("token_ids")),
                                             flag_of(line, "skip_special_tokens", true))}};
  if (line.contains("text")) {
    if (!line.at("text").is_string())
      throw Error("[text] is {}, expected a string", to_json_text(line.at("text")));
    return {{"token_ids", text.tokenizer().encode(line.at("text").get<std::string>(),
                                                  flag_of(line, "add_special_tokens", true))}};
  }
  throw Error("[batch line] has none of text, token_ids and messages");
}

}  // namespace reprise::api
