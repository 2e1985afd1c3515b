// Renders JSON lines, for tools/oracle/template_oracle.py: each line of standard input is
// {"template": "...", "context": {...}} and answers {"prompt": "..."} or {"error": "..."}. A template given
// once is used again by the lines that leave it out.
#include <iostream>
#include <optional>

#include "core/json.h"
#include "tokenizer/jinja/chat_template.h"

int main() {
  using reprise::Json;
  std::ios::sync_with_stdio(false);
  std::optional<reprise::tokenizer::ChatTemplate> chat;
  std::string failure = "no template given";
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      Json request = reprise::parse_json(line, "a line of standard input");
      if (request.contains("template")) {
        chat.reset();
        try {
          chat = reprise::tokenizer::ChatTemplate::parse(request["template"].get<std::string>());
        } catch (const std::exception& error) {
          failure = error.what();
        }
      }
      if (chat)
        answer["prompt"] = chat->render(request.value("context", Json::object()));
      else
        answer["error"] = failure;
    } catch (const std::exception& error) {
      answer["error"] = error.what();
    }
    std::cout << reprise::to_json_text(answer) << "\n";
  }
}
