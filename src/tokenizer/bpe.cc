#include "tokenizer/bpe.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/hash.h"
#include "tokenizer/scratch.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

void byte_token_text(unsigned char byte, char (&out)[7]) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const char text[7] = {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>', 0};
  std::copy(text, text + 7, out);
}

bool words_start_at_metaspace(const Vocab& vocab) {
  if (vocab.find(kMetaspace) == kNoToken) return false;
  for (int32_t id = 0; id < vocab.size(); ++id) {
    const std::string_view text = vocab.text(id);
    for (size_t at = text.find(kMetaspace); at != std::string_view::npos;
         at = text.find(kMetaspace, at + 3)) {
      if (at >= 3 && text.substr(at - 3, 3) != kMetaspace) return false;
      if (at > 0 && at < 3) return false;
    }
  }
  return true;
}

Bpe::Bpe(Vocab vocab, const std::vector<Merge>& merges, BpeOptions options, std::string_view what)
    : vocab_(std::move(vocab)), options_(std::move(options)) {
  if (!options_.unk_token.empty()) {
    unk_id_ = vocab_.find(options_.unk_token);
    if (unk_id_ == kNoToken) {
      throw Error("[{}] the unknown token \"{}\" is not in the vocabulary", what, options_.unk_token);
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    char text[7];
    byte_token_text(static_cast<unsigned char>(byte), text);
    byte_tokens_[byte] = vocab_.find(text);
    byte_symbols_[byte] = vocab_.find(byte_level_character(static_cast<unsigned char>(byte)));
  }
  pairs_.assign(std::bit_ceil(merges.size() * 2 + 1), PairSlot{kNoToken, kNoToken, 0, 0});
  const std::string& prefix = options_.continuing_subword_prefix;
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right] = merges[rank];
    joined = left;
    joined += right.substr(std::min(prefix.size(), right.size()));
    int32_t ids[3] = {vocab_.find(left), vocab_.find(right), vocab_.find(joined)};
    for (int k = 0; k < 3; ++k) {
      if (ids[k] == kNoToken) {
        throw Error("[{}] merge {} (\"{}\" + \"{}\") names \"{}\", which is not in the vocabulary", what,
                    rank, left, right,
                    k == 0   ? left
                    : k == 1 ? right
                             : std::string_view(joined));
      }
    }
    insert_pair(ids[0], ids[1], {static_cast<uint32_t>(rank), ids[2]});
  }
  const bool affixes = !prefix.empty() || !options_.end_of_word_suffix.empty();
  if (options_.byte_level && options_.ignore_merges) {
    std::vector<std::string> raw;
    for (int32_t id = 0; id < vocab_.size(); ++id) {
      if (auto bytes = from_byte_level(vocab_.text(id))) {
        raw.push_back(std::move(*bytes));
        raw_ids_.push_back(id);
      }
    }
    raw_vocab_ = Vocab(raw);
  }
  if (!options_.byte_level && !options_.ignore_merges && !affixes && words_start_at_metaspace(vocab_)) {
    safe_cut_ = kMetaspace;
  }
}

size_t Bpe::most_bytes_of_an_id() const {
  // Every text has ids when every byte has one.
  const auto& bytes = options_.byte_level ? byte_symbols_ : byte_tokens_;
  const bool complete = options_.byte_level || options_.byte_fallback;
  if (!complete || std::find(bytes.begin(), bytes.end(), kNoToken) != bytes.end()) return 0;
  return vocab_.longest();
}

void Bpe::insert_pair(int32_t left, int32_t right, MergeResult result) {
  size_t slot = hash_pair(left, right) & (pairs_.size() - 1);
  while (pairs_[slot].left != kNoToken && (pairs_[slot].left != left || pairs_[slot].right != right)) {
    slot = (slot + 1) & (pairs_.size() - 1);
  }
  pairs_[slot] = {left, right, result.rank, result.id};  // of equal pairs the last one counts
}

