// Counts heap allocations of a test program that links count_new.cc, which replaces operator new, and refuses
// them on demand: what memory that runs out does to the code under test.
#pragma once

#include <cstdint>

namespace reprise {

int64_t allocations();  // so far, of all threads

// While one exists, call number `at` (0: the next) is refused, or that one and all after it: operator new
// throws std::bad_alloc (the nothrow forms return null). Counts calls of all threads, refused ones among
// them. Other resources join in by asking refuse_call(). One at a time.
class RefusedCalls {
 public:
  // `spared`: asked before a call is refused; where true, it is not (it still counts).
  RefusedCalls(int64_t at, bool all_after, bool (*spared)() = nullptr);
  ~RefusedCalls();
  RefusedCalls(const RefusedCalls&) = delete;
  RefusedCalls& operator=(const RefusedCalls&) = delete;
  int64_t seen() const;
};
bool refuse_call();

// On this thread, calls of the test itself are neither counted by RefusedCalls nor refused.
class CallsAllowed {
 public:
  CallsAllowed();
  ~CallsAllowed();
  CallsAllowed(const CallsAllowed&) = delete;
  CallsAllowed& operator=(const CallsAllowed&) = delete;
};

}  // namespace reprise
