// Token texts and their ids. Ids are 0..size-1 without a hole. Immutable once built, safe for many threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::tokenizer {

inline constexpr int32_t kNoToken = -1;

class Vocab {
 public:
  Vocab() = default;
  // tokens[id] is the text of id. Where a text occurs twice, `find` returns its last id.
  explicit Vocab(const std::vector<std::string>& tokens);

  int32_t size() const { return static_cast<int32_t>(spans_.size()); }
  std::string_view text(int32_t id) const { return {bytes_.data() + spans_[id].begin, spans_[id].length}; }
  // The id of `text`, or kNoToken.
  int32_t find(std::string_view text) const;
  // Bytes of the longest text.
  size_t longest() const;

 private:
  struct Span {
    size_t begin;
    size_t length;
  };
  std::string bytes_;             // all texts, one after the other
  std::vector<Span> spans_;       // by id
  std::vector<int32_t> buckets_;  // open addressing, a power of two, kNoToken where free
};

}  // namespace reprise::tokenizer
