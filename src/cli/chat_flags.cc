#include "cli/chat_flags.h"

#include "cli/command_line.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

Json parse_value(const std::string& name, const std::string& text, const char* expected) {
  try {
    return parse_json(text, name);
  } catch (const Error&) {
    throw Error("[{}] is '{}', expected {}", name, shortened(text), expected);
  }
}

}  // namespace

void ChatFlags::add(Command& command) {
  command.add(
      "--chat-template-kwargs", "JSON",
      [this](const std::string& name, const std::string& text) {
        constexpr const char* kExpected = "a JSON object such as {\"enable_thinking\": false}";
        if (!parse_value(name, text, kExpected).is_object())
          throw Error("[{}] is '{}', expected {}", name, shortened(text), kExpected);
        chat_template_kwargs = text;
      },
      "variables of the chat template, such as {\"enable_thinking\": false}");
  command.add(
      "--tools", "FILE",
      [this](const std::string& name, const std::string& path) {
        constexpr const char* kExpected = "a file with a JSON list of tools";
        std::string text;
        try {
          text = read_file(path);
        } catch (const Error& e) {
          throw Error("[{}] {}", name, e.what());
        }
        if (!parse_value(name, text, kExpected).is_array())
          throw Error("[{}] {} holds no list, expected {}", name, path, kExpected);
        tools = text;
      },
      "file with a JSON list of tools for the chat template");
}

void ChatFlags::complete(Prompt& prompt) const {
  if (prompt.messages.empty() && prompt.messages_json.empty()) return;
  if (prompt.chat_template_kwargs_json.empty()) prompt.chat_template_kwargs_json = chat_template_kwargs;
  if (prompt.tools_json.empty()) prompt.tools_json = tools;
}

}  // namespace reprise::cli
