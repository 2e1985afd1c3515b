// Fills vec_table.h for the level of the including file: REPRISE_VEC_NAME is its name as a
// string.
#pragma once

#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/elementwise_inl.h"
#include "kernels/cpu/gather_inl.h"
#include "kernels/cpu/kv_write_inl.h"
#include "kernels/cpu/loop_inl.h"
#include "kernels/cpu/norm_inl.h"
#include "kernels/cpu/rotary_inl.h"
#include "kernels/cpu/rotary_kv_write_inl.h"
#include "kernels/cpu/softmax_inl.h"
#include "kernels/cpu/vec_table.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

static constexpr VecTable kTable = {
#define REPRISE_VEC_PAIR(name, body, ...)                                            \
  .name = {{#name "_f32_" REPRISE_VEC_NAME, body<float __VA_OPT__(, ) __VA_ARGS__>}, \
           {#name "_bf16_" REPRISE_VEC_NAME, body<Bf16 __VA_OPT__(, ) __VA_ARGS__>}},
#define REPRISE_VEC_F32(name) .name = {#name "_" REPRISE_VEC_NAME, name},
#include "kernels/cpu/vec_kernels.inc"
};

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
