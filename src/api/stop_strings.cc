#include "api/stop_strings.h"

#include <algorithm>
#include <utility>

namespace reprise::api {

StopSet::StopSet(const std::vector<std::string>& strings) {
  for (const std::string& string : strings) {
    if (string.empty()) continue;
    Pattern pattern{.text = string, .border = std::vector<uint32_t>(string.size(), 0)};
    for (size_t i = 1; i < string.size(); ++i) {
      uint32_t length = pattern.border[i - 1];
      while (length > 0 && string[length] != string[i]) length = pattern.border[length - 1];
      pattern.border[i] = length + (string[length] == string[i] ? 1 : 0);
    }
    patterns_.push_back(std::move(pattern));
  }
}

StopFinder::StopFinder(std::shared_ptr<const StopSet> set)
    : set_(std::move(set)), matched_(set_->patterns_.size(), 0) {}

std::optional<StopFinder::Match> StopFinder::read(std::string_view piece, bool counts) {
  for (const char c : piece) {
    ++length_;
    std::string_view longest;
    for (size_t i = 0; i < matched_.size(); ++i) {
      const StopSet::Pattern& pattern = set_->patterns_[i];
      uint32_t length = matched_[i];
      while (length > 0 && pattern.text[length] != c) length = pattern.border[length - 1];
      if (pattern.text[length] == c) ++length;
      if (length == pattern.text.size()) {
        if (counts && length > longest.size()) longest = pattern.text;
        length = pattern.border[length - 1];
      }
      matched_[i] = length;
    }
    if (!longest.empty()) return Match{length_ - longest.size(), longest};
  }
  held_ = matched_.empty() ? 0 : *std::max_element(matched_.begin(), matched_.end());
  return std::nullopt;
}

}  // namespace reprise::api
