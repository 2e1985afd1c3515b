// Stop strings in text that arrives in pieces, against a search of the whole text so far after every piece:
// the same text comes out, the match is found with the piece that completes it, and no more is held back than
// what may still become a stop string (and the character in which that begins).
//
// The input: up to 8 stop strings, each ended by a zero byte (an empty one ends the list), then a byte (odd:
// the stop string stays in the text) and the text. The pieces are 1 to 16 bytes long, as the text's own bytes
// say.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/stop_strings.h"
#include "fuzz/amplify.h"

namespace {

// Above this much text only the outcome is compared: the naive search after every piece is quadratic.
constexpr size_t kMostForEveryPiece = 2000;

struct Match {
  size_t begin = std::string_view::npos;
  size_t length = 0;
};

// The match that begins first; of two at one place, the shorter.
Match first_match(std::string_view text, const std::vector<std::string>& stops) {
  Match first;
  for (const std::string& stop : stops) {
    const size_t at = text.find(stop);
    if (at == std::string_view::npos) continue;
    if (at < first.begin || (at == first.begin && stop.size() < first.length)) first = {at, stop.size()};
  }
  return first;
}

// Bytes at the end of `text` that begin a stop string, and those of the character in which they begin.
size_t bytes_to_hold(std::string_view text, const std::vector<std::string>& stops) {
  size_t hold = 0;
  for (const std::string& stop : stops)
    for (size_t length = 1; length < stop.size() && length <= text.size(); ++length)
      if (text.ends_with(std::string_view(stop).substr(0, length))) hold = std::max(hold, length);
  while (hold < text.size() && (static_cast<unsigned char>(text[text.size() - hold]) & 0xC0) == 0x80) ++hold;
  return hold;
}

void check(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string input = reprise::fuzz::amplified(data, size);
  std::string_view text = input;
  std::vector<std::string> stops;
  while (stops.size() < 8) {
    const size_t end = text.find('\0');
    if (end == std::string_view::npos) break;
    std::string stop(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (stop.empty()) break;
    if (stop.size() > 300) stop.resize(300);
    stops.push_back(std::move(stop));
  }
  if (text.empty()) return 0;
  const bool include = text[0] & 1;
  text.remove_prefix(1);

  reprise::api::StopStrings stop_strings(stops, include);
  std::string out;
  size_t at = 0;
  while (at < text.size() && !stop_strings.matched()) {
    const size_t piece = std::min<size_t>(1 + (static_cast<unsigned char>(text[at]) & 15), text.size() - at);
    out += stop_strings.push(text.substr(at, piece));
    at += piece;
    if (text.size() > kMostForEveryPiece) continue;
    const std::string_view so_far = text.substr(0, at);
    check(stop_strings.matched() == (first_match(so_far, stops).begin != std::string_view::npos));
    if (!stop_strings.matched()) check(out == so_far.substr(0, at - bytes_to_hold(so_far, stops)));
  }
  const Match match = first_match(text.substr(0, at), stops);
  check(stop_strings.matched() == (match.begin != std::string_view::npos));
  out += stop_strings.flush();
  check(out == (stop_strings.matched() ? text.substr(0, match.begin + (include ? match.length : 0)) : text));
  check(!stop_strings.matched() || stop_strings.push("more").empty());
  return 0;
}
