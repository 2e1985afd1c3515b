// Ids of recent words: most words of a text occurred before, and a look-up is ten times cheaper than the
// merges. Each thread has a table of 1 MB for each of the tokenizers that it used last, so no locks are
// taken. A word is in one of two neighbouring slots of 64 bytes; words of more than kMostBytes bytes or more
// than 7 ids are not kept.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/hash.h"

namespace reprise::tokenizer {

class WordCache {
 public:
  // The calling thread's cache for the tokenizer with this instance number. A thread keeps the caches of the
  // few tokenizers it used last.
  static WordCache& of_this_thread(uint64_t instance);

  // Appends the ids of `word` when they are known.
  bool find(std::string_view word, uint64_t hash, std::vector<int32_t>& out) const {
    for (size_t way = 0; way < 2; ++way) {
      const Slot& slot = slots_[(hash ^ way) & kMask];
      if (slot.tag == static_cast<uint32_t>(hash >> 32) && slot.length == word.size() &&
          std::memcmp(slot.word, word.data(), word.size()) == 0) {
        out.insert(out.end(), slot.ids, slot.ids + slot.count);
        return true;
      }
    }
    return false;
  }

  void insert(std::string_view word, uint64_t hash, const int32_t* ids, size_t count) {
    if (count > kMostIds) return;
    // The new word takes the first slot; what was there moves to the second and replaces the older word.
    Slot& slot = slots_[hash & kMask];
    if (slot.length != 0) slots_[(hash ^ 1) & kMask] = slot;
    slot.tag = static_cast<uint32_t>(hash >> 32);
    slot.length = static_cast<uint8_t>(word.size());
    slot.count = static_cast<uint8_t>(count);
    std::memcpy(slot.word, word.data(), word.size());
    std::memcpy(slot.ids, ids, count * sizeof(int32_t));
  }

  static constexpr size_t kMostBytes = 30;

 private:
  static constexpr size_t kMostIds = 7;
  static constexpr size_t kSlots = size_t{1} << 14;
  static constexpr uint64_t kMask = kSlots - 1;
  struct alignas(64) Slot {
    uint32_t tag = 0;
    uint8_t length = 0;  // 0: free
    uint8_t count = 0;
    char word[kMostBytes];
    int32_t ids[kMostIds];
  };
  static_assert(sizeof(Slot) == 64);

  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

}  // namespace reprise::tokenizer
