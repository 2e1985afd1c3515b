#include "engine/step/plan_step.h"

#include <algorithm>
#include <limits>

#include "core/failure.h"

namespace reprise::engine {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

// Would the next token complete `word`? Its beginning may lie in the prompt.
bool leads_to_last(std::span<const int32_t> tokens, const std::vector<int32_t>& word) {
  const size_t before = word.size() - 1;
  return tokens.size() >= before &&
         std::equal(word.begin(), word.end() - 1, tokens.end() - static_cast<std::ptrdiff_t>(before));
}

void add_biases(const Sequence& sequence, std::span<const int32_t> eos_token_ids,
                std::vector<TokenBias>& biases) {
  const SamplingParams& sampling = sequence.sampling();
  for (const auto& [token, bias] : sampling.logit_bias) biases.push_back({token, bias});
  for (const std::vector<int32_t>& word : sampling.bad_words_token_ids)
    if (leads_to_last(sequence.tokens, word)) biases.push_back({word.back(), kForbidden});
  if (sequence.output_length() < sampling.min_tokens) {
    for (const int32_t token : sampling.stop_token_ids) biases.push_back({token, kForbidden});
    if (!sampling.ignore_eos)
      for (const int32_t token : eos_token_ids) biases.push_back({token, kForbidden});
  }
}

// Returns SampleRow::masked.
int16_t add_mask(Sequence& sequence, int64_t vocab, std::vector<uint32_t>& masks) {
  const TokenMask& mask = sequence.request->request.token_mask;
  if (!mask) return 0;
  const size_t before = masks.size();
  masks.resize(before + static_cast<size_t>(mask_words(vocab)), ~uint32_t{0});
  const std::span<uint32_t> allowed = std::span(masks).subspan(before);
  try {
    mask(sequence.output, std::span(sequence.tokens).subspan(static_cast<size_t>(sequence.prompt_length)),
         allowed);
  } catch (...) {
    sequence.mask_failure = current_failure("token mask");
    std::ranges::fill(allowed, 0);
  }
  return 1;
}

int32_t top_of(const std::optional<int32_t>& asked) {
  return !asked.has_value() ? -1 : *asked < 0 ? StepPlan::kAllTop : *asked;
}

// The next token of `sequence`.
void add_choice(Sequence& sequence, std::span<const int32_t> eos_token_ids, int64_t vocab, StepPlan& plan) {
  const SamplingParams& sampling = sequence.sampling();
  const std::span<const TokenCount> counts = sequence.counts.entries();
  const size_t biases_before = plan.biases.size();
  add_biases(sequence, eos_token_ids, plan.biases);
  plan.counts.insert(plan.counts.end(), counts.begin(), counts.end());
  plan.add_row({.seed = sequence.seed,
                .position = static_cast<uint64_t>(sequence.output_length()),
                .mode = SampleMode::choose,
                .masked = add_mask(sequence, vocab, plan.masks),
                .bias_count = static_cast<int32_t>(plan.biases.size() - biases_before),
                .count_count = static_cast<int32_t>(counts.size()),
                .top = top_of(sampling.logprobs),
                .temperature = sampling.temperature,
                .top_k = sampling.top_k,
                .top_p = sampling.top_p,
                .min_p = sampling.min_p,
                .repetition_penalty = sampling.repetition_penalty,
                .presence_penalty = sampling.presence_penalty,
                .frequency_penalty = sampling.frequency_penalty,
                .stream = sequence.stream});
}

}  // namespace

// Position p predicts token p + 1; those before prompt_scored were done before a preemption.
ScoredPositions scored_positions(const BatchItem& item) {
  const Sequence& sequence = *item.sequence;
  if (!sequence.wants_prompt_scores()) return {0, 0};
  const int64_t begin = std::max(sequence.computed, sequence.prompt_scored);
  return {begin, std::max(begin, std::min(sequence.computed + item.tokens, sequence.prompt_length - 1))};
}

void plan_step(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids, int64_t vocab,
               StepPlan& plan) {
  plan.clear();
  for (const BatchItem& item : items) {
    Sequence& sequence = *item.sequence;
    const auto first = static_cast<int64_t>(plan.token_ids.size());
    plan.add_sequence(std::span(sequence.tokens)
                          .subspan(static_cast<size_t>(sequence.computed), static_cast<size_t>(item.tokens)),
                      sequence.computed, sequence.prompt_length, sequence.blocks);
    (item.tokens == 1 ? plan.shape.decode_tokens : plan.shape.prefill_tokens) += item.tokens;
    plan.shape.scores_prompt = plan.shape.scores_prompt || sequence.wants_prompt_scores();
    const ScoredPositions scored = scored_positions(item);
    for (int64_t position = scored.begin; position < scored.end; ++position)
      plan.scores.push_back({.hidden_row = static_cast<int32_t>(first + position - sequence.computed),
                             .token = sequence.tokens[static_cast<size_t>(position + 1)],
                             .top = top_of(sequence.sampling().prompt_logprobs)});
    // A prompt that goes on has no next token yet; one that only asks for its scores needs none.
    const bool whole = sequence.computed + item.tokens == sequence.length();
    if (whole && sequence.length() < sequence.max_length)
      add_choice(sequence, eos_token_ids, vocab, plan);
    else
      plan.add_row(SampleRow{});
  }
}

}  // namespace reprise::engine
