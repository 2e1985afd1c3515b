// What the tests of the matmul share: data, packing, a run over any cut of the work items, and the reference.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include "core/dtype.h"
#include "core/launch.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/matmul_call.h"
#include "kernels/cpu/pack.h"

namespace reprise::kernels::cpu::testing {

// [rows, columns] of float or bf16, kept as floats that the dtype holds exactly.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;

  float at(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * columns + c)]; }

  static Matrix random(DType dtype, int64_t rows, int64_t columns, uint32_t seed) {
    Matrix m{rows, columns, std::vector<float>(static_cast<size_t>(rows * columns))};
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    for (float& v : m.values) {
      v = normal(generator);
      if (dtype == DType::bf16) v = bf16_to_f32(f32_to_bf16(v));
    }
    return m;
  }

  std::vector<std::byte> bytes(DType dtype) const {
    std::vector<std::byte> out(values.size() * size_of(dtype));
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = f32_to_bf16(values[i]);
      if (dtype == DType::bf16)
        std::memcpy(&out[i * 2], &half, 2);
      else
        std::memcpy(&out[i * 4], &values[i], 4);
    }
    return out;
  }

  Matrix row(int64_t r) const {
    const auto first = values.begin() + r * columns;
    return {1, columns, std::vector<float>(first, first + columns)};
  }
};

struct Aligned {
  explicit Aligned(size_t bytes)
      : data(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  Aligned& operator=(const Aligned&) = delete;
  std::byte* data;
};

struct Segment {
  Matrix weight;            // [n, k]
  std::vector<float> bias;  // [n] or empty
};

// A kernel by name, or the emulated function of a level that this CPU lacks.
struct Level {
  Isa isa;
  MatmulFunction emulated = nullptr;
};

// Outputs of every segment, as floats; the items are cut at `cuts`, the rows for a team of `workers` (1: not
// at all).
inline std::vector<Matrix> multiply(const Level& level, DType dtype, DType out, const Matrix& x,
                                    std::span<const Segment> segments, std::vector<int64_t> cuts = {},
                                    int workers = 1) {
  const auto x_bytes = x.bytes(dtype);
  MatmulScalars scalars{
      .rows = kTokens, .k = x.columns, .out = out, .segments = static_cast<int32_t>(segments.size())};
  std::vector<std::unique_ptr<Aligned>> packed;
  std::vector<std::vector<std::byte>> outs;
  std::vector<std::byte*> buffers = {const_cast<std::byte*>(x_bytes.data())};
  for (const Segment& segment : segments) {
    const int64_t n = segment.weight.rows;
    const size_t index = packed.size();
    scalars.n[index] = n;
    packed.push_back(std::make_unique<Aligned>(packed_bytes(dtype, n, x.columns)));
    const auto source = segment.weight.bytes(dtype);
    if (dtype == DType::bf16)
      pack_rows(dtype, reinterpret_cast<const uint16_t*>(source.data()), 0, n, n, x.columns,
                packed.back()->data);
    else
      pack_rows(dtype, reinterpret_cast<const float*>(source.data()), 0, n, n, x.columns,
                packed.back()->data);
    outs.emplace_back(static_cast<size_t>(x.rows * n) * size_of(out), std::byte{0x5a});
    buffers.push_back(packed.back()->data);
    buffers.push_back(segment.bias.empty()
                          ? nullptr
                          : reinterpret_cast<std::byte*>(const_cast<float*>(segment.bias.data())));
    buffers.push_back(outs.back().data());
  }

  const StepSizes sizes{.tokens = x.rows, .seqs = 0};
  const int64_t items = cut_matmul(scalars, level.isa, dtype, workers).work_items(sizes);
  Aligned scratch(KernelContext::kScratchBytes);
  std::memset(scratch.data, 0xff,
              KernelContext::kScratchBytes);  // NaN: what is read without being written shows
  const KernelContext context{
      .sizes = sizes, .buffers = buffers.data(), .scalars = &scalars, .scratch = scratch.data, .worker = 0};
  MatmulCall call{.x = x_bytes.data(),
                  .rows = x.rows,
                  .k = x.columns,
                  .bf16_out = out == DType::bf16,
                  .segment_count = scalars.segments,
                  .segments = {},
                  .scratch = reinterpret_cast<unsigned char*>(scratch.data),
                  .scratch_bytes = KernelContext::kScratchBytes};
  for (size_t i = 0; i < segments.size(); ++i)
    call.segments[i] = {reinterpret_cast<unsigned char*>(buffers[1 + 3 * i]),
                        reinterpret_cast<float*>(buffers[2 + 3 * i]), buffers[3 + 3 * i], scalars.n[i]};

  cuts.push_back(items);
  int64_t begin = 0;
  for (int64_t end : cuts) {
    if (level.emulated != nullptr)
      level.emulated(call, begin, end);
    else
      matmul_kernel(level.isa, dtype).run(context, begin, end);
    begin = end;
  }

  std::vector<Matrix> results;
  for (size_t i = 0; i < segments.size(); ++i) {
    Matrix y{x.rows, scalars.n[i], std::vector<float>(static_cast<size_t>(x.rows * scalars.n[i]))};
    for (size_t e = 0; e < y.values.size(); ++e) {
      if (out == DType::f32) {
        std::memcpy(&y.values[e], &outs[i][e * 4], 4);
      } else {
        uint16_t half;
        std::memcpy(&half, &outs[i][e * 2], 2);
        y.values[e] = bf16_to_f32(half);
      }
    }
    results.push_back(std::move(y));
  }
  return results;
}

inline bool same_bits(const Matrix& a, const Matrix& b) {
  return a.rows == b.rows && a.columns == b.columns &&
         std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(float)) == 0;
}

// The largest error of y = x W^T + bias in units of what rounding allows: K roundings of eps at most,
// relative to the sum of magnitudes, and one rounding to the output's dtype.
inline double worst_error(const Matrix& y, const Matrix& x, const Segment& segment, DType out) {
  double worst = 0;
  const double eps = std::numeric_limits<float>::epsilon() / 2;
  for (int64_t r = 0; r < x.rows; ++r)
    for (int64_t n = 0; n < segment.weight.rows; ++n) {
      double sum = segment.bias.empty() ? 0 : static_cast<double>(segment.bias[static_cast<size_t>(n)]);
      double magnitude = std::abs(sum);
      for (int64_t i = 0; i < x.columns; ++i) {
        const double product = static_cast<double>(x.at(r, i)) * static_cast<double>(segment.weight.at(n, i));
        sum += product;
        magnitude += std::abs(product);
      }
      double allowed = static_cast<double>(x.columns + 2) * eps * magnitude;
      if (out == DType::bf16) allowed += std::abs(sum) / 256;
      const double error = std::abs(static_cast<double>(y.at(r, n)) - sum) / (allowed + 1e-30);
      worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
    }
  return worst;
}

inline Segment random_segment(DType dtype, int64_t n, int64_t k, bool with_bias, uint32_t seed) {
  Segment segment{Matrix::random(dtype, n, k, seed), {}};
  if (with_bias) segment.bias = Matrix::random(DType::f32, 1, n, seed + 1).values;
  return segment;
}

}  // namespace reprise::kernels::cpu::testing
