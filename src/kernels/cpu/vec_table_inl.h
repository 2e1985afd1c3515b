// Fills vec_table.h for the level that the including file stands for: REPRISE_VEC_NAME is its name as a
// string.
#pragma once

#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/elementwise_inl.h"
#include "kernels/cpu/gather_inl.h"
#include "kernels/cpu/kv_write_inl.h"
#include "kernels/cpu/norm_inl.h"
#include "kernels/cpu/rotary_inl.h"
#include "kernels/cpu/rotary_kv_write_inl.h"
#include "kernels/cpu/softmax_inl.h"
#include "kernels/cpu/vec_table.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

static constexpr VecTable kTable = {
    .rms_norm = {{"rms_norm_f32_" REPRISE_VEC_NAME, rms_norm<float>},
                 {"rms_norm_bf16_" REPRISE_VEC_NAME, rms_norm<Bf16>}},
    .add_rms_norm = {{"add_rms_norm_f32_" REPRISE_VEC_NAME, add_rms_norm<float>},
                     {"add_rms_norm_bf16_" REPRISE_VEC_NAME, add_rms_norm<Bf16>}},
    .layer_norm = {{"layer_norm_f32_" REPRISE_VEC_NAME, layer_norm<float>},
                   {"layer_norm_bf16_" REPRISE_VEC_NAME, layer_norm<Bf16>}},
    .rotary = {{"rotary_f32_" REPRISE_VEC_NAME, rotary<float>},
               {"rotary_bf16_" REPRISE_VEC_NAME, rotary<Bf16>}},
    .rotary_kv_write = {{"rotary_kv_write_f32_" REPRISE_VEC_NAME, rotary_kv_write<float>},
                        {"rotary_kv_write_bf16_" REPRISE_VEC_NAME, rotary_kv_write<Bf16>}},
    .add = {{"add_f32_" REPRISE_VEC_NAME, binary<float, Add>},
            {"add_bf16_" REPRISE_VEC_NAME, binary<Bf16, Add>}},
    .mul = {{"mul_f32_" REPRISE_VEC_NAME, binary<float, Mul>},
            {"mul_bf16_" REPRISE_VEC_NAME, binary<Bf16, Mul>}},
    .silu = {{"silu_f32_" REPRISE_VEC_NAME, unary<float, Silu>},
             {"silu_bf16_" REPRISE_VEC_NAME, unary<Bf16, Silu>}},
    .gelu = {{"gelu_f32_" REPRISE_VEC_NAME, unary<float, Gelu>},
             {"gelu_bf16_" REPRISE_VEC_NAME, unary<Bf16, Gelu>}},
    .gelu_tanh = {{"gelu_tanh_f32_" REPRISE_VEC_NAME, unary<float, GeluTanh>},
                  {"gelu_tanh_bf16_" REPRISE_VEC_NAME, unary<Bf16, GeluTanh>}},
    .scale = {{"scale_f32_" REPRISE_VEC_NAME, scale<float>}, {"scale_bf16_" REPRISE_VEC_NAME, scale<Bf16>}},
    .silu_mul = {{"silu_mul_f32_" REPRISE_VEC_NAME, gated<float, Silu>},
                 {"silu_mul_bf16_" REPRISE_VEC_NAME, gated<Bf16, Silu>}},
    .gelu_mul = {{"gelu_mul_f32_" REPRISE_VEC_NAME, gated<float, Gelu>},
                 {"gelu_mul_bf16_" REPRISE_VEC_NAME, gated<Bf16, Gelu>}},
    .gelu_tanh_mul = {{"gelu_tanh_mul_f32_" REPRISE_VEC_NAME, gated<float, GeluTanh>},
                      {"gelu_tanh_mul_bf16_" REPRISE_VEC_NAME, gated<Bf16, GeluTanh>}},
    .gather_rows = {{"gather_rows_f32_" REPRISE_VEC_NAME, gather_rows<float>},
                    {"gather_rows_bf16_" REPRISE_VEC_NAME, gather_rows<Bf16>}},
    .kv_write = {{"kv_write_f32_" REPRISE_VEC_NAME, kv_write<float>},
                 {"kv_write_bf16_" REPRISE_VEC_NAME, kv_write<Bf16>}},
    .paged_attention = {{"paged_attention_f32_" REPRISE_VEC_NAME, paged_attention<float>},
                        {"paged_attention_bf16_" REPRISE_VEC_NAME, paged_attention<Bf16>}},
    .attention_merge = {{"attention_merge_f32_" REPRISE_VEC_NAME, attention_merge<float>},
                        {"attention_merge_bf16_" REPRISE_VEC_NAME, attention_merge<Bf16>}},
    .rotary_angles = {"rotary_angles_" REPRISE_VEC_NAME, rotary_angles},
    .log_sum_exp = {"log_sum_exp_" REPRISE_VEC_NAME, log_sum_exp},
    .log_softmax = {"log_softmax_" REPRISE_VEC_NAME, log_softmax},
    .argmax = {"argmax_" REPRISE_VEC_NAME, argmax},
};

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE
