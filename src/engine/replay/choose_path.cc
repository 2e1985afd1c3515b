#include "engine/replay/choose_path.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/fault.h"

namespace reprise::engine {
namespace {

constexpr RunMode kUnrecorded[] = {RunMode::eager, RunMode::static_graph,
                                   RunMode::compiled};  // by graph_opt_level

bool decodes_only(const StepShape& step) {
  return step.prefill_tokens == 0;
}

}  // namespace

StepPath choose_path(const ResolvedGraph& graph, const CaptureStates& states, const StepShape& step) {
  const GraphConfig& config = graph.config;
  const auto not_replayed = [&](NotReplayed reason) {
    return StepPath{.mode = kUnrecorded[config.graph_opt_level], .reason = reason};
  };
  if (!config.use_cudagraph) return not_replayed(NotReplayed::cudagraph_off);
  if (step.scores_prompt) return not_replayed(NotReplayed::scores_prompt);
  const bool decode = decodes_only(step);
  const SizeList& list = decode ? graph.decode : graph.prefill;
  if (decode && list.sizes.empty()) return not_replayed(NotReplayed::decode_not_captured);
  // The parts between attentions don't ask whose tokens they are; a recording of a whole prefill step does.
  if (!decode && step.decode_tokens > 0 && (list.sizes.empty() || config.cudagraph_only_prefill))
    return not_replayed(NotReplayed::mixed_not_captured);
  if (list.sizes.empty()) return not_replayed(NotReplayed::prefill_not_captured);
  const int64_t tokens = step.tokens();
  if (!decode && tokens > config.max_capture_shape_prefill)
    return not_replayed(NotReplayed::above_max_capture_shape_prefill);

  const auto& sizes = list.sizes;
  auto first = static_cast<size_t>(std::lower_bound(sizes.begin(), sizes.end(), tokens) - sizes.begin());
  if (fault_is_on(Fault::path_takes_smaller_size) && first > 0) --first;
  if (first == sizes.size()) return not_replayed(NotReplayed::above_largest_size);
  const std::span<const CaptureState> state = decode ? states.decode : states.prefill;
  REPRISE_CHECK(state.size() == sizes.size(), "{} states of {} captured sizes", state.size(), sizes.size());
  NotReplayed reason = NotReplayed::capture_failed;
  for (size_t i = first; i < sizes.size(); ++i) {
    if (state[i] == CaptureState::pending) reason = NotReplayed::capture_pending;
    if (state[i] != CaptureState::captured && state[i] != CaptureState::in_parts) continue;
    const bool split = state[i] == CaptureState::in_parts || (!decode && graph.split_at_attention());
    const int64_t size = list.any_size ? tokens : sizes[i];
    return {.mode = split ? RunMode::split : RunMode::replay,
            .recording = i,
            .captured_size = size,
            .padding = size - tokens};
  }
  return not_replayed(reason);
}

void count(const StepPath& path, StepCounts& counts) {
  if (!path.replayed()) {
    ++counts.not_replayed[static_cast<size_t>(path.reason)];
    return;
  }
  ++counts.replayed;
  if (path.mode == RunMode::split) ++counts.split;
  counts.replayed_tokens += path.captured_size - path.padding;
  counts.padding_tokens += path.padding;
}

std::string explain(const ResolvedGraph& graph, const StepShape& step, const StepPath& path) {
  const bool decode = decodes_only(step);
  const SizeList& list = decode ? graph.decode : graph.prefill;
  const std::string what = decode ? fmt::format("a decode step of {} tokens", step.tokens())
                           : step.decode_tokens == 0
                               ? fmt::format("a prefill step of {} tokens", step.tokens())
                               : fmt::format("a mixed step of {} decode and {} prefill tokens",
                                             step.decode_tokens, step.prefill_tokens);
  if (path.replayed()) {
    const std::string on =
        list.any_size
            ? fmt::format("the one recording of every size up to {}, no padding", list.largest())
            : fmt::format("the recording of {} tokens, {} of them padding", path.captured_size, path.padding);
    if (path.mode == RunMode::replay) return fmt::format("{} is replayed on {}", what, on);
    return fmt::format(
        "{} is replayed in parts on {}, {} run between them", what, on,
        decode || !graph.split_at_attention() ? "the ops that can't be captured" : "attention");
  }
  constexpr std::string_view kHow[] = {"the model's code runs launch by launch",
                                       "the static graph runs launch by launch",
                                       "the compiled graph runs launch by launch"};
  std::string why(text_of(path.reason));
  if (path.reason == NotReplayed::above_largest_size)
    why += fmt::format(" ({} > {})", step.tokens(), list.largest());
  if (path.reason == NotReplayed::above_max_capture_shape_prefill)
    why += fmt::format(" ({} > {})", step.tokens(), graph.config.max_capture_shape_prefill);
  return fmt::format("{} is not replayed: {}; {}", what, why, kHow[graph.config.graph_opt_level]);
}

}  // namespace reprise::engine
