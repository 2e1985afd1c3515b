// SentencePiece's BPE as GGUF files carry it ("llama"): no list of merges, but a score a token; the
// neighbouring pair whose joined text is the token of highest score is joined first. After llama.cpp's SPM
// tokenizer. Characters without a token become byte tokens, or the unknown token.
#pragma once

#include <array>
#include <vector>

#include "tokenizer/merge.h"
#include "tokenizer/model.h"

namespace reprise::tokenizer {

class ScoreBpe final : public Model {
 public:
  // scores[id] of each token, finite. unk_id may be kNoToken: characters without any token are dropped.
  ScoreBpe(Vocab vocab, const std::vector<float>& scores, int32_t unk_id);

  const Vocab& vocab() const override { return vocab_; }
  void encode(std::string_view piece, std::vector<int32_t>& out) const override;
  std::string_view safe_cut() const override { return safe_cut_; }
  size_t most_bytes_of_an_id() const override;

 private:
  Vocab vocab_;
  std::vector<uint32_t> ranks_;  // by id: position of its score among the distinct scores, highest first
  int32_t unk_id_;
  std::array<int32_t, 256> byte_tokens_;
  std::string_view safe_cut_;
};

}  // namespace reprise::tokenizer
