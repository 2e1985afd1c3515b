#include "engine/scheduling/sequence.h"

#include <algorithm>

namespace reprise::engine {
namespace {

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

bool contains(std::span<const int32_t> ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

void TokenCounts::add(int32_t token, bool in_output) {
  const auto [found, is_new] = index_.try_emplace(token, entries_.size());
  if (is_new) entries_.push_back({token, 0});
  if (in_output) ++entries_[found->second].in_output;
}

void Sequence::append(int32_t token, Clock::time_point now) {
  if (output_length() == 0) first_token = now;
  last_token = now;
  tokens.push_back(token);
  if (sampling().has_penalties()) counts.add(token, true);
}

FinishReason Sequence::ending(std::span<const int32_t> eos_token_ids) const {
  if (output_length() > 0) {
    const int32_t last = tokens.back();
    if (!sampling().ignore_eos && contains(eos_token_ids, last)) return FinishReason::stop;
    if (contains(sampling().stop_token_ids, last)) return FinishReason::stop;
  }
  return length() >= max_length ? FinishReason::length : FinishReason::none;
}

RequestMetrics Sequence::metrics(Clock::time_point now, int64_t output_tokens) const {
  RequestMetrics out;
  const bool started = scheduled != Clock::time_point{};
  out.queue_s = seconds((started ? scheduled : now) - request->arrival);
  out.total_s = seconds(now - request->arrival);
  if (output_length() > 0) out.time_to_first_token_s = seconds(first_token - request->arrival);
  if (output_length() > 1)
    out.decode_tokens_per_s =
        static_cast<double>(output_length() - 1) / std::max(1e-9, seconds(last_token - first_token));
  out.prompt_tokens = prompt_length;
  out.output_tokens = output_tokens;
  out.preemptions = preemptions;
  out.steps = steps;
  return out;
}

std::unique_ptr<Sequence> make_sequence(RequestState& request, int32_t output, int64_t max_model_len,
                                        uint64_t engine_seed) {
  auto sequence = std::make_unique<Sequence>();
  sequence->id = request.id * SamplingParams::kMaxOutputs + static_cast<uint64_t>(output);
  sequence->priority = request.request.priority;
  sequence->request = &request;
  sequence->output = output;
  const std::vector<int32_t>& prompt = request.request.prompt_token_ids;
  sequence->prompt_length = static_cast<int64_t>(prompt.size());
  const SamplingParams& sampling = request.request.sampling;
  const int64_t room = max_model_len - sequence->prompt_length;
  sequence->max_length =
      sequence->prompt_length + std::min<int64_t>(room, sampling.max_tokens.value_or(INT32_MAX));
  sequence->tokens.assign(prompt.begin(), prompt.end());
  sequence->seed = sampling.seed.value_or(engine_seed + request.id);
  sequence->stream = static_cast<uint32_t>(output);
  if (output > 0 && !sampling.seed.has_value()) sequence->stream |= kDrawnSeed;
  if (sampling.has_penalties())
    for (int32_t token : prompt) sequence->counts.add(token, false);
  return sequence;
}

}  // namespace reprise::engine
