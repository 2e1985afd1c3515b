// The matmul in plain C++: for CPUs without AVX2, and the form of the contract that is easiest to read.
#include <math.h>

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

float widen(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}

void accumulate_f32(const float* x, const float* weights, int64_t k, float* sums) {
  for (int64_t i = 0; i < k; ++i)
    for (int c = 0; c < kPanel; ++c) sums[c] = fmaf(x[i], weights[i * kPanel + c], sums[c]);
}

// Beyond k the weights are zero, and so is x by the contract.
void accumulate_bf16(const uint16_t* x, const uint16_t* weights, int64_t k, float* sums) {
  for (int64_t i = 0; i < round_up(k, kPanel); ++i) {
    const float xi = i < k ? widen(x[i]) : 0.0f;
    for (int c = 0; c < kPanel; ++c) {
      const int64_t at = i / 32 * 1024 + c / 16 * 512 + i % 32 / 2 * 32 + c % 16 * 2 + i % 2;  // pack.h
      sums[c] = fmaf(xi, widen(weights[at]), sums[c]);
    }
  }
}

template <typename T, void (*kAccumulate)(const T*, const T*, int64_t, float*)>
void run_panels(const MatmulCall& call, int64_t begin, int64_t end, int64_t panel_bytes) {
  for (int64_t index = begin; index < end; ++index) {
    const Panel panel = find_panel(call, index, panel_bytes);
    for (int64_t row = 0; row < call.rows; ++row) {
      float sums[kPanel] = {};
      kAccumulate(static_cast<const T*>(call.x) + row * call.k, reinterpret_cast<const T*>(panel.weights),
                  call.k, sums);
      store_panel(panel, call.bf16_out, sums, row, 1);
    }
  }
}

}  // namespace

void matmul_f32_scalar(const MatmulCall& call, int64_t begin, int64_t end) {
  run_panels<float, accumulate_f32>(call, begin, end, call.k * kPanel * 4);
}

void matmul_bf16_scalar(const MatmulCall& call, int64_t begin, int64_t end) {
  run_panels<uint16_t, accumulate_bf16>(call, begin, end, round_up(call.k, kPanel) * kPanel * 2);
}

}  // namespace reprise::kernels::cpu
