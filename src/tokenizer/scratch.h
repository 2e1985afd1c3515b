// Scratch memory of a thread that is kept from call to call, up to a limit.
#pragma once

#include <cstddef>
#include <vector>

namespace reprise::tokenizer {

// Empties `list`, a thread-local vector, for the scope; at its end the memory is freed where it grew beyond 1
// MiB, so that one huge text doesn't hold memory for as long as its thread lives.
template <typename T>
class ScratchScope {
 public:
  explicit ScratchScope(std::vector<T>& list) : list_(list) { list_.clear(); }
  ~ScratchScope() {
    constexpr size_t kMostKept = size_t{1} << 20;
    if (list_.capacity() * sizeof(T) > kMostKept) std::vector<T>().swap(list_);
  }
  ScratchScope(const ScratchScope&) = delete;
  ScratchScope& operator=(const ScratchScope&) = delete;

 private:
  std::vector<T>& list_;
};

}  // namespace reprise::tokenizer
