#include "tokenizer/unigram.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "tokenizer/scratch.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

constexpr double kUnknownPenalty = 10.0;
constexpr uint32_t kUnreached = UINT32_MAX;

// The best way found so far to end at some byte.
struct Node {
  double score = 0;
  uint32_t begin = kUnreached;
  int32_t id = kNoToken;
};

ByteTrie make_trie(const Vocab& vocab) {
  std::vector<std::pair<std::string, int32_t>> keys;
  keys.reserve(vocab.size());
  for (int32_t id = 0; id < vocab.size(); ++id) keys.emplace_back(vocab.text(id), id);
  return ByteTrie(std::move(keys));
}

}  // namespace

Unigram::Unigram(Vocab vocab, std::vector<double> scores, int32_t unk_id, bool byte_fallback)
    : vocab_(std::move(vocab)),
      scores_(std::move(scores)),
      trie_(make_trie(vocab_)),
      unk_id_(unk_id),
      byte_fallback_(byte_fallback) {
  REPRISE_CHECK(scores_.size() == static_cast<size_t>(vocab_.size()), "{} scores for {} tokens",
                scores_.size(), vocab_.size());
  double lowest = std::numeric_limits<double>::infinity();
  for (const double score : scores_) lowest = std::min(lowest, score);
  unk_score_ = lowest - kUnknownPenalty;
  for (int byte = 0; byte < 256; ++byte) {
    char text[7];
    byte_token_text(static_cast<unsigned char>(byte), text);
    byte_tokens_[byte] = vocab_.find(text);
  }
}

size_t Unigram::most_bytes_of_an_id() const {
  const bool complete =
      byte_fallback_ && std::find(byte_tokens_.begin(), byte_tokens_.end(), kNoToken) == byte_tokens_.end();
  return complete ? vocab_.longest() : 0;
}

void Unigram::encode(std::string_view piece, std::vector<int32_t>& out) const {
  thread_local std::vector<Node> ends;
  const ScratchScope ends_scope(ends);
  ends.assign(piece.size() + 1, Node{});
  for (size_t at = 0; at < piece.size();) {
    const double here = ends[at].score;
    const auto first = static_cast<size_t>(character_at(piece, at).length);
    bool single = false;
    const auto offer = [&](size_t length, double score, int32_t id) {
      Node& node = ends[at + length];
      if (node.begin == kUnreached || score > node.score) node = {score, static_cast<uint32_t>(at), id};
    };
    trie_.for_each_prefix(piece.substr(at), [&](size_t length, int32_t id) {
      offer(length, scores_[id] + here, id);
      single |= length == first;
    });
    if (!single) {
      if (unk_id_ == kNoToken) {
        throw Error("[tokenizer] \"{}\" needs an unknown token, and the Unigram model has none (unk_id)",
                    piece.substr(at, first));
      }
      offer(first, unk_score_ + here, unk_id_);
    }
    at += first;
  }
  // Walk back from the end, then emit forwards; a run of unknowns counts as one text.
  thread_local std::vector<uint32_t> cuts;
  const ScratchScope cuts_scope(cuts);
  bool previous_unknown = false;
  for (auto end = static_cast<uint32_t>(piece.size()); end > 0; end = ends[end].begin) {
    const bool unknown = unk_id_ != kNoToken && ends[end].id == unk_id_;
    if (!(unknown && previous_unknown)) cuts.push_back(end);
    previous_unknown = unknown;
  }
  uint32_t begin = 0;
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    emit(piece.substr(begin, *cut - begin), out);
    begin = *cut;
  }
}

void Unigram::emit(std::string_view text, std::vector<int32_t>& out) const {
  const int32_t id = vocab_.find(text);
  if (id != kNoToken) {
    out.push_back(id);
    return;
  }
  if (byte_fallback_ && std::all_of(text.begin(), text.end(), [&](char c) {
        return byte_tokens_[static_cast<unsigned char>(c)] != kNoToken;
      })) {
    for (const char c : text) out.push_back(byte_tokens_[static_cast<unsigned char>(c)]);
    return;
  }
  out.push_back(unk_id_);
}

}  // namespace reprise::tokenizer
