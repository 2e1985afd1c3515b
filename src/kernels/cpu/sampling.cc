#include "kernels/cpu/sampling.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/philox.h"
#include "kernels/cpu/sampling_bodies.h"
#include "kernels/cpu/softmax.h"

namespace reprise::kernels::cpu {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

struct Candidate {
  float value;
  int32_t id;
};

// Descending, ties by lower id: a total order, so that every selection has one result.
bool before(const Candidate& a, const Candidate& b) {
  return a.value > b.value || (a.value == b.value && a.id < b.id);
}

// Working memory of one row, cut from the worker's scratch.
struct Workspace {
  float* values;          // [vocab]
  Candidate* candidates;  // [vocab]
  float* partial;         // [vocab / kBlock + 1]

  Workspace(std::byte* scratch, int64_t vocab)
      : values(reinterpret_cast<float*>(scratch)),
        candidates(reinterpret_cast<Candidate*>(values + vocab + vocab % 2)),
        partial(reinterpret_cast<float*>(candidates + vocab)) {}
};
static_assert(SamplingBodies::kBlock >= 8 && SamplingBodies::kChunk >= SamplingBodies::kBlock,
              "13 bytes a token hold a value, a candidate and the partial results");

class RowSampler {
 public:
  RowSampler(const SamplingBodies& bodies, const SampleRow& row, const float* logits, int64_t vocab,
             const Workspace& workspace)
      : bodies_(bodies), row_(row), logits_(logits), vocab_(vocab), workspace_(workspace) {}

  int32_t choose(const TokenBias* biases, const TokenCount* counts, const uint32_t* mask) {
    if (row_.bias_count > 0 || row_.count_count > 0 || row_.masked != 0) adjust(biases, counts, mask);
    const int32_t best = argmax();
    if (best < 0 || row_.temperature < SampleRow::kGreedyBelow) return best;
    const float peak = logits_[best];
    if (std::isinf(peak)) return best;
    if (row_.top_k > 0 && row_.top_k < vocab_) return draw_from_top_k(peak);
    return draw_from_all(peak);
  }

  // The k best, sorted; fewer where fewer are above -infinity. Returns how many stand in `candidates`.
  int64_t select_best(int64_t k) {
    Candidate* list = workspace_.candidates;
    if (k <= 0) return 0;
    // Collected beyond k before the list is cut down to k again: cutting is linear, so it pays to do it
    // rarely.
    const int64_t room = std::min(vocab_, std::max<int64_t>(4 * k, 1024));
    float bound = kMinusInfinity;
    int64_t count = 0;
    bodies_.block_maxima(logits_, vocab_, workspace_.partial);
    for (int64_t block = 0; block * SamplingBodies::kBlock < vocab_; ++block) {
      if (!(workspace_.partial[block] > bound)) continue;
      const int64_t start = block * SamplingBodies::kBlock;
      const int64_t stop = std::min(vocab_, start + SamplingBodies::kBlock);
      for (int64_t i = start; i < stop; ++i) {
        if (!(logits_[i] > bound)) continue;
        if (count == room) {
          std::nth_element(list, list + (k - 1), list + count, before);
          count = k;
          bound = list[k - 1].value;  // later ids lose ties
          if (!(logits_[i] > bound)) continue;
        }
        list[count++] = {logits_[i], static_cast<int32_t>(i)};
      }
    }
    const int64_t kept = std::min(k, count);
    if (kept < count) std::nth_element(list, list + (kept - 1), list + count, before);
    std::sort(list, list + kept, before);
    return kept;
  }

 private:
  void adjust(const TokenBias* biases, const TokenCount* counts, const uint32_t* mask) {
    float* x = workspace_.values;
    std::memcpy(x, logits_, static_cast<size_t>(vocab_) * sizeof(float));
    if (row_.masked != 0) forbid(x, mask);
    for (int32_t i = 0; i < row_.bias_count; ++i) x[biases[i].token] += biases[i].bias;
    for (int32_t i = 0; i < row_.count_count; ++i) {
      float& value = x[counts[i].token];
      value = value > 0 ? value / row_.repetition_penalty : value * row_.repetition_penalty;
      if (counts[i].in_output > 0)
        value =
            value - row_.frequency_penalty * static_cast<float>(counts[i].in_output) - row_.presence_penalty;
    }
    logits_ = x;
  }

  // Most masks forbid nearly all tokens, or nearly none.
  void forbid(float* x, const uint32_t* mask) const {
    for (int64_t start = 0; start < vocab_; start += 32) {
      const int64_t stop = std::min(vocab_, start + 32);
      uint32_t forbidden = ~mask[start / 32];
      if (forbidden == ~uint32_t{0}) {
        std::fill(x + start, x + stop, kMinusInfinity);
        continue;
      }
      for (; forbidden != 0; forbidden &= forbidden - 1)
        if (const int64_t token = start + std::countr_zero(forbidden); token < stop)
          x[token] = kMinusInfinity;
    }
  }

