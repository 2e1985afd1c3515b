// `reprise bench levels`: the same batches op by op, on the static graph, compiled, and replayed. The ways take turns
// in every round, so that a ratio compares runs of the same moment. A row has the time of each way and its
// speedup over level 0, the median of the ratios of the rounds.
#include <algorithm>
#include <string>

#include "cli/bench_batch.h"
#include "cli/command_line.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "cli/say.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

#include <fmt/core.h>

namespace reprise::cli {
namespace {

struct Way {
  const char* name;
  const char* graph_optimization_config;
};
constexpr Way kWays[] = {{"level 0", R"({"graph_opt_level": 0})"},
                         {"level 0 + replay", R"({"graph_opt_level": 0, "use_cudagraph": true})"},
                         {"level 1", R"({"graph_opt_level": 1})"},
                         {"level 1 + replay", R"({"graph_opt_level": 1, "use_cudagraph": true})"},
                         {"level 2", R"({"graph_opt_level": 2})"},
                         {"level 2 + replay", R"({"graph_opt_level": 2, "use_cudagraph": true})"}};

bool has(const Way& way, std::string_view text) {
  return std::string_view(way.graph_optimization_config).find(text) != std::string_view::npos;
}

// A way with its model.
struct Loaded {
  const Way& way;
  LanguageModel model;
};

// Level 2 is left out, with a warning, where nothing can compile.
std::vector<Loaded> load_ways(const LoadOptions& options) {
  std::vector<Loaded> loaded;
  for (const Way& way : kWays) {
    LoadOptions load = options;
    load.graph_optimization_config = way.graph_optimization_config;
    load.capture_before_ready = has(way, "cudagraph");
    load.compile_before_ready = has(way, "\"graph_opt_level\": 2");
    try {
      loaded.push_back({way, load_model(load)});
    } catch (const Error& error) {
      if (!*load.compile_before_ready) throw;
      say_warning(fmt::format("{} is left out: {}", way.name, error.what()));
    }
  }
  return loaded;
}

// By way and round.
struct Times {
  explicit Times(size_t ways) : us(ways) {}
  std::vector<std::vector<double>> us;

  // Median over the rounds of this way's time over level 0's of the same round.
  double ratio(size_t way) const {
    std::vector<double> ratios;
    for (size_t i = 0; i < us[way].size(); ++i) ratios.push_back(us[0][i] / us[way][i]);
    return median_of(ratios);
  }
};

Json row_json(const std::string& what, const std::vector<Loaded>& ways, const Times& times) {
  Json row = {{"what", what}, {"ways", Json::array()}};
  for (size_t way = 0; way < ways.size(); ++way)
    row["ways"].push_back(
        {{"name", ways[way].way.name}, {"us", spread(times.us[way])}, {"speedup", times.ratio(way)}});
  return row;
}

}  // namespace

int run_levels(BenchFlags flags) {
  if (!flags.load.graph_optimization_config.empty() || flags.load.use_cudagraph.has_value() ||
      !flags.load.graph_opt.empty())
    throw UsageError(
        "[bench levels] measures every level; leave out --graph-optimization-config, --use-cudagraph and "
        "--graph-opt");
  fit_limits(flags, *std::max_element(flags.batch_sizes.begin(), flags.batch_sizes.end()));
  std::vector<Loaded> ways = load_ways(flags.load);
  Json rows = Json::array();
  for (const int64_t batch : flags.batch_sizes) {
    Times prefill(ways.size()), decode(ways.size());
    for (int round = -1; round < flags.repeat; ++round)
      for (size_t way = 0; way < ways.size(); ++way) {
        const std::vector<Prompt> prompts =
            random_prompts(ways[way].model, batch, flags.input_len, flags.output_len, 1);
        const BatchTimes times = time_batch(ways[way].model, prompts);
        if (round < 0) continue;  // warm-up
        prefill.us[way].push_back(times.prefill_s * 1e6);
        decode.us[way].push_back(times.decode_s * 1e6 * static_cast<double>(batch) /
                                 static_cast<double>(times.decode_tokens));
      }
    rows.push_back(row_json(fmt::format("decode step, batch {}", batch), ways, decode));
    rows.push_back(row_json(fmt::format("prefill of {} x {}", batch, flags.input_len), ways, prefill));
  }
  const ModelInfo info = ways.front().model.info();
  TextOutput& out = TextOutput::standard();
  if (flags.json) {
    const Json report = {{"machine", {{"cpu", cpu_name()}, {"isa", info.isa}, {"threads", info.threads}}},
                         {"model", {{"parameters", info.parameters}, {"dtype", info.dtype}}},
                         {"rows", rows}};
    out.print("{}\n", to_json_text(report));
    return 0;
  }
  out.print("{}, {}, {} threads; medians of {} rounds in turn, in brackets the paired speedup over level 0\n",
            cpu_name(), info.isa, info.threads, flags.repeat);
  out.write("| us |");
  for (const Loaded& loaded : ways) out.print(" {} |", loaded.way.name);
  out.write("\n|---|");
  for (size_t way = 0; way < ways.size(); ++way) out.write("---|");
  out.write("\n");
  for (const Json& row : rows) {
    out.print("| {} |", row["what"].get<std::string>());
    for (const Json& way : row["ways"])
      out.print(" {:.1f} ({:.2f}) |", way["us"]["median"].get<double>(), way["speedup"].get<double>());
    out.write("\n");
  }
  return 0;
}

}  // namespace reprise::cli