MergeResult Bpe::find_pair(int32_t left, int32_t right) const {
  size_t slot = hash_pair(left, right) & (pairs_.size() - 1);
  while (pairs_[slot].left != kNoToken) {
    if (pairs_[slot].left == left && pairs_[slot].right == right) return {pairs_[slot].rank, pairs_[slot].id};
    slot = (slot + 1) & (pairs_.size() - 1);
  }
  return {kNoRank, kNoToken};
}

bool Bpe::add_byte_tokens(std::string_view text, std::vector<Symbol>& symbols) const {
  for (const char c : text) {
    if (byte_tokens_[static_cast<unsigned char>(c)] == kNoToken) return false;
  }
  for (const char c : text) symbols.push_back({byte_tokens_[static_cast<unsigned char>(c)], 0, 1});
  return true;
}

namespace {

// Characters without a token: pending until a known one comes, so that neighbours can be fused into one.
// (That byte tokens do not flush it is a quirk of the library, kept.)
class PendingUnknown {
 public:
  PendingUnknown(int32_t id, bool fuse, std::vector<Symbol>& symbols)
      : id_(id), fuse_(fuse), symbols_(symbols) {}
  void add() {
    if (id_ == kNoToken) return;
    if (pending_ && !fuse_) flush();
    pending_ = true;
  }
  void flush() {
    if (pending_) symbols_.push_back({id_, 0, 1});
    pending_ = false;
  }

 private:
  int32_t id_;
  bool fuse_;
  bool pending_ = false;
  std::vector<Symbol>& symbols_;
};

}  // namespace

void Bpe::split_bytes(std::string_view piece, std::vector<Symbol>& symbols) const {
  PendingUnknown unknown(unk_id_, options_.fuse_unk, symbols);
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte_symbols_[byte] != kNoToken) {
      unknown.flush();
      symbols.push_back({byte_symbols_[byte], 0, 1});
    } else if (!options_.byte_fallback || !add_byte_tokens(byte_level_character(byte), symbols)) {
      unknown.add();
    }
  }
  unknown.flush();
}

void Bpe::split_characters(std::string_view piece, std::vector<Symbol>& symbols) const {
  PendingUnknown unknown(unk_id_, options_.fuse_unk, symbols);
  const bool affixes = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  std::string decorated;
  for (size_t at = 0; at < piece.size();) {
    std::string_view text = piece.substr(at, character_at(piece, at).length);
    const bool first = at == 0;
    at += text.size();
    if (affixes) {
      decorated.clear();
      if (!first) decorated += options_.continuing_subword_prefix;
      decorated += text;
      if (at == piece.size()) decorated += options_.end_of_word_suffix;
      text = decorated;
    }
    const int32_t id = vocab_.find(text);
    if (id != kNoToken) {
      unknown.flush();
      symbols.push_back({id, 0, 1});
    } else if (!options_.byte_fallback || !add_byte_tokens(text, symbols)) {
      unknown.add();
    }
  }
  unknown.flush();
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  if (options_.ignore_merges) {
    int32_t whole = kNoToken;
    if (options_.byte_level) {
      const int32_t raw = raw_vocab_.find(piece);
      if (raw != kNoToken) whole = raw_ids_[raw];
    } else {
      whole = vocab_.find(piece);
    }
    if (whole != kNoToken) {
      out.push_back(whole);
      return;
    }
  }
  thread_local std::vector<Symbol> symbols;
  const ScratchScope scope(symbols);
  if (options_.byte_level) {
    split_bytes(piece, symbols);
  } else {
    split_characters(piece, symbols);
  }
  merge_symbols(symbols,
                [this](const Symbol& left, const Symbol& right) { return find_pair(left.id, right.id); });
  for (const Symbol& symbol : symbols) out.push_back(symbol.id);
}

}  // namespace reprise::tokenizer
