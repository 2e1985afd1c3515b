#include <algorithm>
#include <cctype>

#include "client/http_loop.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::client {

std::string_view name_of(Trouble trouble) {
  switch (trouble) {
    case Trouble::none:
      return "none";
    case Trouble::resolve:
      return "resolve";
    case Trouble::connect:
      return "connect";
    case Trouble::timeout:
      return "timeout";
    case Trouble::closed:
      return "closed";
    case Trouble::malformed:
      return "malformed";
    case Trouble::too_large:
      return "too_large";
    case Trouble::cancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string_view field_of(const HttpFields& fields, std::string_view name) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
  };
  for (const auto& [known, value] : fields)
    if (std::ranges::equal(known, name, same)) return value;
  return {};
}

std::string error_message_of(std::string_view body) {
  constexpr size_t kShown = 500;
  try {
    const Json json = parse_json(body, "reply", kRequestJson);
    for (const Json* at : {&json, json.contains("error") ? &json["error"] : &json}) {
      if (at->is_string()) return at->get<std::string>().substr(0, kShown);
      for (const char* name : {"message", "detail", "error"})
        if (at->is_object() && at->contains(name) && (*at)[name].is_string())
          return (*at)[name].get<std::string>().substr(0, kShown);
    }
  } catch (const std::exception&) {  // no JSON: its text then
  }
  std::string text(body.substr(0, kShown));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, ' ');
  return text.empty() ? "the reply is empty" : text;
}

std::string HttpReply::error_message() const {
  return end.trouble != Trouble::none ? end.what : error_message_of(body);
}

HttpReply ask_and_wait(HttpLoop& loop, HttpCall call, const std::function<bool()>& interrupted) {
  HttpReply reply;
  bool ended = false;
  HttpEvents events;
  events.head = [&](int status, const HttpFields& fields) {
    reply.status = status;
    reply.fields = fields;
  };
  events.body = [&](std::string_view piece) { reply.body.append(piece); };
  events.end = [&](const HttpEnd& end) {
    reply.end = end;
    ended = true;
  };
  const HttpLoop::CallId id = loop.ask(std::move(call), std::move(events));
  loop.run(interrupted);
  if (!ended) {
    loop.cancel(id);
    loop.run();
  }
  return reply;
}

}  // namespace reprise::client
