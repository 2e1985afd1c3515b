// Model code at random: ops on whatever there is, with the patterns that passes look for and their near
// misses. Runs under the tracer like a model's forward pass.
#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu/pack.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {

// Heads and cache are those of step_config(); weights live as long as the program.
class RandomProgram {
 public:
  RandomProgram(uint64_t seed, DType dtype, const models::ForwardInput& input)
      : random_(seed), dtype_(dtype), input_(input) {}

  std::vector<NamedTensor> operator()() {
    const Tensor ids = ops::embedding(input_.token_ids, matrix(kVocab, kHidden));
    pool_.push_back(ids);
    pool_.push_back(linear(ids, kHeads * kHeadDim));
    const int count = 6 + pick(18);
    for (int i = 0; i < count; ++i) step();
    std::vector<NamedTensor> outputs = {{"last", pool_.back()}};
    for (int i = pick(3); i > 0; --i) outputs.push_back({fmt::format("also.{}", i), any()});
    pool_.clear();  // handles of a trace don't outlive it
    return outputs;
  }

 private:
  static constexpr int64_t kVocab = 101, kHidden = 72, kHeads = 6, kKvHeads = 2, kHeadDim = 16;

  int pick(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  bool maybe() { return pick(2) == 0; }
  float real() { return static_cast<float>(random_() % 2001) / 1000.0f - 1.0f; }

  Tensor vector(int64_t n, float center) {
    const Tensor tensor = weights_.allocate(DType::f32, Shape{n});
    for (int64_t i = 0; i < n; ++i) tensor.as<float>()[i] = center + 0.25f * real();
    return tensor;
  }
  Tensor matrix(int64_t n, int64_t k) {
    std::vector<float> rows(static_cast<size_t>(n * k));
    for (float& value : rows) value = 0.2f * real();
    const Tensor packed = weights_.allocate(dtype_, Shape{n, k}, kernels::cpu::packing_of(dtype_));
    kernels::cpu::pack_rows(dtype_, rows.data(), 0, n, n, k, packed.data());
    return packed;
  }
  // A constant vector that is computed, for folding.
  Tensor bias(int64_t n) {
    switch (pick(4)) {
      case 0:
        return vector(n, 0);
      case 1:
        return ops::silu(ops::gelu(vector(n, 0)));
      default:
        return {};
    }
  }
  Tensor linear(const Tensor& x, int64_t n) {
    return ops::matmul(x, matrix(n, x.shape[1].constant), bias(n), dtype_);
  }
  Tensor norm(const Tensor& x, int64_t dim, double eps = 1e-5) {
    return ops::rms_norm(x, vector(dim, 1), eps);
  }
  Tensor activated(const Tensor& x) {
    switch (pick(3)) {
      case 0:
        return ops::silu(x);
      case 1:
        return ops::gelu(x);
      default:
        return ops::gelu_tanh(x);
    }
  }

  const Tensor& any() { return pool_[static_cast<size_t>(pick(static_cast<int>(pool_.size())))]; }
  // One with a row for each token: there is at least the embedding.
  Tensor of_tokens() {
    for (;;)
      if (const Tensor& x = any(); x.shape[0] == kTokens) return x;
  }
  Tensor like(const Tensor& x) {
    for (int tries = 0; tries < 8; ++tries)
      if (const Tensor& y = any(); y.shape == x.shape) return y;
    return x;
  }
  ops::RotaryAngles angles() {
    if (frequencies_.empty() || pick(6) == 0) frequencies_.push_back(vector(kHeadDim / 2, 0.5f));
    return ops::rotary_angles(input_.positions, input_.rope_lengths, frequencies_.back(),
                              {.rot_dim = kHeadDim,
                               .dynamic = pick(5) == 0,
                               .factor = 2,
                               .original_max = 16,
                               .rounded_to = maybe() ? dtype_ : DType::f32});
  }

  void step() {
    const Tensor x = any();
    const int64_t width = x.shape[1].constant;
    switch (pick(12)) {
      case 0:
        pool_.push_back(activated(x));
        break;
      case 1:
        pool_.push_back(ops::add(x, like(x)));
        break;
      case 2:  // normed, so that nothing overflows however often it comes
        pool_.push_back(ops::mul(like(x), norm(x, width)));
        break;
      case 3:
        pool_.push_back(norm(x, width % kHeadDim == 0 && maybe() ? kHeadDim : width));
        break;
      case 4:
        pool_.push_back(ops::layer_norm(x, vector(width, 1), maybe() ? vector(width, 0) : Tensor{}, 1e-5));
        break;
      case 5:
        for (int i = 1 + pick(5); i > 0; --i) {
          pool_.push_back(linear(x, maybe() ? width : 32));
          if (pick(3) == 0) pool_.push_back(activated(pool_.back()));
        }
        break;
      case 6:
        if (x.shape[0] == kTokens) pool_.push_back(ops::gather_rows(x, input_.logit_rows));
        break;
      case 7:
        gated(x);
        break;
      case 8:
        residual(x);
        break;
      case 9:
        twice(x);
        break;
      default:
        attention();
    }
  }

  void gated(const Tensor& x) {
    const Tensor gate = linear(x, 32);
    const Tensor active = activated(gate);
    const Tensor up = pick(4) == 0 ? gate : linear(x, 32);
    pool_.push_back(maybe() ? ops::mul(active, up) : ops::mul(up, active));
    if (pick(4) == 0) pool_.push_back(active);
  }

  void residual(const Tensor& x) {
    const Tensor sum = ops::add(like(x), x);
    if (maybe()) pool_.push_back(sum);
    pool_.push_back(norm(sum, x.shape[1].constant));
  }

  void twice(const Tensor& x) {
    const Tensor weight = vector(x.shape[1].constant, 1);
    pool_.push_back(ops::rms_norm(x, weight, 1e-5));
    pool_.push_back(ops::rms_norm(x, weight, maybe() ? 1e-5 : 1e-6));
  }

  Tensor turned(const Tensor& x, const ops::RotaryAngles& angles, bool rounded) {
    const bool normed = maybe();
    const Tensor y = normed ? norm(x, kHeadDim, maybe() ? 1e-5 : 1e-6) : x;
    if (normed && pick(6) == 0) pool_.push_back(y);
    return ops::rotary(y, angles, kHeadDim, ops::RotaryStyle::half, rounded);
  }

  void attention() {
    const Tensor x = of_tokens();
    const models::PagedKvView& kv = *input_.kv;
    const models::KvLayer& layer = kv.layers[static_cast<size_t>(pick(2))];
    const ops::AttentionParams params{.heads = kHeads,
                                      .kv_heads = kKvHeads,
                                      .head_dim = kHeadDim,
                                      .scale = 0.25,
                                      .window = maybe() ? 0 : 5,
                                      .block_size = kv.block_size,
                                      .max_model_len = kv.max_model_len,
                                      .partition_size = kv.partition_size};
    const ops::RotaryAngles shared = angles();
    const bool rounded = maybe();
    Tensor q = linear(x, kHeads * kHeadDim);
    const bool late = pick(4) == 0;
    if (!late) q = turned(q, shared, rounded);
    Tensor k = linear(x, kKvHeads * kHeadDim);
    if (pick(6) != 0) k = turned(k, pick(6) == 0 ? angles() : shared, rounded);
    const Tensor v = linear(x, kKvHeads * kHeadDim);
    ops::kv_write(k, v, input_.slots, layer.keys, layer.values, params);
    if (late) q = turned(q, shared, rounded);
    pool_.push_back(ops::paged_attention(q, layer.keys, layer.values, input_.block_tables,
                                         input_.seq_of_token, input_.positions, params));
    if (pick(6) == 0) pool_.push_back(k);
    if (pick(6) == 0) pool_.push_back(q);
  }

  std::mt19937_64 random_;
  DType dtype_;
  const models::ForwardInput& input_;
  HeapStore weights_{BufferKind::weight, host_memory()};
  std::vector<Tensor> frequencies_;
  std::vector<Tensor> pool_;  // activations so far, [T or S, width]
};

}  // namespace reprise::graph
