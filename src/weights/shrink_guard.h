// Survives a mapped file that loses pages while they are read (it was cut, or its disk failed). The system
// raises SIGBUS then, which would end the process; with a guard the lost pages read as zeros, and lost() says
// so. Reading through a copy would need no signal handler, but would double the memory traffic of loading.
#pragma once

#include <cstddef>

namespace reprise::weights {

// Guards one mapping from construction to destruction. The first guard of the process installs a handler of
// SIGBUS, which passes on every signal that has nothing to do with a guarded mapping.
class ShrinkGuard {
 public:
  // `data`: as mmap returned it.
  ShrinkGuard(const std::byte* data, size_t size);
  ~ShrinkGuard();
  ShrinkGuard(const ShrinkGuard&) = delete;
  ShrinkGuard& operator=(const ShrinkGuard&) = delete;

  // Zeros were read in place of lost pages. Any thread.
  bool lost() const;

  struct Range;  // what the handler sees

 private:
  Range* range_;
};

}  // namespace reprise::weights
