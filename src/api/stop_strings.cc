#include "api/stop_strings.h"

#include <algorithm>
#include <utility>

namespace reprise::api {
namespace {

// Length of the longest end of `text` that is a true beginning of `stop`.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  return 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings, bool include)
    : strings_(std::move(strings)), include_(include) {
  std::erase_if(strings_, [](const std::string& s) { return s.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (matched_) return {};
  if (strings_.empty()) return std::string(text);
  std::string all = std::exchange(held_, {});
  all += text;
  size_t cut = std::string::npos;  // the earliest match wins; of two at one place, the shorter
  size_t cut_length = 0;
  for (const std::string& stop : strings_) {
    const size_t at = all.find(stop);
    if (at == std::string::npos || at > cut || (at == cut && stop.size() >= cut_length)) continue;
    cut = at;
    cut_length = stop.size();
  }
  if (cut != std::string::npos) {
    matched_ = true;
    return all.substr(0, cut + (include_ ? cut_length : 0));
  }
  size_t hold = 0;
  for (const std::string& stop : strings_) hold = std::max(hold, overlap(all, stop));
  // A held end may begin inside a character only if a stop string does; keep whole characters together.
  while (hold < all.size() && (static_cast<unsigned char>(all[all.size() - hold]) & 0xC0) == 0x80) ++hold;
  held_ = all.substr(all.size() - hold);
  all.resize(all.size() - hold);
  return all;
}

std::string StopStrings::flush() {
  return std::exchange(held_, {});
}

}  // namespace reprise::api
