// Runs a body once for each of its calls for memory (or for a thread), with that call refused, and once more
// with all later ones refused as well.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>

#include "core/error.h"
#include "tests/count_new.h"

namespace reprise {

#ifdef REPRISE_SANITIZED
inline constexpr int64_t kSlower = 5;  // a sanitizer's build runs so many times longer
#else
inline constexpr int64_t kSlower = 1;
#endif

// nlohmann::json takes memory in its destructor (json_value::destroy) and ends the process where it gets
// none; nothing outside of that library can catch it. For RefusedCalls: calls from there are spared.
bool in_json_destructor();

// What an exception of the code under test may say: that memory, or a thread, was refused.
inline bool says_memory(const std::string& message) {
  return message.find("memory") != std::string::npos || message.find("thread") != std::string::npos;
}

// Runs `action`; true where it ended well, false where it threw what memory that runs out may throw.
template <typename Action>
bool ends_well(Action&& action) {
  try {
    action();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const Error& error) {
    EXPECT_TRUE(says_memory(error.what())) << error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "neither bad_alloc nor Error: " << error.what();
  }
  return false;
}

// `body(at, all_after)` runs the code under test with RefusedCalls(at, all_after) and returns how many calls
// it saw; at = -1: none is refused. By default about `points` calls are tried, REPRISE_EVERY_CALL=1 tries
// all.
template <typename Body>
void sweep(const char* what, int64_t points, Body&& body) {
  const int64_t calls = body(-1, false);
  ASSERT_GT(calls, 0);
  const bool every = std::getenv("REPRISE_EVERY_CALL") != nullptr;
  const int64_t stride = every ? 1 : std::max<int64_t>(1, calls / std::max<int64_t>(1, points / kSlower));
  int64_t runs = 0;
  for (int64_t at = 0; at < calls; at += stride)
    for (const bool all_after : {false, true}) {
      SCOPED_TRACE(testing::Message() << what << ": call " << at << " of " << calls
                                      << (all_after ? " and all after it" : "") << " refused");
      body(at, all_after);
      ++runs;
      if (testing::Test::HasFailure()) return;
    }
  std::printf("%s: %lld calls, %lld runs with one of them refused\n", what, static_cast<long long>(calls),
              static_cast<long long>(runs));
}

}  // namespace reprise
