#include "tests/kernels/vec_cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <random>

#include "core/thread_team.h"
#include "device/cpu/isa_select.h"

namespace reprise::kernels::cpu::testing {

const std::vector<Level>& levels() {
  static const std::vector<Level> all = [] {
    std::vector<Level> found = {{"scalar", &vec_table_scalar()}};
    for (Isa isa : reprise::cpu::available_isas()) {
      if (isa == Isa::avx2) found.push_back({"avx2", &vec_table_avx2()});
      if (isa == Isa::avx512) found.push_back({"avx512", &vec_table_avx512()});
      if (isa == Isa::avx512_bf16) found.push_back({"avx512_bf16", &vec_table_avx512_bf16()});
    }
    if (vec_table_emulated() != nullptr) found.push_back({"avx512 emulated", vec_table_emulated()});
    return found;
  }();
  return all;
}

std::vector<float> random_values(DType dtype, int64_t count, uint32_t seed, float spread) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = normal(generator);
    if (dtype == DType::bf16) v = bf16_to_f32(f32_to_bf16(v));
  }
  return values;
}

Bytes to_bytes(DType dtype, const std::vector<float>& values) {
  Bytes bytes(values.size() * size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = f32_to_bf16(values[i]);
    if (dtype == DType::bf16)
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    else
      std::memcpy(bytes.data() + 4 * i, &values[i], 4);
  }
  return bytes;
}

std::vector<float> to_floats(DType dtype, const Bytes& bytes) {
  std::vector<float> values(bytes.size() / size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t half = 0;
    if (dtype == DType::bf16) {
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      values[i] = bf16_to_f32(half);
    } else {
      std::memcpy(&values[i], bytes.data() + 4 * i, 4);
    }
  }
  return values;
}

Bytes int_bytes(const std::vector<int32_t>& values) {
  Bytes bytes(values.size() * sizeof(int32_t));
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

Bytes poison(DType dtype, int64_t count) {
  return Bytes(static_cast<size_t>(count) * size_of(dtype), std::byte{0xff});
}

void run(const Kernel& kernel, Call& call, uint32_t cut) {
  std::vector<std::byte*> pointers;
  if (call.pointers.empty()) {
    for (Bytes& bytes : call.storage) pointers.push_back(bytes.data());
  } else {
    for (int i : call.pointers)
      pointers.push_back(i < 0 ? nullptr : call.storage[static_cast<size_t>(i)].data());
  }
  struct Scratch {
    alignas(64) std::byte bytes[KernelContext::kScratchBytes];
  };
  static const std::unique_ptr<Scratch> scratch(new Scratch);
  const KernelContext context{.sizes = call.sizes,
                              .buffers = pointers.data(),
                              .scalars = call.scalars.data(),
                              .scratch = scratch->bytes,
                              .worker = 0};
  std::vector<std::pair<int64_t, int64_t>> ranges;
  std::mt19937 generator(cut);
  for (int64_t begin = 0; begin < call.items;) {
    const int64_t left = call.items - begin;
    const int64_t longest = std::max<int64_t>(1, call.items / 3);
    const int64_t length = cut == 0 ? left : std::min(left, 1 + static_cast<int64_t>(generator()) % longest);
    ranges.emplace_back(begin, begin + length);
    begin += length;
  }
  std::shuffle(ranges.begin(), ranges.end(), generator);
  FlushDenormals flush;
  std::fill(std::begin(scratch->bytes), std::end(scratch->bytes), std::byte{0xff});
  for (const auto& [begin, end] : ranges) kernel.run(context, begin, end);
}

Pick pick(KernelPair VecTable::*pair, DType dtype) {
  return [=](const VecTable& table) -> const Kernel& {
    return dtype == DType::f32 ? (table.*pair).f32 : (table.*pair).bf16;
  };
}

Pick pick(Kernel VecTable::*kernel) {
  return [=](const VecTable& table) -> const Kernel& { return table.*kernel; };
}

std::vector<Bytes> run_everywhere(const Pick& pick, const Call& call) {
  std::vector<Bytes> expected;
  for (const Level& level : levels()) {
    for (uint32_t cut : {0u, 1u, 2u}) {
      Call copy = call;
      run(pick(*level.table), copy, cut);
      if (expected.empty()) expected = copy.storage;
      for (size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(copy.storage[i] == expected[i]) << level.name << " cut " << cut << " buffer " << i;
    }
  }
  return expected;
}

}  // namespace reprise::kernels::cpu::testing
