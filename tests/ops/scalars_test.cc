// Recordings are compared byte by byte: what an op's launches keep of their scalars must not depend on what
// lay in memory before.
#include <gtest/gtest.h>

#include <cstring>

#include "tests/ops/op_cases.h"

namespace reprise::ops::testing {
namespace {

// Leaves this byte where the frames of the next calls will lie.
[[gnu::noinline]] void fill_stack(int byte) {
  volatile char frame[16 << 10];
  std::memset(const_cast<char*>(frame), byte, sizeof(frame));
  asm volatile("" : : "r"(frame) : "memory");
}

TEST(ScalarsTest, AreTheSameBytesWhateverTheStackHeld) {
  for_all_cases([](const OpCase& op, Isa isa) {
    fill_stack(0x00);
    const Bytes first = record_scalars(op, isa);
    fill_stack(0xff);
    const Bytes second = record_scalars(op, isa);
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(first, second);
  });
}

}  // namespace
}  // namespace reprise::ops::testing
