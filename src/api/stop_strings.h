// Finds stop strings in text that arrives in pieces, and holds back what could still become one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace reprise::api {

// One output, one thread.
class StopStrings {
 public:
  // Empty strings are ignored. `include`: a found stop string stays in the text.
  StopStrings(std::vector<std::string> strings, bool include);

  // Takes more text; returns what is now certain to belong to the output. After a match, text is cut at it
  // and all that follows is dropped.
  std::string push(std::string_view text);
  // What was held back, at the end of the output.
  std::string flush();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> strings_;
  bool include_;
  bool matched_ = false;
  std::string held_;  // the longest end of the text that begins a stop string
};

}  // namespace reprise::api
