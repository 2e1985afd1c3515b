// The parts of sampling.h that run over a whole vocabulary, on vectors: one table a level of the ISA, all
// with the same bits. What is left (selection among few candidates, the draw) is plain code in sampling.cc.
#pragma once

#include <cstdint>

namespace reprise::kernels::cpu {

struct SamplingBodies {
  static constexpr int64_t kBlock = 64;   // elements per maximum
  static constexpr int64_t kChunk = 512;  // elements per partial sum

  // maxima[i] = largest of x[i * kBlock ...]; NaN never wins; -infinity for a block of NaN.
  void (*block_maxima)(const float* x, int64_t n, float* maxima);
  // y = exp((x - shift) * scale), 0 where that is no number. x <= shift; y may be x.
  void (*exp_weights)(const float* x, int64_t n, float shift, float scale, float* y);
  // sums[i] = sum of w[i * kChunk ...] in 16 lanes and one tree.
  void (*chunk_sums)(const float* w, int64_t n, float* sums);
  // w = 0 where w < least
  void (*drop_below)(float* w, int64_t n, float least);
};

const SamplingBodies& sampling_bodies_scalar();
const SamplingBodies& sampling_bodies_avx2();
const SamplingBodies& sampling_bodies_avx512();

}  // namespace reprise::kernels::cpu
