// Answers lines of JSON on standard input as `reprise tokenizer --batch` does, for the two kinds that need no
// template: the oracle can run without the command-line program. Usage: tokenizer_batch DIR
#include <iostream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/tokenizer.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tokenizer_batch DIR\n";
    return 2;
  }
  try {
    const auto tokenizer = reprise::tokenizer::Tokenizer::load(argv[1]);
    std::string line;
    while (std::getline(std::cin, line)) {
      reprise::Json answer;
      try {
        const reprise::Json request = reprise::parse_json(line, "a line");
        if (request.contains("text")) {
          answer["token_ids"] =
              tokenizer.encode(request["text"].get<std::string>(), request.value("add_special_tokens", true));
        } else {
          answer["text"] = tokenizer.decode(request["token_ids"].get<std::vector<int32_t>>(),
                                            request.value("skip_special_tokens", true));
        }
      } catch (const std::exception& error) {
        answer["error"] = error.what();
      }
      std::cout << reprise::to_json_text(answer) << '\n';
    }
  } catch (const reprise::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
