// How the texts of a GGUF byte-level vocabulary are cut into words: the names of tokenizer.ggml.pre
// (docs/tokenizers.md lists them).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reprise::tokenizer {

// What one or more names of tokenizer.ggml.pre mean.
struct GgufPre {
  std::span<const std::string_view> names;
  std::span<const char* const> patterns;  // applied one after the other; each isolates its matches
  bool nfc = false;                       // characters are composed first
  bool ignore_merges = false;             // a word that is a token is that token
  bool add_bos = false;                   // where the file does not say
};

// An empty name is "default". Throws Error for an unknown one; the message lists the known.
const GgufPre& find_gguf_pre(std::string_view name);

}  // namespace reprise::tokenizer
