#include "tokenizer/score_bpe.h"

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "tokenizer/scratch.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

ScoreBpe::ScoreBpe(Vocab vocab, const std::vector<float>& scores, int32_t unk_id)
    : vocab_(std::move(vocab)), unk_id_(unk_id) {
  REPRISE_CHECK(scores.size() == static_cast<size_t>(vocab_.size()), "{} scores for {} tokens", scores.size(),
                vocab_.size());
  std::vector<float> order = scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  for (const float score : scores) {
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
    ranks_.push_back(static_cast<uint32_t>(place - order.begin()));
  }
  for (int byte = 0; byte < 256; ++byte) {
    char text[7];
    byte_token_text(static_cast<unsigned char>(byte), text);
    byte_tokens_[byte] = vocab_.find(text);
  }
  if (words_start_at_metaspace(vocab_)) safe_cut_ = kMetaspace;
}

size_t ScoreBpe::most_bytes_of_an_id() const {
  const bool complete = std::find(byte_tokens_.begin(), byte_tokens_.end(), kNoToken) == byte_tokens_.end();
  return complete ? vocab_.longest() : 0;
}

void ScoreBpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  thread_local std::vector<Symbol> symbols;
  const ScratchScope scope(symbols);
  for (size_t at = 0; at < piece.size();) {
    const auto length = static_cast<uint32_t>(character_at(piece, at).length);
    symbols.push_back({vocab_.find(piece.substr(at, length)), static_cast<uint32_t>(at), length});
    at += length;
  }
  merge_symbols(symbols, [&](const Symbol& left, const Symbol& right) {
    const int32_t id = vocab_.find(piece.substr(left.begin, left.length + right.length));
    return id == kNoToken ? MergeResult{kNoRank, kNoToken} : MergeResult{ranks_[id], id};
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNoToken) {
      out.push_back(symbol.id);
      continue;
    }
    for (const char c : piece.substr(symbol.begin, symbol.length)) {
      const int32_t byte = byte_tokens_[static_cast<unsigned char>(c)];
      if (byte != kNoToken) {
        out.push_back(byte);
      } else if (unk_id_ != kNoToken) {
        out.push_back(unk_id_);
      }
    }
  }
}

}  // namespace reprise::tokenizer
