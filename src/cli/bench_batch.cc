#include "cli/bench_batch.h"

#include <algorithm>
#include <random>

#include "cli/command_line.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Json spread(const std::vector<double>& values) {
  return {{"median", median_of(values)},
          {"min", *std::min_element(values.begin(), values.end())},
          {"max", *std::max_element(values.begin(), values.end())}};
}

std::vector<Prompt> random_prompts(const LanguageModel& model, int64_t count, int64_t input_len,
                                   int64_t output_len, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Prompt> prompts(static_cast<size_t>(count));
  for (Prompt& prompt : prompts) {
    for (int64_t i = 0; i < input_len; ++i)
      prompt.token_ids.push_back(
          static_cast<int32_t>(random() % static_cast<uint64_t>(model.info().vocab_size)));
    prompt.sampling.temperature = 0;
    prompt.sampling.ignore_eos = true;
    prompt.sampling.max_tokens = static_cast<int>(output_len);
  }
  return prompts;
}

BatchTimes time_batch(LanguageModel& model, const std::vector<Prompt>& prompts) {
  BatchTimes times;
  std::vector<bool> started(prompts.size(), false);
  size_t waiting = prompts.size();
  const auto start = BenchClock::now();
  auto all_started = start;
  const std::vector<Result> results = model.generate(prompts, [&](const StreamEvent& event) {
    if (event.token_ids.empty()) return true;
    if (waiting == 0) times.decode_tokens += static_cast<int64_t>(event.token_ids.size());
    if (!started[event.prompt]) {
      started[event.prompt] = true;
      if (event.prompt == 0) times.first_token_s = seconds(BenchClock::now() - start);
      if (--waiting == 0) all_started = BenchClock::now();
    }
    return true;
  });
  for (const Result& result : results)
    if (!result.error.empty()) throw Error("[bench] {}", result.error);
  times.prefill_s = seconds(all_started - start);
  times.decode_s = seconds(BenchClock::now() - all_started);
  return times;
}

void fit_limits(BenchFlags& flags, int64_t largest_batch) {
  flags.load.max_num_seqs = std::max(flags.load.max_num_seqs, largest_batch);
  if (flags.load.max_model_len == 0) flags.load.max_model_len = flags.input_len + flags.output_len;
  if (flags.input_len + flags.output_len > flags.load.max_model_len)
    throw UsageError(
        "[bench] --input-len {} and --output-len {} exceed --max-model-len {}; raise --max-model-len to {}",
        flags.input_len, flags.output_len, flags.load.max_model_len, flags.input_len + flags.output_len);
}

}  // namespace reprise::cli
