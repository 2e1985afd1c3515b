// How many prompt tokens a step may compute beside sequences that decode, so that these get their next tokens within a
// given time (--target-itl-ms). Learned from the times of the steps before; bits don't depend on it, since a prompt
// computed in other chunks gives the same ones.
#pragma once

#include <cstdint>

namespace reprise::engine {

// Thread of the engine only.
class PrefillPace {
 public:
  // The smallest chunk: below it a prompt would take for ever, whatever the target.
  static constexpr int64_t kLeastTokens = 16;

  // `target_s`: of a step, > 0; 0: no limit.
  explicit PrefillPace(double target_s) : target_s_(target_s) {}

  // A step with these tokens took `seconds`.
  void add(int64_t decode_tokens, int64_t prefill_tokens, double seconds);
  // INT64_MAX: no limit. Before anything was measured, the smallest chunk. So many that prompts get a third of the time
  // where decoding takes most of the target.
  int64_t most_prefill_tokens() const;

 private:
  double target_s_;
  double decode_s_ = 0;       // a step that only decodes: what prompts don't change
  double per_prefill_s_ = 0;  // each prompt token on top of that; 0: not known
};

}  // namespace reprise::engine
