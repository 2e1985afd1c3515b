// `reprise bench latency|throughput`: how fast this model is on this machine, beside what the memory allows.
#include <algorithm>
#include <cstdio>
#include <memory>

#include "api/graph_report.h"
#include "cli/bench_batch.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"
#include "core/thread_team.h"
#include "device/cpu/bandwidth_probe.h"

namespace reprise::cli {
namespace {

// Host time of a decode step outside of the kernels, from a trace of one more run. The trace is also written
// to the file `trace` unless that is empty.
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
    samples.push_back(cpu::read_bandwidth(team));
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
  if (!flags.trace.empty()) TextOutput(flags.trace, "--trace");  // found before the model is loaded
  LanguageModel model = load_model(flags.load);
  // The peak of memory is read after the warm-up and before the bandwidth probe allocates its own.
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
                       {"compile", api::compile_json(model.graph_report().compile)},
                       {"peak_rss_bytes", peak}};
  report_graphs(model, flags.load);
  TextOutput& out = TextOutput::standard();
  if (flags.json) {
    out.print("{}\n", to_json_text(report));
    return 0;
  }
  const ModelInfo info = model.info();
  out.print("{}, {}, {} threads, reads {:.1f} GB/s; {} weights, ready in {:.2f} s, peak memory {}\n",
            cpu_name(), info.isa, info.threads, median_of(bandwidth.samples), size_text(info.weight_bytes),
            info.load_s, size_text(peak));
  out.print("{:>6} {:>6} {:>6} {:>16} {:>16} {:>10} {:>10} {:>12}\n", "batch", "input", "output",
            "prefill tok/s", "decode tok/s", "first ms", "of memory", "overhead us");
  for (const Json& row : results)
    out.print("{:>6} {:>6} {:>6} {:>16.1f} {:>16.1f} {:>10.1f} {:>9.0f}% {:>12.1f}\n",
              row["batch_size"].get<int64_t>(), flags.input_len, flags.output_len,
              row["prefill_tokens_per_s"]["median"].get<double>(),
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
                       {"compile", api::compile_json(model.graph_report().compile)},
                       {"peak_rss_bytes", peak_rss_bytes()}};
  if (flags.json)
    TextOutput::standard().print("{}\n", to_json_text(report));
  else
    TextOutput::standard().print(
        "{} prompts of {} tokens, {} new each, {} at a time: {:.2f} requests/s, {:.1f} tokens/s, of them "
        "{:.1f} new\n",
        flags.num_prompts, flags.input_len, flags.output_len, flags.load.max_num_seqs, median_of(requests),
        median_of(tokens), median_of(output_tokens));
  return 0;
}

constexpr int64_t kMostTokens = int64_t{1} << 24;  // of a sequence
constexpr int64_t kMostSeqs = 4096;                // --max-num-seqs has the same limit
constexpr int64_t kMostPrompts = 1'000'000;

using Runner = int (*)(BenchFlags);

std::shared_ptr<BenchFlags> add_kind(Command& command, Runner run) {
  auto flags = std::make_shared<BenchFlags>();
  flags->load.enable_prefix_caching =
      false;  // each run computes its prompts, which are those of the run before
  add_model_flags(command, flags->load);
  command.integer("--input-len", flags->input_len, 1, kMostTokens, "tokens of a prompt (512)");
  command.integer("--output-len", flags->output_len, 2, kMostTokens, "new tokens of a prompt (64)");
  command.integer("--repeat", flags->repeat, 1, 1'000'000, "runs; medians are printed (5)");
  command.on_off("--json", flags->json, "one line of JSON");
  command.action([flags, run] { return run(*flags); });
  return flags;
}

}  // namespace

void add_bench(Command& program) {
  Command& command =
      program.add_command("bench", "How fast a model is on this machine, and how a server holds under load");
  Command& latency =
      command.add_command("latency", "prefill and decode of fixed batches, beside the memory's bandwidth");
  const auto of_latency = add_kind(latency, run_latency);
  latency.integers("--batch-size", of_latency->batch_sizes, 1, kMostSeqs, "such as 1,16 (1)");
  latency.text("--trace", of_latency->trace,
               "write a Chrome trace of one more run of the last batch size to this file", "FILE");
  Command& throughput = command.add_command("throughput", "many prompts through the scheduler");
  const auto of_throughput = add_kind(throughput, run_throughput);
  throughput.integer("--num-prompts", of_throughput->num_prompts, 1, kMostPrompts, "prompts in all (64)");
  Command& levels = command.add_command(
      "levels",
      "eager, static, compiled and replayed steps side by side, in turn: what graph optimization gains here");
  const auto of_levels = add_kind(levels, run_levels);
  levels.integers("--batch-size", of_levels->batch_sizes, 1, kMostSeqs, "such as 1,4,16,64 (1)");
  add_bench_serve(command);
}

}  // namespace reprise::cli
