// Continues a text twice, once streamed and once as a batch of several prompts.
//   generate MODEL TEXT
#include <reprise/reprise.h>

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: generate MODEL TEXT\n";
    return 2;
  }
  try {
    reprise::LanguageModel model = reprise::LanguageModel::load({.model = argv[1]});
    reprise::Prompt prompt{.text = argv[2]};
    prompt.sampling.temperature = 0;
    prompt.sampling.max_tokens = 32;

    std::cout << argv[2];
    model.generate({prompt}, [](const reprise::StreamEvent& event) {
      std::cout << event.text << std::flush;
      return true;  // false would end this output
    });
    std::cout << "\n";

    // The same prompt among others gives the same tokens, bit for bit.
    for (const reprise::Result& result : model.generate({prompt, {.text = "Hello"}, prompt})) {
      if (!result.error.empty()) throw std::runtime_error(result.error);
      std::cout << result.outputs[0].token_ids.size() << " tokens, " << result.outputs[0].finish_reason
                << "\n";
    }
  } catch (const std::exception& e) {
    std::cerr << "generate: error: " << e.what() << "\n";
    return 1;
  }
}
