// `reprise bench latency|throughput`: how fast this model is on this machine, beside what the memory allows.
#include <algorithm>
#include <cstdio>

#include "cli/bench_batch.h"
#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "core/thread_team.h"
#include "kernels/cpu/bandwidth_probe.h"

namespace reprise::cli {
namespace {

// Host time of a decode step outside of the kernels, from a trace of one more run, which goes to the file too
// where there is one to be.
double overhead_us(LanguageModel& model, const std::vector<Prompt>& prompts, const std::string& trace) {
  model.start_trace();
  model.generate(prompts);
  const double overhead = model.trace_overhead_us();
  model.stop_trace();
  if (!trace.empty()) {
    model.write_trace(trace);
    std::fprintf(stderr, "%s", model.trace_summary().c_str());
  }
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

int run_latency(BenchFlags flags) {
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
                       {"overhead_us_per_step", overhead_us(model, prompts, flags.trace)}});
  }
  const Json report = {{"machine", machine_json(model, bandwidth)},
                       {"model", model_json(model)},
                       {"ready_s", model.info().load_s},
                       {"results", results},
                       {"peak_rss_bytes", peak}};
  report_graphs(model, flags.load);
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

int run_throughput(BenchFlags flags) {
  fit_limits(flags, flags.load.max_num_seqs);
  LanguageModel model = load_model(flags.load);
  Bandwidth bandwidth;
  const std::vector<Prompt> prompts =
      random_prompts(model, flags.num_prompts, flags.input_len, flags.output_len, 1);
  std::vector<double> requests, tokens, output_tokens;
  for (int i = 0; i < flags.repeat; ++i) {
    bandwidth.measure(model.info().threads);
    const auto start = BenchClock::now();
    for (const Result& result : model.generate(prompts))
      if (!result.error.empty()) throw Error("[bench] {}", result.error);
    const double spent = seconds(BenchClock::now() - start);
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

void add_common(CLI::App& command, BenchFlags& flags) {
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
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* latency = command->add_subcommand(
      "latency", "prefill and decode of fixed batches, beside the memory's bandwidth");
  add_common(*latency, *flags);
  latency->add_option("--batch-size", flags->batch_sizes, "1,16")->delimiter(',');
  latency->add_option("--trace", flags->trace,
                      "write a Chrome trace of one more run of the last batch size to this file");
  CLI::App* throughput = command->add_subcommand("throughput", "many prompts through the scheduler");
  add_common(*throughput, *flags);
  throughput->add_option("--num-prompts", flags->num_prompts, "prompts in all");
  CLI::App* levels = command->add_subcommand(
      "levels", "eager, static and replayed steps side by side, in turn: what graph optimisation gains here");
  add_common(*levels, *flags);
  levels->add_option("--batch-size", flags->batch_sizes, "1,4,16,64")->delimiter(',');
  return [flags, latency, levels] {
    if (latency->parsed()) return run_latency(*flags);
    return levels->parsed() ? run_levels(*flags) : run_throughput(*flags);
  };
}

}  // namespace reprise::cli
