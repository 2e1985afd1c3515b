// `reprise bench latency|throughput`: how fast this model is on this machine, beside what the memory allows.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "core/thread_team.h"
#include "kernels/cpu/bandwidth_probe.h"

namespace reprise::cli {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

struct Flags {
  LoadOptions load;
  int64_t input_len = 512;
  int64_t output_len = 64;
  std::vector<int64_t> batch_sizes = {1};
  int repeat = 5;
  int64_t num_prompts = 64;
  bool json = false;
};

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

// Times of one batch: prefill is from the call to the last first token, decode everything after.
struct BatchTimes {
  double prefill_s = 0;
  double decode_s = 0;
  int64_t decode_tokens = 0;
  double first_token_s = 0;  // of the first prompt
};

BatchTimes time_batch(LanguageModel& model, const std::vector<Prompt>& prompts) {
  BatchTimes times;
  std::vector<bool> started(prompts.size(), false);
  size_t waiting = prompts.size();
  const auto start = Clock::now();
  auto all_started = start;
  const std::vector<Result> results = model.generate(prompts, [&](const StreamEvent& event) {
    if (event.token_ids.empty()) return true;
    if (waiting == 0) times.decode_tokens += static_cast<int64_t>(event.token_ids.size());
    if (!started[event.prompt]) {
      started[event.prompt] = true;
      if (event.prompt == 0) times.first_token_s = seconds(Clock::now() - start);
      if (--waiting == 0) all_started = Clock::now();
    }
    return true;
  });
  for (const Result& result : results)
    if (!result.error.empty()) throw Error("[bench] {}", result.error);
  times.prefill_s = seconds(all_started - start);
  times.decode_s = seconds(Clock::now() - all_started);
  return times;
}

// Host time of a decode step outside of the kernels, from a trace of one more run.
double overhead_us(LanguageModel& model, const std::vector<Prompt>& prompts) {
  model.start_trace();
  model.generate(prompts);
  const double overhead = model.trace_overhead_us();
  model.stop_trace();
  return overhead;
}

struct Bandwidth {
  std::vector<double> samples;
  void measure(int threads) {
    ThreadTeam team(threads);
    samples.push_back(kernels::cpu::read_bandwidth(team));
  }
};

Json machine_json(const LanguageModel& model, const Bandwidth& bandwidth) {
  return {{"cpu", cpu_name()},
          {"isa", model.info().isa},
          {"threads", model.info().threads},
          {"read_bandwidth_gb_s", median_of(bandwidth.samples)},
          {"read_bandwidth_samples", bandwidth.samples}};
}

Json model_json(const LanguageModel& model) {
  const ModelInfo info = model.info();
  return {{"architecture", info.architecture}, {"parameters", info.parameters},
          {"weight_bytes", info.weight_bytes}, {"kv_bytes", info.kv_bytes},
          {"arena_bytes", info.arena_bytes},   {"dtype", info.dtype}};
}

void fit_limits(Flags& flags, int64_t largest_batch) {
  flags.load.max_num_seqs = std::max(flags.load.max_num_seqs, largest_batch);
  if (flags.load.max_model_len == 0) flags.load.max_model_len = flags.input_len + flags.output_len;
  if (flags.input_len < 1 || flags.output_len < 2 || flags.repeat < 1 || largest_batch < 1)
    throw Error("[bench] needs --input-len >= 1, --output-len >= 2, --repeat >= 1 and batches >= 1");
}

int run_latency(Flags flags) {
  fit_limits(flags, *std::max_element(flags.batch_sizes.begin(), flags.batch_sizes.end()));
  LanguageModel model = load_model(flags.load);
  // The warm-up also settles the peak of memory, before the probe adds its own.
  for (const int64_t batch : flags.batch_sizes)
    time_batch(model, random_prompts(model, batch, flags.input_len, 4, 2));
  const size_t peak = peak_rss_bytes();
  Bandwidth bandwidth;
  Json results = Json::array();
  for (const int64_t batch : flags.batch_sizes) {
    const std::vector<Prompt> prompts = random_prompts(model, batch, flags.input_len, flags.output_len, 1);
    std::vector<double> prefill, decode, first;
    for (int i = 0; i < flags.repeat; ++i) {
      bandwidth.measure(model.info().threads);
      const BatchTimes times = time_batch(model, prompts);
      bandwidth.measure(model.info().threads);
      prefill.push_back(static_cast<double>(batch * flags.input_len) / times.prefill_s);
      decode.push_back(static_cast<double>(times.decode_tokens) / times.decode_s);
      first.push_back(times.first_token_s);
    }
    const double read_gb_s = median_of(decode) / static_cast<double>(batch) *
                             static_cast<double>(model.info().bytes_read_per_step) / 1e9;
    results.push_back({{"batch_size", batch},
                       {"input_len", flags.input_len},
                       {"output_len", flags.output_len},
                       {"prefill_tokens_per_s", spread(prefill)},
                       {"decode_tokens_per_s", spread(decode)},
                       {"time_to_first_token_s", spread(first)},
                       {"weights_read_gb_s", read_gb_s},
                       {"bandwidth_share", read_gb_s / median_of(bandwidth.samples)},
                       {"overhead_us_per_step", overhead_us(model, prompts)}});
  }
  const Json report = {{"machine", machine_json(model, bandwidth)},
                       {"model", model_json(model)},
                       {"ready_s", model.info().load_s},
                       {"results", results},
                       {"peak_rss_bytes", peak}};
  if (flags.json) {
    std::printf("%s\n", to_json_text(report).c_str());
    return 0;
  }
  std::printf("%s, %s, %d threads, reads %.1f GB/s; %s weights, ready in %.2f s, peak memory %s\n",
              cpu_name().c_str(), model.info().isa.c_str(), model.info().threads,
              median_of(bandwidth.samples), size_text(model.info().weight_bytes).c_str(), model.info().load_s,
              size_text(peak).c_str());
  std::printf("%6s %6s %6s %16s %16s %10s %10s %12s\n", "batch", "input", "output", "prefill tok/s",
              "decode tok/s", "first ms", "of memory", "overhead us");
  for (const Json& row : results)
    std::printf("%6ld %6ld %6ld %16.1f %16.1f %10.1f %9.0f%% %12.1f\n", row["batch_size"].get<long>(),
                flags.input_len, flags.output_len, row["prefill_tokens_per_s"]["median"].get<double>(),
                row["decode_tokens_per_s"]["median"].get<double>(),
                row["time_to_first_token_s"]["median"].get<double>() * 1000,
                row["bandwidth_share"].get<double>() * 100, row["overhead_us_per_step"].get<double>());
  return 0;
}

int run_throughput(Flags flags) {
  fit_limits(flags, flags.load.max_num_seqs);
  LanguageModel model = load_model(flags.load);
  Bandwidth bandwidth;
  const std::vector<Prompt> prompts =
      random_prompts(model, flags.num_prompts, flags.input_len, flags.output_len, 1);
  std::vector<double> requests, tokens, output_tokens;
  for (int i = 0; i < flags.repeat; ++i) {
    bandwidth.measure(model.info().threads);
    const auto start = Clock::now();
    for (const Result& result : model.generate(prompts))
      if (!result.error.empty()) throw Error("[bench] {}", result.error);
    const double spent = seconds(Clock::now() - start);
    const auto count = static_cast<double>(flags.num_prompts);
    requests.push_back(count / spent);
    output_tokens.push_back(count * static_cast<double>(flags.output_len) / spent);
    tokens.push_back(count * static_cast<double>(flags.input_len + flags.output_len) / spent);
  }
  const Json report = {{"machine", machine_json(model, bandwidth)},
                       {"model", model_json(model)},
                       {"ready_s", model.info().load_s},
                       {"num_prompts", flags.num_prompts},
                       {"input_len", flags.input_len},
                       {"output_len", flags.output_len},
                       {"max_num_seqs", flags.load.max_num_seqs},
                       {"requests_per_s", spread(requests)},
                       {"tokens_per_s", spread(tokens)},
                       {"output_tokens_per_s", spread(output_tokens)},
                       {"peak_rss_bytes", peak_rss_bytes()}};
  if (flags.json)
    std::printf("%s\n", to_json_text(report).c_str());
  else
    std::printf(
        "%ld prompts of %ld tokens, %ld new each, %ld at a time: %.2f requests/s, %.1f tokens/s, of them "
        "%.1f new\n",
        flags.num_prompts, flags.input_len, flags.output_len, flags.load.max_num_seqs, median_of(requests),
        median_of(tokens), median_of(output_tokens));
  return 0;
}

void add_common(CLI::App& command, Flags& flags) {
  add_model_flags(command, flags.load);
  command.add_option("--input-len", flags.input_len, "tokens of a prompt");
  command.add_option("--output-len", flags.output_len, "new tokens of a prompt");
  command.add_option("--repeat", flags.repeat, "runs; medians are printed");
  command.add_flag("--json", flags.json, "one line of JSON");
}

}  // namespace

Run add_bench(CLI::App& program) {
  CLI::App* command = program.add_subcommand("bench", "How fast a model is on this machine");
  command->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  CLI::App* latency = command->add_subcommand(
      "latency", "prefill and decode of fixed batches, beside the memory's bandwidth");
  add_common(*latency, *flags);
  latency->add_option("--batch-size", flags->batch_sizes, "1,16")->delimiter(',');
  CLI::App* throughput = command->add_subcommand("throughput", "many prompts through the scheduler");
  add_common(*throughput, *flags);
  throughput->add_option("--num-prompts", flags->num_prompts, "prompts in all");
  return [flags, latency] { return latency->parsed() ? run_latency(*flags) : run_throughput(*flags); };
}

}  // namespace reprise::cli
