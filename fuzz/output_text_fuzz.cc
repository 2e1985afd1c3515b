// The text of an output as its tokens arrive, against a reference that keeps what every token said and
// showed and searches all of it again after each token: the same stop string ends the text, the same text
// is shown, and after every token as much of it has come out as is certain.
//
// The input: stop strings as in stop_strings_fuzz.cc, then a byte of options (bits: leave out special
// tokens, keep the stop string; four for min_tokens; byte tokens instead of byte-level ones), then one byte a
// token. Tokens 0 to 255 are bytes; four of the control characters stand for special and added tokens.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/output_text.h"
#include "api/stop_strings.h"
#include "core/error.h"
#include "fuzz/amplify.h"
#include "fuzz/stop_reference.h"
#include "tests/tokenizer/byte_runs.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace {

using reprise::fuzz::check;
using reprise::tokenizer::StreamingDecoder;
using reprise::tokenizer::Tokenizer;

constexpr size_t kMostCompared = 100;  // tokens; the reference is quadratic
constexpr size_t kMostTokens = 20'000;

Tokenizer make_tokenizer(bool byte_tokens) {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text(reprise::tokenizer::byte_level_character(static_cast<unsigned char>(byte)));
    if (byte_tokens) text = fmt::format("<0x{:02X}>", byte);
    if (text == "\"" || text == "\\") text = "\\" + text;
    vocab += (byte == 0 ? "\"" : ",\"") + text + "\":" + std::to_string(byte);
  }
  return Tokenizer::from_json(
      R"({"model":{"type":"BPE","vocab":{)" + vocab +
          R"(},"merges":[]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
          R"("decoder":{"type":")" +
          (byte_tokens ? "ByteFallback" : "ByteLevel") +
          R"("},"added_tokens":[)"
          R"({"id":256,"content":"<s>","special":true},{"id":257,"content":"</s>","special":true},)"
          R"({"id":258,"content":"<think>","special":false},{"id":259,"content":"é<","special":true}]})",
      "fuzz");
}

int32_t token_of(unsigned char byte) {
  return byte >= 1 && byte <= 4 ? 255 + byte : byte;
}

// What each token added to the text said (all of it) and to the text shown.
struct Pieces {
  std::vector<std::string> said, shown;
  bool simple = true;  // every token shows what it says, or nothing
  size_t said_size = 0;

  void add(std::string said_piece, std::string shown_piece) {
    simple = simple && (shown_piece.empty() || shown_piece == said_piece);
    said_size += said_piece.size();
    said.push_back(std::move(said_piece));
    shown.push_back(std::move(shown_piece));
  }
  std::string all_said() const {
    std::string all;
    for (const std::string& piece : said) all += piece;
    return all;
  }
  // What is shown of the first `bytes` bytes said, less a character that would be cut.
  std::string shown_of(size_t bytes) const {
    std::string all;
    size_t end = 0;
    for (size_t i = 0; i < said.size() && end < bytes; ++i) {
      const size_t taken = std::min(said[i].size(), bytes - end);
      end += said[i].size();
      if (taken == said[i].size()) {
        all += shown[i];
      } else if (!shown[i].empty()) {
        size_t length = taken;
        while (length > 0 && (static_cast<unsigned char>(shown[i][length]) & 0xC0) == 0x80) --length;
        all += shown[i].substr(0, length);
      }
    }
    return all;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  static const Tokenizer byte_level = make_tokenizer(false), byte_fallback = make_tokenizer(true);
  const std::string input = fuzz::amplified(data, size);
  std::string_view rest = input;
  const std::vector<std::string> stops = fuzz::take_stops(rest);
  if (rest.empty()) return 0;
  const auto options = static_cast<unsigned char>(rest[0]);
  rest.remove_prefix(1);
  const bool skip = options & 1, include = options & 2;
  const int min_tokens = options >> 2 & 15;
  const Tokenizer& tokenizer = options & 64 ? byte_fallback : byte_level;

  api::OutputText output(&tokenizer, {.skip_special_tokens = skip,
                                      .stop = std::make_shared<const api::StopSet>(stops),
                                      .include_stop = include,
                                      .min_tokens = min_tokens});
  StreamingDecoder said(tokenizer, false), shown(tokenizer, skip);
  Pieces pieces;
  std::vector<int32_t> ids;
  std::string text;
  rest = rest.substr(0, kMostTokens);
  const bool compare = rest.size() <= kMostCompared;

  // After each token, and once more after the end.
  for (size_t i = 0; i <= rest.size(); ++i) {
    const bool end = i == rest.size();
    const size_t said_before = pieces.said_size;
    std::string piece;
    if (end) {
      pieces.add(said.flush(), shown.flush());
      piece = output.finish();
    } else {
      ids.push_back(token_of(static_cast<unsigned char>(rest[i])));
      pieces.add(said.push(ids.back()), shown.push(ids.back()));
      piece = output.push(ids.back());
    }
    check(tokenizer::is_valid_utf8(piece) || include);
    text += piece;
    if (!compare) {
      if (output.stopped()) return 0;
      continue;
    }
    const std::string all = pieces.all_said();
    const bool counts = static_cast<int>(ids.size()) > min_tokens;
    const fuzz::Match match = counts ? fuzz::first_match(all, said_before, all.size(), stops) : fuzz::Match();
    check(output.stopped() == match.found());
    if (match.found()) {
      const std::string expected = pieces.shown_of(match.begin) + (include ? std::string(match.stop) : "");
      if (pieces.simple) check(text == expected);
      check(output.push(65).empty() && output.finish().empty());
      return 0;
    }
    if (!end && pieces.simple) check(text == pieces.shown_of(all.size() - fuzz::bytes_to_hold(all, stops)));
  }
  check(text == tokenizer.decode(tokenizer::repair_byte_runs(tokenizer, ids, skip).ids, skip));
  return 0;
}
