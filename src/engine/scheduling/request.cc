#include "engine/scheduling/request.h"

namespace reprise::engine {

std::string_view name_of(FinishReason reason) {
  constexpr std::array<std::string_view, 5> names = {"", "stop", "length", "abort", "error"};
  return names[static_cast<size_t>(reason)];
}

namespace {

struct Reason {
  std::string_view code, text;
};
constexpr std::array<Reason, kNotReplayedReasons> kReasons = {{
    {"cudagraph_off", "use_cudagraph is off"},
    {"decode_not_captured", "decode steps are not captured (cudagraph_only_prefill)"},
    {"prefill_not_captured",
     "prefill steps are not captured (they are with full_cuda_graph false, or cudagraph_only_prefill)"},
    {"mixed_not_captured",
     "steps with both prompts and decoding are not captured (they are with "
     "full_cuda_graph false)"},
    {"above_largest_size", "more tokens than the largest captured size"},
    {"above_max_capture_shape_prefill", "more tokens than max_capture_shape_prefill"},
    {"scores_prompt", "log-probabilities of prompt tokens need hidden states that no recording keeps"},
    {"capture_pending", "no size that holds the step is captured yet"},
    {"capture_failed", "the capture failed or did not pass verification"},
}};

}  // namespace

std::string_view code_of(NotReplayed reason) {
  return kReasons[static_cast<size_t>(reason)].code;
}

std::string_view text_of(NotReplayed reason) {
  return kReasons[static_cast<size_t>(reason)].text;
}

StepCounts& StepCounts::operator+=(const StepCounts& other) {
  replayed += other.replayed;
  split += other.split;
  replayed_tokens += other.replayed_tokens;
  padding_tokens += other.padding_tokens;
  for (size_t i = 0; i < kNotReplayedReasons; ++i) not_replayed[i] += other.not_replayed[i];
  return *this;
}

}  // namespace reprise::engine
