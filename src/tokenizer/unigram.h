// Unigram language model (Kudo 2018): the segmentation of highest total score, by Viterbi over the prefixes
// in the vocabulary. Equal to the model `Unigram` of the tokenizers library (its `encode_optimized`): ties
// keep the first path found, neighbouring unknown characters are fused, an unknown scores 10 below the lowest
// token.
#pragma once

#include <array>
#include <vector>

#include "tokenizer/byte_trie.h"
#include "tokenizer/model.h"

namespace reprise::tokenizer {

class Unigram final : public Model {
 public:
  // unk_id may be kNoToken: encoding a text that needs it is an Error.
  Unigram(Vocab vocab, std::vector<double> scores, int32_t unk_id, bool byte_fallback);

  const Vocab& vocab() const override { return vocab_; }
  void encode(std::string_view piece, std::vector<int32_t>& out) const override;
  size_t most_bytes_of_an_id() const override;

 private:
  void emit(std::string_view text, std::vector<int32_t>& out) const;

  Vocab vocab_;
  std::vector<double> scores_;
  ByteTrie trie_;
  double unk_score_ = 0;
  int32_t unk_id_;
  bool byte_fallback_;
  std::array<int32_t, 256> byte_tokens_;
};

}  // namespace reprise::tokenizer
