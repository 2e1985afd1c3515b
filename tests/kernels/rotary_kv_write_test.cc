// The fused kernel against its parts, at every level (the emulated one as well) and in every cut. More shapes
// are in tests/ops.
#include "kernels/cpu/rotary_kv_write.h"

#include <gtest/gtest.h>

#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/rotary.h"
#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

constexpr int64_t kTokenCount = 5, kBlockSize = 16;
constexpr StepSizes kSizes{.tokens = kTokenCount, .seqs = 2};

// norm, where there is one, then rotation, of `heads` heads.
Bytes turned(DType dtype, const RotaryKvWriteScalars& s, int64_t heads, const Bytes& x, const Bytes& norm,
             const Bytes& cos, const Bytes& sin) {
  const Bytes empty = poison(dtype, kTokenCount * heads * s.head_dim);
  Bytes normed = x;
  if (!norm.empty()) {
    const NormScalars scalars{.dim = s.head_dim, .eps = s.eps};
    const Call call{.sizes = kSizes,
                    .items = kTokenCount * heads,
                    .storage = {x, norm, empty},
                    .scalars = Call::scalar_bytes(scalars)};
    normed = run_everywhere(pick(&VecTable::rms_norm, dtype), call)[2];
  }
  const RotaryScalars scalars{.heads = heads,
                              .head_dim = s.head_dim,
                              .rot_dim = s.rot_dim,
                              .x_stride = heads * s.head_dim,
                              .y_stride = heads * s.head_dim,
                              .interleaved = s.interleaved,
                              .round_products = s.round_products};
  const Call call{.sizes = kSizes,
                  .items = kTokenCount * heads,
                  .storage = {normed, cos, sin, empty},
                  .scalars = Call::scalar_bytes(scalars)};
  return run_everywhere(pick(&VecTable::rotary, dtype), call)[3];
}

void check(DType dtype, const RotaryKvWriteScalars& s, bool normed, bool tabled) {
  const int64_t half = s.rot_dim / 2;
  const auto elements = [&](int64_t count, uint32_t seed) {
    return to_bytes(dtype, random_values(dtype, count, seed));
  };
  const auto floats = [](int64_t count, uint32_t seed) {
    return to_bytes(DType::f32, random_values(DType::f32, count, seed));
  };
  const Bytes q = elements(kTokenCount * s.heads * s.head_dim, 1);
  const Bytes k = elements(kTokenCount * s.kv_heads * s.head_dim, 2);
  const Bytes v = elements(kTokenCount * s.kv_heads * s.head_dim, 3);
  const Bytes q_norm = normed ? floats(s.head_dim, 4) : Bytes{};
  const Bytes k_norm = normed ? floats(s.head_dim, 5) : Bytes{};
  const Bytes cos = floats(40 * half, 6), sin = floats(40 * half, 7);
  const std::vector<int32_t> positions =
      tabled ? std::vector<int32_t>{39, 0, 7, 7, 20} : std::vector<int32_t>{0, 1, 2, 3, 4};
  const Bytes slots = int_bytes({16 + 3, 5, 32, 47, 31});  // the second is a padding row
  const int64_t cache = 3 * kv_block_elements(dtype, s.kv_heads, s.head_dim, kBlockSize);
  const Bytes keys = elements(cache, 8), values = elements(cache, 9);

  const Call fused{
      .sizes = kSizes,
      .items = rotary_kv_write_dims(s).items.eval(kSizes),
      .storage = {q, k, v, q_norm, k_norm, cos, sin, int_bytes(positions), slots, keys, values,
                  poison(dtype, kTokenCount * s.heads * s.head_dim)},
      .pointers = {0, 1, 2, normed ? 3 : -1, normed ? 4 : -1, 5, 6, tabled ? 7 : -1, 8, 9, 10, 11},
      .scalars = Call::scalar_bytes(s)};
  const auto result = run_everywhere(pick(&VecTable::rotary_kv_write, dtype), fused);

  Bytes token_cos, token_sin;
  const auto row_bytes = half * static_cast<int64_t>(sizeof(float));
  for (int32_t position : positions) {
    const int64_t from = position * row_bytes;
    token_cos.insert(token_cos.end(), cos.begin() + from, cos.begin() + from + row_bytes);
    token_sin.insert(token_sin.end(), sin.begin() + from, sin.begin() + from + row_bytes);
  }
  EXPECT_TRUE(result[11] == turned(dtype, s, s.heads, q, q_norm, token_cos, token_sin));
  const KvWriteScalars write{.kv_heads = s.kv_heads,
                             .head_dim = s.head_dim,
                             .block_size = kBlockSize,
                             .k_stride = s.kv_heads * s.head_dim,
                             .v_stride = s.kv_heads * s.head_dim};
  const Call plain{
      .sizes = kSizes,
      .items = kTokenCount * s.kv_heads,
      .storage = {turned(dtype, s, s.kv_heads, k, k_norm, token_cos, token_sin), v, slots, keys, values},
      .scalars = Call::scalar_bytes(write)};
  const auto written = run_everywhere(pick(&VecTable::kv_write, dtype), plain);
  EXPECT_TRUE(result[9] == written[3]);
  EXPECT_TRUE(result[10] == written[4]);
}

TEST(RotaryKvWriteTest, IsItsParts) {
  for (DType dtype : kActivations)
    for (bool interleaved : {false, true})
      for (bool normed : {false, true})
        for (bool tabled : {false, true})
          for (int64_t rot_dim : {10, 18}) {
            SCOPED_TRACE(::testing::Message()
                         << name_of(dtype) << " interleaved " << interleaved << " normed " << normed
                         << " tabled " << tabled << " rot_dim " << rot_dim);
            check(dtype,
                  {.heads = 4,
                   .kv_heads = 2,
                   .head_dim = 18,
                   .rot_dim = rot_dim,
                   .block_size = kBlockSize,
                   .interleaved = interleaved,
                   .round_products = !interleaved,
                   .eps = 1e-6f},
                  normed, tabled);
          }
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing
