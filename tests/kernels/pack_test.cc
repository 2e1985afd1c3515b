// Packing: every element where the layout says, padding zero, rows in any cut, and embeddings out of the same
// panels.
#include "kernels/cpu/pack.h"

#include <gtest/gtest.h>

#include "kernels/cpu/embedding.h"
#include "tests/kernels/matmul_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

uint16_t half_at(const std::byte* packed, size_t index) {
  uint16_t value;
  std::memcpy(&value, packed + index * 2, 2);
  return value;
}

class Pack : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(Pack, Bf16Layout) {
  const auto [n, k] = GetParam();
  const Matrix w = Matrix::random(DType::bf16, n, k, 1);
  const auto source = w.bytes(DType::bf16);
  const size_t bytes = packed_bytes(DType::bf16, n, k);
  const int64_t blocks = (k + 31) / 32;
  ASSERT_EQ(bytes, static_cast<size_t>((n + 31) / 32 * blocks * 2048));
  Aligned packed(bytes), from_floats(bytes), in_parts(bytes);
  const auto* halves = reinterpret_cast<const uint16_t*>(source.data());
  pack_rows(DType::bf16, halves, 0, n, n, k, packed.data);
  pack_rows(DType::bf16, w.values.data(), 0, n, n, k, from_floats.data);
  for (int64_t n0 = 0; n0 < n; n0 += 32)
    pack_rows(DType::bf16, halves + n0 * k, n0, std::min(n, n0 + 32), n, k, in_parts.data);
  EXPECT_EQ(0, std::memcmp(packed.data, from_floats.data, bytes));
  EXPECT_EQ(0, std::memcmp(packed.data, in_parts.data, bytes));
  for (int64_t r = 0; r < (n + 31) / 32 * 32; ++r)
    for (int64_t i = 0; i < blocks * 32; ++i) {
      const auto at = static_cast<size_t>((r / 32 * blocks + i / 32) * 1024 + r % 32 / 16 * 512 +
                                          i % 32 / 2 * 32 + r % 16 * 2 + i % 2);
      const uint16_t expected = r < n && i < k ? halves[r * k + i] : uint16_t{0};
      ASSERT_EQ(half_at(packed.data, at), expected) << "row " << r << " k " << i;
    }
}

TEST_P(Pack, F32Layout) {
  const auto [n, k] = GetParam();
  const Matrix w = Matrix::random(DType::bf16, n, k, 2);
  const size_t bytes = packed_bytes(DType::f32, n, k);
  ASSERT_EQ(bytes, static_cast<size_t>((n + 31) / 32 * k * 128));
  Aligned packed(bytes), from_halves(bytes);
  const auto halves = w.bytes(DType::bf16);
  pack_rows(DType::f32, w.values.data(), 0, n, n, k, packed.data);
  pack_rows(DType::f32, reinterpret_cast<const uint16_t*>(halves.data()), 0, n, n, k, from_halves.data);
  EXPECT_EQ(0, std::memcmp(packed.data, from_halves.data, bytes));
  const auto* values = reinterpret_cast<const float*>(packed.data);
  for (int64_t r = 0; r < (n + 31) / 32 * 32; ++r)
    for (int64_t i = 0; i < k; ++i)
      ASSERT_EQ(values[(r / 32 * k + i) * 32 + r % 32], r < n ? w.at(r, i) : 0.0f)
          << "row " << r << " k " << i;
}

TEST_P(Pack, EmbeddingFindsRows) {
  const auto [n, k] = GetParam();
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Matrix w = Matrix::random(dtype, n, k, 3);
    const auto source = w.bytes(dtype);
    Aligned packed(packed_bytes(dtype, n, k));
    if (dtype == DType::f32)
      pack_rows(dtype, w.values.data(), 0, n, n, k, packed.data);
    else
      pack_rows(dtype, reinterpret_cast<const uint16_t*>(source.data()), 0, n, n, k, packed.data);
    // The last two are out of range: zeros.
    std::vector<int32_t> ids = {0, static_cast<int32_t>(n - 1), static_cast<int32_t>(n / 2),
                                static_cast<int32_t>(n), -1};
    const size_t row_bytes = static_cast<size_t>(k) * size_of(dtype);
    std::vector<std::byte> out(ids.size() * row_bytes, std::byte{0x77});
    std::byte* buffers[] = {reinterpret_cast<std::byte*>(ids.data()), packed.data, out.data()};
    const EmbeddingScalars scalars{.vocab = n, .k = k};
    const KernelContext context{.sizes = {.tokens = 5, .seqs = 1},
                                .buffers = buffers,
                                .scalars = &scalars,
                                .scratch = nullptr,
                                .worker = 0};
    embedding_kernel(dtype).run(context, 0, 2);
    embedding_kernel(dtype).run(context, 2, 5);
    const std::vector<std::byte> zeros(row_bytes);
    for (size_t t = 0; t < ids.size(); ++t) {
      const std::byte* expected =
          t < 3 ? source.data() + static_cast<size_t>(ids[t]) * row_bytes : zeros.data();
      ASSERT_EQ(0, std::memcmp(out.data() + t * row_bytes, expected, row_bytes)) << "token " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Pack,
    ::testing::Values(std::pair<int64_t, int64_t>{1, 1}, std::pair<int64_t, int64_t>{32, 32},
                      std::pair<int64_t, int64_t>{33, 31}, std::pair<int64_t, int64_t>{64, 96},
                      std::pair<int64_t, int64_t>{95, 70}, std::pair<int64_t, int64_t>{40, 129}));

}  // namespace
}  // namespace reprise::kernels::cpu::testing
