// What the tests of the kernels on vec.h share: the levels that can run here, data, and a run over any cut of
// the work items.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/launch.h"
#include "kernels/cpu/vec_table.h"

namespace reprise::kernels::cpu {

// AVX-512 by SIMDe; null where the tests were built without it.
const VecTable* vec_table_emulated();

namespace testing {

struct Level {
  std::string name;
  const VecTable* table;
};

// Scalar first, then what this machine runs, then the emulated AVX-512.
const std::vector<Level>& levels();

using Bytes = std::vector<std::byte>;

// Normally distributed numbers that the dtype holds exactly.
std::vector<float> random_values(DType dtype, int64_t count, uint32_t seed, float spread = 1);
Bytes to_bytes(DType dtype, const std::vector<float>& values);
std::vector<float> to_floats(DType dtype, const Bytes& bytes);
Bytes int_bytes(const std::vector<int32_t>& values);
// Room for `count` elements, filled with NaN.
Bytes poison(DType dtype, int64_t count);

struct Call {
  StepSizes sizes = {};
  int64_t items = 0;
  std::vector<Bytes> storage = {};
  std::vector<int> pointers = {};  // buffer i of the kernel is storage[pointers[i]], null where -1; empty:
                                   // buffer i = storage[i]
  Bytes scalars = {};

  template <typename T>
  static Bytes scalar_bytes(const T& value) {
    Bytes bytes(sizeof(T));
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
};

// Runs the items in one range (cut = 0) or in shuffled ranges of random lengths, with scratch full of NaN and
// denormals flushed as the stream has it.
void run(const Kernel& kernel, Call& call, uint32_t cut);

using Pick = std::function<const Kernel&(const VecTable&)>;
Pick pick(KernelPair VecTable::*pair, DType dtype);
Pick pick(Kernel VecTable::*kernel);

// Runs the call at every level and in several cuts, expects the same bits in every buffer, and returns the
// buffers.
std::vector<Bytes> run_everywhere(const Pick& pick, const Call& call);

inline constexpr DType kActivations[] = {DType::f32, DType::bf16};
// One rounding to the dtype of a value of this size, relative.
constexpr double rounding(DType dtype) {
  return dtype == DType::f32 ? 6.0e-8 : 3.92e-3;
}

}  // namespace testing
}  // namespace reprise::kernels::cpu
