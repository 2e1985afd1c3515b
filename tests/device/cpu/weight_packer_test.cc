// What the packer takes and how it reads it; where elements go is tested with the kernels (pack_test.cc).
#include "device/cpu/weight_packer.h"

#include <gmock/gmock.h>

#include <cstring>
#include <vector>

#include "core/error.h"
#include "kernels/cpu/pack.h"

namespace reprise {
namespace {

TEST(CpuWeightPacker, PacksAsTheKernelsRead) {
  const CpuWeightPacker packer;
  EXPECT_EQ(packer.packing_of(DType::f32), kF32Panels);
  EXPECT_EQ(packer.packing_of(DType::bf16), kBf16Panels);
  try {
    packer.packing_of(DType::i8);
    ADD_FAILURE() << "a packing of int8";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("weights in int8 have no kernels on the CPU"));
  }
}

// From f32 and bf16 to both, the latter at any address.
TEST(CpuWeightPacker, TakesRowsAsTheyAreStored) {
  constexpr int64_t n = 37, k = 35;
  std::vector<uint16_t> bf16(n * k);
  for (size_t i = 0; i < bf16.size(); ++i) bf16[i] = f32_to_bf16(static_cast<float>(i % 97) - 48.0f);
  std::vector<float> f32(bf16.size());
  for (size_t i = 0; i < f32.size(); ++i) f32[i] = bf16_to_f32(bf16[i]);
  std::vector<std::byte> odd(bf16.size() * 2 + 1);
  std::memcpy(odd.data() + 1, bf16.data(), bf16.size() * 2);
  const StoredRows stored[] = {{DType::f32, reinterpret_cast<const std::byte*>(f32.data()), 0, n},
                               {DType::bf16, reinterpret_cast<const std::byte*>(bf16.data()), 0, n},
                               {DType::bf16, odd.data() + 1, 0, n}};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const CpuWeightPacker packer;
    const Packing packing = packer.packing_of(dtype);
    std::vector<std::byte> expected(packed_size(packing, {n, k}).bytes());
    kernels::cpu::pack_rows(dtype, f32.data(), 0, n, n, k, expected.data());
    for (const StoredRows& rows : stored) {
      std::vector<std::byte> stream(expected.size());
      packer.pack_rows(packing, rows, n, k, stream.data());
      EXPECT_EQ(stream, expected) << name_of(rows.dtype) << " to " << name_of(dtype);
    }
  }
}

}  // namespace
}  // namespace reprise
