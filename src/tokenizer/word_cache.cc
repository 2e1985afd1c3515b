#include "tokenizer/word_cache.h"

#include <algorithm>

namespace reprise::tokenizer {

WordCache& WordCache::of_this_thread(uint64_t instance) {
  constexpr size_t kTokenizersAThread = 3;
  struct Entry {
    uint64_t instance;
    std::unique_ptr<WordCache> cache;
  };
  thread_local std::vector<Entry> entries;  // the one used last is the first
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.instance == instance; });
  if (found == entries.end()) {
    if (entries.size() == kTokenizersAThread) entries.pop_back();
    entries.insert(entries.begin(), Entry{instance, std::make_unique<WordCache>()});
  } else {
    std::rotate(entries.begin(), found, found + 1);
  }
  return *entries.front().cache;
}

}  // namespace reprise::tokenizer
