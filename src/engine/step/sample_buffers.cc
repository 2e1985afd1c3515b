#include "engine/step/sample_buffers.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace reprise::engine {
namespace {

// A buffer for `rows` rows, seen as a tensor of the step's rows.
Tensor allocate(HeapStore& store, DType dtype, int64_t rows, int64_t columns) {
  Tensor tensor = store.allocate(dtype, Shape{rows, columns});
  tensor.shape = Shape{kRows, columns};
  return tensor;
}

}  // namespace

SampleBuffers::SampleBuffers(MemorySpace& memory, int64_t max_rows, int64_t max_top, int64_t vocab)
    : memory_(memory),
      inputs_(BufferKind::input, memory),
      state_(BufferKind::state, memory),
      max_top_(std::max<int64_t>(1, max_top)),
      mask_words_(mask_words(vocab)) {
  tensors_ = {.plan = allocate(inputs_, DType::i8, max_rows, sizeof(SampleRow)),
              .biases = allocate(inputs_, DType::i32, max_rows, 2 * kMaxBiases),
              .counts = {},
              .masks = allocate(inputs_, DType::i32, max_rows, mask_words_),
              .tokens = allocate(state_, DType::i32, max_rows, 1),
              .logprobs = allocate(state_, DType::f32, max_rows, 1),
              .top_ids = allocate(state_, DType::i32, max_rows, max_top_),
              .top_logprobs = allocate(state_, DType::f32, max_rows, max_top_)};
  const auto mirror = [&](const Tensor& tensor) {
    const int64_t row = tensor.shape.row_elements() * static_cast<int64_t>(size_of(tensor.dtype));
    return HostMirror(memory, tensor, static_cast<size_t>(max_rows * row));
  };
  plan_ = mirror(tensors_.plan);
  biases_ = mirror(tensors_.biases);
  masks_ = mirror(tensors_.masks);
  tokens_ = mirror(tensors_.tokens);
  logprobs_ = mirror(tensors_.logprobs);
  top_ids_ = mirror(tensors_.top_ids);
  top_logprobs_ = mirror(tensors_.top_logprobs);
  allocate_history(1);
}

void SampleBuffers::allocate_history(int64_t entries, bool dry) {
  auto store = dry ? std::make_unique<HeapStore>(BufferKind::input, kDry)
                   : std::make_unique<HeapStore>(BufferKind::input, memory_);
  tensors_.counts = store->allocate(DType::i32, Shape{entries, 2});
  if (!dry) counts_ = HostMirror(memory_, tensors_.counts, static_cast<size_t>(entries) * sizeof(TokenCount));
  max_counts_ = entries;
  outline_ = std::exchange(history_, std::move(store));
}

void SampleBuffers::upload(int64_t rows) const {
  plan_.upload(0, static_cast<size_t>(rows) * sizeof(SampleRow));
  size_t counts = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const SampleRow& planned = plan_.as<SampleRow>()[row];
    biases_.upload(static_cast<size_t>(row * kMaxBiases) * sizeof(TokenBias),
                   static_cast<size_t>(planned.bias_count) * sizeof(TokenBias));
    if (planned.masked != 0)
      masks_.upload(static_cast<size_t>(row * mask_words_) * sizeof(uint32_t),
                    static_cast<size_t>(mask_words_) * sizeof(uint32_t));
    counts += static_cast<size_t>(planned.count_count);
  }
  counts_.upload(0, counts * sizeof(TokenCount));
}

void SampleBuffers::download(int64_t rows) const {
  const auto words = static_cast<size_t>(rows) * sizeof(int32_t);
  tokens_.download(0, words);
  logprobs_.download(0, words);
  top_ids_.download(0, words * static_cast<size_t>(max_top_));
  top_logprobs_.download(0, words * static_cast<size_t>(max_top_));
}

void SampleBuffers::plan_skip(int64_t row) {
  plan(row) = SampleRow{};
}

void SampleBuffers::fill(const StepPlan& step) {
  REPRISE_CHECK(static_cast<int64_t>(step.counts.size()) <= max_counts_,
                "a step with {} distinct tokens, there is room for {}", step.counts.size(), max_counts_);
  std::copy(step.counts.begin(), step.counts.end(), counts_.as<TokenCount>());
  const TokenBias* biases = step.biases.data();
  const uint32_t* mask = step.masks.data();
  for (size_t i = 0; i < step.samples.size(); ++i) {
    const auto row = static_cast<int64_t>(i);
    SampleRow& planned = plan(row) = step.samples[i];
    REPRISE_CHECK(planned.bias_count <= kMaxBiases, "a row with {} biases", planned.bias_count);
    std::copy_n(biases, planned.bias_count, biases_.as<TokenBias>() + row * kMaxBiases);
    biases += planned.bias_count;
    if (planned.masked != 0) mask = take_mask(mask, row);
    planned.top = std::min(planned.top, static_cast<int32_t>(max_top_));
  }
}

// Returns what follows it.
const uint32_t* SampleBuffers::take_mask(const uint32_t* mask, int64_t row) {
  std::copy_n(mask, mask_words_, masks_.as<uint32_t>() + row * mask_words_);
  return mask + mask_words_;
}

void SampleBuffers::plan_score(int64_t row, int32_t token, int64_t top) {
  plan(row) = {
      .mode = SampleMode::score, .given_token = token, .top = static_cast<int32_t>(std::min(top, max_top_))};
}

TokenScore SampleBuffers::score(int64_t row) const {
  TokenScore score{.token_id = token(row), .logprob = logprobs_.as<float>()[row]};
  const int64_t top = plan_.as<SampleRow>()[row].top;
  score.top.reserve(static_cast<size_t>(std::max<int64_t>(0, top)));
  for (int64_t i = 0; i < top; ++i) {
    const int32_t id = top_ids_.as<int32_t>()[row * max_top_ + i];
    if (id < 0) break;
    score.top.push_back({id, top_logprobs_.as<float>()[row * max_top_ + i]});
  }
  return score;
}

}  // namespace reprise::engine
