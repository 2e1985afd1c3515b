#include "engine/scheduling/prefill_pace.h"

#include <algorithm>
#include <limits>

namespace reprise::engine {
namespace {

// Weight of a new step. Slow ones count more, so that few steps are longer than the target; one that was slow for another
// reason (a capture, a busy machine) is forgotten after some twenty.
constexpr double kSlower = 0.5, kFaster = 0.1;

void blend(double& value, double measured) {
  value = value == 0 ? measured : value + (measured > value ? kSlower : kFaster) * (measured - value);
}

}  // namespace

void PrefillPace::add(int64_t decode_tokens, int64_t prefill_tokens, double seconds) {
  if (target_s_ == 0) return;
  if (prefill_tokens == 0)
    blend(decode_s_, seconds);
  else if (decode_tokens > 0 && seconds > decode_s_)
    blend(per_prefill_s_, (seconds - decode_s_) / static_cast<double>(prefill_tokens));
}

int64_t PrefillPace::most_prefill_tokens() const {
  if (target_s_ == 0) return std::numeric_limits<int64_t>::max();
  if (per_prefill_s_ == 0) return kLeastTokens;
  // Where decoding alone takes most of the target, or more, prompts still get a third of the time.
  const double seconds = std::max(target_s_ - decode_s_, decode_s_ / 2);
  constexpr double kMost = 1e9;
  return std::max(kLeastTokens, static_cast<int64_t>(std::min(kMost, seconds / per_prefill_s_)));
}

}  // namespace reprise::engine
