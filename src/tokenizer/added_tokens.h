// Added tokens (special tokens and others that a text is cut at before the model sees it), with the flags and
// the order of the tokenizers library's AddedVocabulary: first the tokens with normalized=false are looked
// for in the raw text, then what lies between is normalized and the others are looked for there. Immutable
// once built, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/hash.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/plain_ranges.h"
#include "tokenizer/vocab.h"

namespace reprise::tokenizer {

struct AddedToken {
  int32_t id = kNoToken;
  std::string content;
  std::string text;  // what it decodes to: the content, normalized where the token is (set by AddedTokens)
  bool special = false;
  bool normalized = false;   // looked for in the normalized text, and itself normalized
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows the blanks on its left...
  bool rstrip = false;       // ...and on its right
};

class AddedTokens {
 public:
  AddedTokens() = default;
  AddedTokens(AddedTokens&&) = default;
  AddedTokens& operator=(AddedTokens&&) = default;
  // Tokens with ids already settled. `normalizer` may be null.
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer);

  // A part of a text: an added token, or text for the model (id == kNoToken).
  struct Part {
    int32_t id;
    size_t begin;
    size_t end;
  };
  // Calls visit(part) for each part of the text, in order. Special tokens that overlap `plain` are text.
  void split_raw(std::string_view text, const PlainRanges& plain, FunctionRef<void(Part)> visit) const {
    split(text, raw_, plain, visit);
  }
  void split_normalized(std::string_view text, const PlainRanges& plain,
                        FunctionRef<void(Part)> visit) const {
    split(text, normalized_, plain, visit);
  }
  // Some special token is looked for in the normalized text.
  bool has_normalized_special() const { return has_normalized_special_; }
  // Bytes of the longest token, and whether a match may cover more than the token itself (blanks beside it).
  size_t longest() const { return longest_; }
  bool swallows_blanks() const { return swallows_blanks_; }

  const AddedToken* find(int32_t id) const;
  const AddedToken* find(std::string_view content) const;
  bool is_special(int32_t id) const;
  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  void split(std::string_view text, const ByteTrie& trie, const PlainRanges& plain,
             FunctionRef<void(Part)> visit) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<int32_t, size_t> by_id_;
  std::unordered_map<std::string_view, size_t, SeededHash>
      by_content_;  // views into tokens_, which never changes
  ByteTrie raw_;
  ByteTrie normalized_;
  bool has_normalized_special_ = false;
  bool swallows_blanks_ = false;
  size_t longest_ = 0;
};

}  // namespace reprise::tokenizer
