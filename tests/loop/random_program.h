// Random programs that verify() takes, and random numbers for them, from a seed or from the bytes of a fuzzer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "loop/program.h"

namespace reprise::loop {

// Where choices come from. Bytes that are used up count as zeros, the plainest choice everywhere.
class Choices {
 public:
  explicit Choices(uint64_t seed) : random_(seed), seeded_(true) {}
  explicit Choices(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // 0 to `count` - 1; count 1 to 65536.
  uint32_t below(uint32_t count);
  bool one_in(uint32_t count) { return below(count) == count - 1; }
  template <typename T, size_t kCount>
  T one_of(const T (&all)[kCount]) {
    return all[below(static_cast<uint32_t>(kCount))];
  }

 private:
  std::mt19937_64 random_;
  bool seeded_ = false;
  std::span<const uint8_t> bytes_;
};

// All codes, 1 to 15 buffers, locals, chains and trees, up to five sections, of which reductions join some.
// copysign takes its sign from no NaN: that sign is left open.
Program random_program(Choices& choices);

// A number of moderate size; mostly, where `special`: NaN, infinity, -0, denormal, huge, tiny, or any bits.
float random_number(Choices& choices, bool special);

// What a launch needs around a program: its buffers with guard bytes before and after each.
class Buffers {
 public:
  static constexpr size_t kGuard = 64;

  // Reads get random numbers, special ones in about one element of 16, if `special`; writes a pattern.
  Buffers(const Program& program, int64_t rows, Choices& choices, bool special);

  // For KernelContext::buffers.
  std::span<std::byte* const> pointers() const { return pointers_; }
  // Output `out` lies where input `in` does from now on.
  void share(int out, int in) { pointers_[static_cast<size_t>(out)] = pointers_[static_cast<size_t>(in)]; }
  Buffers(const Buffers& other);
  Buffers& operator=(const Buffers&) = delete;

  // "", or the first element of an output that is not the same here and there (same_bits.h), or a guard that
  // was written to, or an input that was though no output lies there.
  std::string difference(const Program& program, const Buffers& other, int64_t rows) const;

 private:
  std::byte* begin_of(size_t buffer) { return bytes_[buffer].data() + kGuard; }

  std::vector<std::vector<std::byte>> bytes_;
  std::vector<std::byte*> pointers_;
};

}  // namespace reprise::loop