  // Lowest id of the largest value, kNothingToChoose where nothing is above -infinity.
  int32_t argmax() {
    bodies_.block_maxima(logits_, vocab_, workspace_.partial);
    float largest = kMinusInfinity;
    int64_t where = -1;
    for (int64_t block = 0; block * SamplingBodies::kBlock < vocab_; ++block)
      if (workspace_.partial[block] > largest) {
        largest = workspace_.partial[block];
        where = block;
      }
    if (where < 0) return SampleRow::kNothingToChoose;
    int64_t i = where * SamplingBodies::kBlock;
    while (logits_[i] != largest) ++i;
    return static_cast<int32_t>(i);
  }

  double random() const { return uniform_at(row_.seed, row_.stream, row_.position); }
  float scale() const { return 1.0f / row_.temperature; }

  int32_t draw_from_top_k(float peak) {
    Candidate* list = workspace_.candidates;
    int64_t count = select_best(row_.top_k);
    float* weights = workspace_.values;  // the adjusted logits, if any, stand in the candidates now
    for (int64_t i = 0; i < count; ++i) weights[i] = list[i].value;
    bodies_.exp_weights(weights, count, peak, scale(), weights);
    if (row_.top_p < 1) {
      double total = 0;
      for (int64_t i = 0; i < count; ++i) total += static_cast<double>(weights[i]);
      const double enough = static_cast<double>(row_.top_p) * total;
      double mass = static_cast<double>(weights[0]);
      int64_t kept = 1;
      while (kept < count && mass < enough) mass += static_cast<double>(weights[kept++]);
      count = kept;
    }
    while (count > 1 && weights[count - 1] < row_.min_p) --count;
    double total = 0;
    for (int64_t i = 0; i < count; ++i) total += static_cast<double>(weights[i]);
    const double target = random() * total;
    double mass = 0;
    for (int64_t i = 0; i < count; ++i) {
      mass += static_cast<double>(weights[i]);
      if (mass > target) return list[i].id;
    }
    return list[0].id;
  }

  int32_t draw_from_all(float peak) {
    float* weights = workspace_.values;
    bodies_.exp_weights(logits_, vocab_, peak, scale(), weights);
    if (row_.top_p < 1) keep_top_p(weights);
    if (row_.min_p > 0) bodies_.drop_below(weights, vocab_, row_.min_p);
    float* sums = workspace_.partial;
    bodies_.chunk_sums(weights, vocab_, sums);
    const int64_t chunks = (vocab_ + SamplingBodies::kChunk - 1) / SamplingBodies::kChunk;
    double total = 0;
    for (int64_t i = 0; i < chunks; ++i) total += static_cast<double>(sums[i]);
    double target = random() * total;
    int64_t chunk = 0;
    while (chunk + 1 < chunks && target >= static_cast<double>(sums[chunk]))
      target -= static_cast<double>(sums[chunk++]);
    while (sums[chunk] == 0) --chunk;  // rounding went past the last token; one with weight 1 exists
    const int64_t start = chunk * SamplingBodies::kChunk;
    const int64_t stop = std::min(vocab_, start + SamplingBodies::kChunk);
    double mass = 0;
    int64_t last = start;
    for (int64_t i = start; i < stop; ++i) {
      if (weights[i] == 0) continue;
      last = i;
      mass += static_cast<double>(weights[i]);
      if (mass > target) break;
    }
    return static_cast<int32_t>(last);
  }

