// Byte-pair encoding by a ranked list of merges, as GPT-2 and tokenizer.json's "BPE" have it; also with byte
// fallback (Llama 2). Equal to the model `BPE` of the tokenizers library, ignore_merges, fuse_unk and affixes
// included.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tokenizer/merge.h"
#include "tokenizer/model.h"

namespace reprise::tokenizer {

struct BpeOptions {
  std::string unk_token;  // empty: characters without a token are dropped
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;  // a piece that is a token is that token
  bool byte_level = false;     // pieces come as raw bytes, tokens are written in the byte-level alphabet
};

class Bpe final : public Model {
 public:
  using Merge = std::pair<std::string_view, std::string_view>;

  // merges in order of rank. Throws Error (naming `what`) for a merge or an unknown token outside of the
  // vocabulary.
  Bpe(Vocab vocab, const std::vector<Merge>& merges, BpeOptions options, std::string_view what);

  const Vocab& vocab() const override { return vocab_; }
  void encode(std::string_view piece, std::vector<int32_t>& out) const override;
  std::string_view safe_cut() const override { return safe_cut_; }
  size_t most_bytes_of_an_id() const override;

 private:
  // Open addressing; left == kNoToken: free.
  struct PairSlot {
    int32_t left;
    int32_t right;
    uint32_t rank;
    int32_t id;
  };
  void insert_pair(int32_t left, int32_t right, MergeResult result);
  MergeResult find_pair(int32_t left, int32_t right) const;
  void split_bytes(std::string_view piece, std::vector<Symbol>& symbols) const;
  void split_characters(std::string_view piece, std::vector<Symbol>& symbols) const;
  bool add_byte_tokens(std::string_view text, std::vector<Symbol>& symbols) const;

  Vocab vocab_;
  BpeOptions options_;
  int32_t unk_id_ = kNoToken;
  std::vector<PairSlot> pairs_;
  std::array<int32_t, 256> byte_symbols_;  // byte_level: the token of each byte's character
  std::array<int32_t, 256> byte_tokens_;   // byte_fallback: the token <0xXX>
  Vocab raw_vocab_;                        // byte_level with ignore_merges: tokens as raw bytes...
  std::vector<int32_t> raw_ids_;           // ...and their ids
  std::string_view safe_cut_;
};

}  // namespace reprise::tokenizer
