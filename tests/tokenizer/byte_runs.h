// The naive reference for streamed text of vocabularies with byte fallback: where a run of byte tokens is not
// valid UTF-8, each bad byte is replaced by the three byte tokens of U+FFFD. Decoding those ids as a whole
// gives what the streaming decoder must give for the ids as they were. Also used by the fuzzers.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

// The byte of <0x0A> and its like.
inline std::optional<char> byte_of_token(const Tokenizer& tokenizer, int32_t id) {
  const auto text = tokenizer.id_to_token(id);
  unsigned byte = 0;
  if (!text || text->size() != 6 || std::sscanf(std::string(*text).c_str(), "<0x%2X>", &byte) != 1) return {};
  return static_cast<char>(byte);
}

struct ByteRuns {
  std::vector<int32_t> ids;  // with U+FFFD for each bad byte; without ids that are left out
  bool valid = true;         // there was none
  size_t unfinished = 0;     // bytes at the end that may still become a character; not among the ids
};

// `tokenizer` has all 256 byte tokens, or none. `more_follows`: an unfinished character at the end is not
// bad.
inline ByteRuns repair_byte_runs(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                                 bool skip_special_tokens, bool more_follows = false) {
  ByteRuns runs;
  std::string bytes;
  std::vector<int32_t> tokens;
  const auto end_run = [&](bool at_end) {
    for (size_t at = 0; at < bytes.size();) {
      size_t length = 1;
      while (length <= 4 && !is_valid_utf8(bytes.substr(at, length))) ++length;
      if (length <= 4 && at + length <= bytes.size()) {
        runs.ids.insert(runs.ids.end(), tokens.begin() + at, tokens.begin() + at + length);
        at += length;
        continue;
      }
      // Some character begins with all that is left?
      if (at_end && more_follows && bytes.size() - at < 4) {
        std::string begun = bytes.substr(at);
        for (const char* rest :
             {"\x80", "\xA0", "\x90", "\x80\x80", "\xA0\x80", "\x90\x80", "\x80\x80\x80", "\x90\x80\x80"}) {
          if (!is_valid_utf8(begun + rest)) continue;
          runs.unfinished = begun.size();
          at = bytes.size();
          break;
        }
        if (at == bytes.size()) break;
      }
      for (const char* byte : {"<0xEF>", "<0xBF>", "<0xBD>"})
        runs.ids.push_back(*tokenizer.token_to_id(byte));
      runs.valid = false;
      ++at;
    }
    bytes.clear();
    tokens.clear();
  };
  for (const int32_t id : ids) {
    if (!tokenizer.id_to_token(id) || (skip_special_tokens && tokenizer.is_special(id))) continue;
    if (const auto byte = byte_of_token(tokenizer, id)) {
      bytes += *byte;
      tokens.push_back(id);
      continue;
    }
    end_run(false);
    runs.ids.push_back(id);
  }
  end_run(true);
  return runs;
}

}  // namespace reprise::tokenizer