  // Zeroes all but the fewest most likely tokens that together have top_p. The vocabulary isn't sorted:
  // weights fall into bins by their leading bits (16 to an octave), and only the bin in which top_p is
  // reached is sorted.
  void keep_top_p(float* weights) {
    constexpr int kShift = 19;
    constexpr size_t kBins = (std::bit_cast<uint32_t>(1.0f) >> kShift) + 1;
    // What is below this bound is less than 1 - top_p even all together, so it is never kept: most of a
    // vocabulary.
    const int64_t chunks = (vocab_ + SamplingBodies::kChunk - 1) / SamplingBodies::kChunk;
    bodies_.chunk_sums(weights, vocab_, workspace_.partial);
    double sum = 0;
    for (int64_t i = 0; i < chunks; ++i) sum += static_cast<double>(workspace_.partial[i]);
    const double bound = 0.99 * (1 - static_cast<double>(row_.top_p)) * sum / static_cast<double>(vocab_);
    bodies_.drop_below(weights, vocab_, static_cast<float>(bound));
    bodies_.block_maxima(weights, vocab_, workspace_.partial);
    const auto for_each_weight = [&](auto&& visit) {
      for (int64_t start = 0; start < vocab_; start += SamplingBodies::kBlock) {
        if (workspace_.partial[start / SamplingBodies::kBlock] == 0) continue;
        const int64_t stop = std::min(vocab_, start + SamplingBodies::kBlock);
        for (int64_t i = start; i < stop; ++i)
          if (weights[i] > 0) visit(i, weights[i]);
      }
    };
    std::array<double, kBins> mass{};
    const auto bin_of = [](float w) {
      return std::min<size_t>(std::bit_cast<uint32_t>(w) >> kShift, kBins - 1);
    };
    for_each_weight([&](int64_t, float w) { mass[bin_of(w)] += static_cast<double>(w); });
    const double enough = static_cast<double>(row_.top_p) * sum;
    double above = 0;
    size_t edge = kBins - 1;
    while (edge > 0 && above + mass[edge] < enough) above += mass[edge--];
    Candidate* list = workspace_.candidates;
    int64_t count = 0;
    for_each_weight([&](int64_t i, float w) {
      if (bin_of(w) == edge) list[count++] = {w, static_cast<int32_t>(i)};
    });
    std::sort(list, list + count, before);
    bodies_.drop_below(weights, vocab_, std::bit_cast<float>(static_cast<uint32_t>(edge) << kShift));
    // The most likely token always stays, also with top_p 0.
    int64_t kept = 0;
    while (kept < count && (above < enough || (kept == 0 && edge == kBins - 1)))
      above += static_cast<double>(list[kept++].value);
    for (int64_t i = kept; i < count; ++i) weights[list[i].id] = 0;
  }

  const SamplingBodies& bodies_;
  const SampleRow& row_;
  const float* logits_;  // raw, or adjusted in the workspace
  int64_t vocab_;
  const Workspace& workspace_;
};

template <Isa level>
const SamplingBodies& bodies_of() {
  if constexpr (level == Isa::scalar)
    return sampling_bodies_scalar();
  else if constexpr (level == Isa::avx2)
    return sampling_bodies_avx2();
  else
    return sampling_bodies_avx512();
}

template <Isa level>
void run_sample(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<SampleScalars>();
  const int64_t vocab = scalars.vocab;
  const Workspace workspace(context.scratch, vocab);
  for (int64_t r = begin; r < end; ++r) {
    const SampleRow& row = context.buffer<const SampleRow>(1)[r];
    if (row.mode == SampleMode::skip) continue;
    const float* logits = context.buffer<const float>(0) + r * vocab;
    int32_t token = row.given_token;
    if (row.mode == SampleMode::choose) {
      token = RowSampler(bodies_of<level>(), row, logits, vocab, workspace)
                  .choose(context.buffer<const TokenBias>(2) + r * scalars.max_biases,
                          context.buffer<const TokenCount>(3) + row.count_begin,
                          context.buffer<const uint32_t>(4) + r * mask_words(vocab));
      if (token < 0 && std::any_of(logits, logits + vocab, [](float logit) { return std::isnan(logit); }))
        token = SampleRow::kNotANumber;
    }
    context.buffer<int32_t>(5)[r] = token;
    if (row.top < 0 || token < 0) continue;

    float stats[2];
    std::byte* arguments[] = {reinterpret_cast<std::byte*>(const_cast<float*>(logits)),
                              reinterpret_cast<std::byte*>(stats)};
    const RowScalars columns{vocab};
    KernelContext one = context;
    one.buffers = arguments;
    one.scalars = &columns;
    log_sum_exp_kernel(level, DType::f32).run(one, 0, 1);
    if (!std::isfinite(stats[0]) || !std::isfinite(stats[1])) {  // then every log-probability is NaN
      context.buffer<int32_t>(5)[r] = SampleRow::kNotANumber;
      continue;
    }
    const auto logprob = [&](float logit) { return (logit - stats[0]) - stats[1]; };
    context.buffer<float>(6)[r] = logprob(logits[token]);
    const int64_t wanted = std::min<int64_t>(row.top, scalars.max_top);
    const int64_t found =
        RowSampler(bodies_of<level>(), row, logits, vocab, workspace).select_best(std::min(wanted, vocab));
    for (int64_t i = 0; i < wanted; ++i) {
      const bool there = i < found;
      context.buffer<int32_t>(7)[r * scalars.max_top + i] = there ? workspace.candidates[i].id : -1;
      context.buffer<float>(8)[r * scalars.max_top + i] =
          there ? logprob(workspace.candidates[i].value) : kMinusInfinity;
    }
  }
}

}  // namespace

const Kernel& sample_kernel(Isa isa) {
  static const Kernel scalar{"sample_scalar", run_sample<Isa::scalar>};
  static const Kernel avx2{"sample_avx2", run_sample<Isa::avx2>};
  static const Kernel avx512{"sample_avx512", run_sample<Isa::avx512>};
  return isa == Isa::scalar ? scalar : isa == Isa::avx2 ? avx2 : avx512;
}

}  // namespace reprise::kernels::cpu
