// The part of the verifier that tries every capture at start, on made-up steps.
#include <algorithm>

#include <fmt/core.h>

#include "core/capture_error.h"
#include "engine/verify/step_verifier.h"

namespace reprise::engine {

MadeUpLimits StepVerifier::made_up_limits() const {
  return {.sequences = parts_.limits.seqs,
          .tokens = parts_.limits.tokens,
          .length = parts_.cache.view().max_model_len,
          .block_size = parts_.cache.view().block_size,
          .blocks = parts_.kv_blocks};
}

// Computes the history of each by the model's own code, so that its keys and values are in the cache.
void StepVerifier::fill_history(const std::vector<MadeUp>& sequences) {
  for (const MadeUp& sequence : sequences) {
    const auto history = static_cast<int64_t>(sequence.tokens.size()) - sequence.step_tokens;
    if (history == 0) continue;
    StepPlan step;
    step.add_sequence(std::span(sequence.tokens).first(static_cast<size_t>(history)), 0,
                      static_cast<int64_t>(sequence.tokens.size()), sequence.blocks);
    step.add_row({});
    fill(step);
    run_eagerly();
  }
}

// The step under test.
void StepVerifier::fill_inputs(const std::vector<MadeUp>& sequences) {
  StepPlan step;
  for (const MadeUp& sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence.tokens.size());
    step.add_sequence(std::span(sequence.tokens).last(static_cast<size_t>(sequence.step_tokens)),
                      length - sequence.step_tokens, length, sequence.blocks);
    step.add_row({.mode = SampleMode::score, .given_token = sequence.tokens.back(), .top = 0});
  }
  fill(step);
}

void StepVerifier::fill(const StepPlan& step) {
  parts_.inputs.fill(step);
  parts_.samples.fill(step);
}

void StepVerifier::fill_null_block(int byte) {
  for (const models::KvLayer& layer : parts_.cache.view().layers)
    for (const Tensor* tensor : {&layer.keys, &layer.values})
      parts_.stream.device().memory().fill(
          tensor->data(), byte, static_cast<size_t>(tensor->shape.row_elements()) * size_of(tensor->dtype));
}

// One capture at one size. Where it is padded, one row of the steps tried is padding.
std::optional<std::string> StepVerifier::check_capture(bool prefill, int64_t size, bool any_size,
                                                       size_t index) {
  const MadeUpLimits limits = made_up_limits();
  const int64_t tokens = any_size || size == 1 ? size : size - 1;
  const bool mixed = parts_.backend.config().split_at_attention();
  for (const std::vector<SequenceShape>& shapes :
       prefill ? prefill_shapes(tokens, mixed, limits) : decode_shapes(tokens, limits)) {
    const std::vector<MadeUp> sequences = make_up(shapes, parts_.model.config().vocab_size, limits);
    if (sequences.empty()) continue;  // not one block: nothing could run either
    fill_history(sequences);
    fill_null_block(kVerifyPoison);
    fill_inputs(sequences);
    const StepSizes real = parts_.inputs.sizes();
    StepShape shape{.decode_tokens = real.tokens, .prefill_tokens = 0, .scores_prompt = false};
    if (prefill) {
      shape.decode_tokens =
          real.tokens == 1 ? 0 : std::count_if(sequences.begin(), sequences.end(), [](const MadeUp& s) {
            return s.step_tokens == 1;
          });
      shape.prefill_tokens = real.tokens - shape.decode_tokens;
      if (shape.prefill_tokens == 0) continue;  // the others had no blocks
    }
    const int64_t captured = any_size ? real.tokens : size;
    const StepPath path{.mode = RunMode::replay,
                        .recording = index,
                        .captured_size = captured,
                        .padding = captured - real.tokens,
                        .reason = NotReplayed::cudagraph_off};
    if (auto problem = check_made_up(path, shape)) return problem;
  }
  return std::nullopt;
}

// The step that the inputs hold. What a replay refuses is a problem of the capture as well.
std::optional<std::string> StepVerifier::check_made_up(const StepPath& path, const StepShape& shape) {
  try {
    parts_.backend.prepare(path, shape);
    if (auto problem = check_recording(path, shape))
      return fmt::format("[verify] the replay of a step of {} tokens in {} sequences: {}",
                         parts_.inputs.sizes().tokens, parts_.inputs.sizes().seqs, *problem);
    run_poisoned(path, shape, [](graph::NodeId) {});
    if (auto problem = compare(path, shape, /*poisoned=*/true))
      return *problem + " (padding filled with NaN)";
    parts_.backend.run(path, shape, nullptr);
    return compare(path, shape, /*poisoned=*/false);
  } catch (const CaptureError& error) {
    return error.what();
  }
}

std::vector<std::string> StepVerifier::check_captures() {
  std::vector<std::string> problems;
  const ResolvedGraph& config = parts_.backend.config();
  for (const bool prefill : {false, true}) {
    const SizeList& list = prefill ? config.prefill : config.decode;
    for (size_t index = 0; index < list.sizes.size(); ++index) {
      if (const std::string& difference = parts_.backend.difference_of(prefill, index); !difference.empty())
        problems.push_back(difference);
      if (!parts_.backend.is_captured(prefill, index)) continue;
      std::vector<int64_t> sizes = {list.sizes[index]};
      if (list.any_size) sizes = {1, (list.sizes[index] + 1) / 2, list.sizes[index]};
      sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
      for (const int64_t size : sizes)
        if (auto problem = check_capture(prefill, size, list.any_size, index)) {
          parts_.backend.give_up(prefill, index, *problem);
          problems.push_back(std::move(*problem));
          break;
        }
    }
  }
  fill_null_block(0);
  return problems;
}

}  // namespace reprise::engine
