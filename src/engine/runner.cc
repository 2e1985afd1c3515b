#include "engine/runner.h"

#include <algorithm>

#include "engine/phase.h"
#include "ops/op.h"

namespace reprise::engine {
namespace {

// Rows of a chunk of prompt log-probabilities, at least: each chunk reads the head's weights once.
constexpr int64_t kLeastRows = 16;

// Takes launches that never run: a dry run is only after the sizes that it asks for.
class DiscardingSink final : public LaunchSink {
 public:
  void append(const Launch& launch) override { last_ = launch.kernel.name; }
  std::string_view last_kernel() const override { return last_; }

 private:
  std::string_view last_;
};

class RecordingScope {
 public:
  RecordingScope(Stream& stream, LaunchSink& sink) : stream_(stream) { stream_.begin_recording(sink); }
  ~RecordingScope() { stream_.end_recording(); }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  Stream& stream_;
};

int64_t columns_for_logprobs(const EngineConfig& config, int64_t vocab) {
  return config.max_logprobs < 0 ? vocab : std::min<int64_t>(config.max_logprobs, vocab);
}

// The arena is address space: pages that no step touches cost nothing. Twice the peak keeps the free range at
// its end larger than any hole, as it is in the dry run, so that both lay out alike.
size_t arena_capacity(size_t peak) {
  return 2 * peak + (size_t{1} << 20);
}

// Sizes that a step's tensors are laid out for: one class for steps that decode, one for all others, so that
// the steps of a class have their intermediates at the same addresses.
StepSizes class_of(const StepSizes& sizes, const StepLimits& limits) {
  return {.tokens = sizes.tokens <= limits.rows ? limits.rows : limits.tokens, .seqs = limits.rows};
}

Tensor score_rows(HeapStore& store, int64_t rows) {
  Tensor tensor = store.allocate(DType::i32, Shape{rows});
  tensor.shape = Shape{kSeqs};
  return tensor;
}

StepLimits limits_of(const EngineConfig& config) {
  const int64_t rows = std::max(config.max_num_seqs, kLeastRows);
  return {.tokens = std::max(*config.max_num_batched_tokens, rows), .rows = rows};
}

}  // namespace

size_t measure_arena(const models::Model& model, Stream& stream, const EngineConfig& config,
                     const StepLimits& limits, const Tensor& score_rows, const SampleBuffers& samples) {
  const KvCache cache(model.config(), model.dtype(), config, 1);
  const StepInputs inputs(limits.tokens, limits.rows, cache.view());
  DiscardingSink sink;
  const RecordingScope recording(stream, sink);
  StepArena arena(0);
  ops::EagerDispatcher dispatcher(stream, arena);
  const ops::DispatchScope scope(dispatcher);
  for (const int64_t tokens : {limits.rows, limits.tokens}) {
    const StepSizes sizes = class_of({.tokens = tokens, .seqs = limits.rows}, limits);
    arena.set_sizing(sizes);
    stream.set_sizes(sizes);
    const models::ForwardOutput output = model.forward(inputs.forward());
    ops::sample(model.logits(output.hidden, score_rows), samples.tensors());
    ops::sample(output.logits, samples.tensors());
  }
  return arena.peak();
}

Runner::Runner(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& config)
    : model_(model),
      limits_(limits_of(config)),
      stream_(team, isa),
      block_bytes_(kv_block_bytes(model.config(), model.dtype(), config.block_size)),
      score_rows_(score_rows(score_store_, limits_.rows)),
      samples_(limits_.rows, config.max_model_len, columns_for_logprobs(config, model.config().vocab_size)),
      arena_bytes_(measure_arena(model, stream_, config, limits_, score_rows_, samples_)),
      arena_(arena_capacity(arena_bytes_)),
      kv_blocks_(choose_kv_blocks(config, block_bytes_, available_memory(), arena_bytes_ + samples_.bytes())),
      cache_(model.config(), model.dtype(), config, kv_blocks_),
      inputs_(limits_.tokens, limits_.rows, cache_.view()) {}

void Runner::set_profiler(Profiler* profiler) {
  profiler_ = profiler;
  stream_.set_profiler(profiler);
}

void Runner::plan_inputs(std::span<const BatchItem> items) {
  inputs_.clear();
  for (const auto& [sequence, tokens] : items)
    inputs_.add(sequence->tokens, sequence->computed, sequence->computed + tokens, sequence->prompt_length,
                sequence->blocks);
}

void Runner::plan_samples(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids) {
  for (size_t i = 0; i < items.size(); ++i) {
    const Sequence& sequence = *items[i].sequence;
    const auto row = static_cast<int64_t>(i);
    // A prompt that goes on has no next token yet; one that only asks for its scores needs none.
    const bool whole = sequence.computed + items[i].tokens == sequence.length();
    if (whole && sequence.length() < sequence.max_length)
      samples_.plan_choice(row, sequence, eos_token_ids);
    else
      samples_.plan_skip(row);
  }
}

void Runner::score_prompt(const BatchItem& item, int64_t first_row, const Tensor& hidden) {
  Sequence& sequence = *item.sequence;
  const StepSizes step = inputs_.sizes();
  const int64_t end = std::min(sequence.computed + item.tokens, sequence.prompt_length - 1);
  // Position p predicts token p + 1; those before prompt_scored were done before a preemption.
  for (int64_t begin = std::max(sequence.computed, sequence.prompt_scored); begin < end;
       begin = sequence.prompt_scored) {
    const int64_t rows = std::min(limits_.rows, end - begin);
    for (int64_t i = 0; i < rows; ++i) {
      score_rows_.as<int32_t>()[i] = static_cast<int32_t>(first_row + begin - sequence.computed + i);
      samples_.plan_score(i, sequence.tokens[static_cast<size_t>(begin + i + 1)],
                          *sequence.sampling().prompt_logprobs);
    }
    stream_.set_sizes({.tokens = step.tokens, .seqs = rows});
    ops::sample(model_.logits(hidden, score_rows_), samples_.tensors());
    for (int64_t i = 0; i < rows; ++i) sequence.prompt_scores.push_back(samples_.score(i));
    sequence.prompt_scored = begin + rows;
  }
}

void Runner::run(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids,
                 StepCounts& counts) {
  {
    const PhaseScope phase(profiler_, "plan");
    plan_inputs(items);
  }
  // The one path there is: launch by launch.
  ++counts.not_replayed[static_cast<size_t>(NotReplayed::cudagraph_off)];
  ops::EagerDispatcher dispatcher(stream_, arena_);
  const ops::DispatchScope scope(dispatcher);
  arena_.set_sizing(class_of(inputs_.sizes(), limits_));
  stream_.set_sizes(inputs_.sizes());
  models::ForwardOutput output;
  {
    const PhaseScope phase(profiler_, "forward");
    output = model_.forward(inputs_.forward());
  }
  const PhaseScope phase(profiler_, "sample");
  int64_t first_row = 0;
  for (const BatchItem& item : items) {
    if (item.sequence->wants_prompt_scores()) score_prompt(item, first_row, output.hidden);
    first_row += item.tokens;
  }
  stream_.set_sizes(inputs_.sizes());
  plan_samples(items, eos_token_ids);
  ops::sample(output.logits, samples_.tensors());
}

}  // namespace reprise::engine
