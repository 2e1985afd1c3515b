#include "kernels/cpu/vec_table.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/rotary_kv_write.h"
#include "kernels/cpu/softmax.h"
#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

TEST(VecTableTest, GettersFollowLevelAndDtype) {
  EXPECT_EQ(rms_norm_kernel(Isa::scalar, DType::f32).name, "rms_norm_f32_scalar");
  EXPECT_EQ(rms_norm_kernel(Isa::avx2, DType::bf16).name, "rms_norm_bf16_avx2");
  EXPECT_EQ(silu_mul_kernel(Isa::avx512, DType::bf16).name, "silu_mul_bf16_avx512");
  EXPECT_EQ(gelu_mul_kernel(Isa::avx2, DType::f32).name, "gelu_mul_f32_avx2");
  EXPECT_EQ(rotary_kv_write_kernel(Isa::avx512, DType::f32).name, "rotary_kv_write_f32_avx512");
  EXPECT_EQ(paged_attention_kernel(Isa::avx512_bf16, DType::f32).name, "paged_attention_f32_avx512_bf16");
  EXPECT_EQ(paged_attention_kernel(Isa::avx512_bf16, DType::bf16).name, "paged_attention_bf16_avx512_bf16");
  EXPECT_EQ(paged_attention_kernel(Isa::amx, DType::bf16).name, "paged_attention_bf16_avx512");
  EXPECT_EQ(attention_merge_kernel(Isa::amx, DType::bf16).name, "attention_merge_bf16_avx512");
  EXPECT_EQ(argmax_kernel(Isa::avx2, DType::f32).name, "argmax_avx2");
  EXPECT_THROW(add_kernel(Isa::scalar, DType::i8), InternalError);
  EXPECT_THROW(log_sum_exp_kernel(Isa::scalar, DType::bf16), InternalError);
}

TEST(VecTableTest, TheEmulatedLevelIsThere) {
  if (vec_table_emulated() == nullptr)
    GTEST_SKIP() << "built without SIMDe (libsimde-dev): AVX-512 is not checked";
  EXPECT_EQ(vec_table_emulated()->add.f32.name, "add_f32_avx512_emulated");
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing
