// Stop strings in text that arrives in pieces, against a search at every byte of the whole text: the same
// match is found wherever the pieces are cut, and as many bytes are held back as may begin a stop string.
//
// The input: up to 8 stop strings, each ended by a zero byte (an empty one ends the list), then a byte
// (how many pieces don't count yet) and the text. The pieces are 1 to 16 bytes long, as the text's own
// bytes say.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/stop_strings.h"
#include "fuzz/amplify.h"
#include "fuzz/stop_reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string input = fuzz::amplified(data, size);
  std::string_view text = input;
  const std::vector<std::string> stops = fuzz::take_stops(text);
  if (text.empty()) return 0;
  size_t ignored_pieces = static_cast<unsigned char>(text[0]) & 7;
  text.remove_prefix(1);

  api::StopFinder finder(std::make_shared<const api::StopSet>(stops));
  size_t at = 0;
  while (at < text.size()) {
    const size_t piece = std::min<size_t>(1 + (static_cast<unsigned char>(text[at]) & 15), text.size() - at);
    const bool counts = ignored_pieces == 0;
    if (ignored_pieces > 0) --ignored_pieces;
    const auto match = finder.read(text.substr(at, piece), counts);
    const fuzz::Match expected = counts ? fuzz::first_match(text, at, at + piece, stops) : fuzz::Match();
    fuzz::check(match.has_value() == expected.found());
    if (match) {
      fuzz::check(match->begin == expected.begin && match->text == expected.stop);
      return 0;
    }
    at += piece;
    fuzz::check(finder.held() == fuzz::bytes_to_hold(text.substr(0, at), stops));
  }
  return 0;
}
