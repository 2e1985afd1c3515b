// What the kinds of `reprise bench` share: their flags, batches of random prompts, and how one is timed.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "reprise/reprise.h"

namespace reprise::cli {

using BenchClock = std::chrono::steady_clock;

inline double seconds(BenchClock::duration d) {
  return std::chrono::duration<double>(d).count();
}

struct BenchFlags {
  LoadOptions load;
  int64_t input_len = 512;
  int64_t output_len = 64;
  std::vector<int64_t> batch_sizes = {1};
  int repeat = 5;
  int64_t num_prompts = 64;
  std::string trace;  // of latency's last batch size; empty: none is written
  bool json = false;
};

// Raises the limits of `flags.load` so that the largest batch and its lengths fit. Throws UsageError where a
// limit that was given is too low.
void fit_limits(BenchFlags& flags, int64_t largest_batch);

double median_of(std::vector<double> values);
Json spread(const std::vector<double>& values);  // {"median":..,"min":..,"max":..}

// Greedy, and never ended by an end-of-text token.
std::vector<Prompt> random_prompts(const LanguageModel& model, int64_t count, int64_t input_len,
                                   int64_t output_len, uint64_t seed);

// Times of one batch: prefill is from the call to the last first token, decode everything after.
struct BatchTimes {
  double prefill_s = 0;
  double decode_s = 0;
  int64_t decode_tokens = 0;
  double first_token_s = 0;  // of the first prompt
};
BatchTimes time_batch(LanguageModel& model, const std::vector<Prompt>& prompts);

// `reprise bench levels` (bench_levels.cc).
int run_levels(BenchFlags flags);

}  // namespace reprise::cli
