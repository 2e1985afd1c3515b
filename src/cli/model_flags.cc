#include "cli/model_flags.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "engine/graph_config.h"
#include "models/load_model.h"
#include "weights/checkpoint.h"

namespace reprise::cli {

size_t parse_size(const std::string& text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(end, static_cast<const char*>(text.data() + text.size()));
  static const std::pair<const char*, double> kUnits[] = {
      {"", 1},        {"B", 1},         {"KB", 1e3},   {"MB", 1e6},    {"GB", 1e9},
      {"TB", 1e12},   {"K", 1024},      {"KiB", 1024}, {"M", 1 << 20}, {"MiB", 1 << 20},
      {"G", 1 << 30}, {"GiB", 1 << 30}, {"T", 0x1p40}, {"TiB", 0x1p40}};
  if (error == std::errc() && number >= 0)
    for (const auto& [name, factor] : kUnits)
      if (unit == name && number * factor < 0x1p60) return static_cast<size_t>(std::llround(number * factor));
  throw Error("'{}' is no size; write bytes, or a number with KB, MB, GB, KiB, MiB or GiB", text);
}

std::string size_text(size_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.1f} kB", value / 1e3);
}

CLI::Option* add_size_option(CLI::App& command, const std::string& name, size_t& value,
                             const std::string& help) {
  return command.add_option_function<std::string>(
      name,
      [name, &value](const std::string& text) {
        try {
          value = parse_size(text);
        } catch (const Error& e) {
          throw CLI::ValidationError(name, e.what());
        }
      },
      help);
}

namespace {

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) std::fprintf(stderr, "reprise: warning: %s\n", warning.c_str());
}

// Predicted beside actual, where graph optimisation is asked for: its arenas are planned, not found out.
void print_memory(const ModelInfo& info) {
  std::fprintf(stderr, "%-14s %12s %12s\n", "memory", "predicted", "actual");
  MemoryUse total{.what = "total"};
  const auto row = [](const MemoryUse& use) {
    std::fprintf(stderr, "%-14s %12s %12s\n", use.what.c_str(), size_text(use.predicted).c_str(),
                 size_text(use.actual).c_str());
  };
  for (const MemoryUse& use : info.memory) {
    row(use);
    total.predicted += use.predicted;
    total.actual += use.actual;
  }
  row(total);
}

bool asks_for_graphs(const LoadOptions& options) {
  return !options.graph_optimization_config.empty() || options.use_cudagraph.value_or(false) ||
         !options.graph_opt.empty() || options.capture_before_ready;
}

void add_graph_flags(CLI::App& command, LoadOptions& options) {
  const auto add = [&](const std::string& name, std::string& value, const std::string& help) {
    return command.add_option(name, value, help)->group("Graph optimisation");
  };
  add("--graph-optimization-config", options.graph_optimization_config,
      R"(JSON, such as {"graph_opt_level": 1, "use_cudagraph": true}; docs/graph-optimization.md)")
      ->check([](const std::string& json) { return json.empty() ? "is empty; give a JSON object" : ""; });
  command
      .add_flag_function(
          "--use-cudagraph", [&options](int64_t count) { options.use_cudagraph = count > 0; },
          "record launches once and replay them; short for {\"use_cudagraph\": true}")
      ->group("Graph optimisation");
  add("--graph-verify", options.graph_verify,
      "off | startup | sample=N: compare every captured size, or one step in N, with the model's own code");
  add("--graph-opt", options.graph_opt, "auto: measure the ways to run a step at start and keep the fastest");
  command
      .add_flag("--capture-before-ready", options.capture_before_ready,
                "capture every size before the first request, not between steps")
      ->group("Graph optimisation");
}

}  // namespace

void add_model_flags(CLI::App& command, LoadOptions& options) {
  const auto add = [&](const std::string& name, auto& value, const std::string& help) {
    return command.add_option(name, value, help)->group("Model");
  };
  add("--model", options.model, "folder with config.json and weights, or a .gguf file")->required();
  add("--tokenizer", options.tokenizer, "folder with a tokenizer.json to use instead of the model's own");
  add("--chat-template", options.chat_template,
      "file with a Jinja template to use instead of the model's own");
  add("--dtype", options.dtype, "auto | float32 | bfloat16");
  add("--isa", options.isa, "auto | scalar | avx2 | avx512 | avx512_bf16 | amx");
  command
      .add_option_function<std::string>(
          "--load-choices",
          [&options](const std::string& choice) {
            if (choice != "default" && choice != "dummy")
              throw CLI::ValidationError("--load-choices", "default or dummy");
            options.random_weights = choice == "dummy";
          },
          "default, or dummy: random weights from config.json alone")
      ->group("Model");
  add("--threads", options.threads, "0: every core this process may use");
  add("--max-model-len", options.max_model_len,
      "positions a sequence may have; 0: 2048, or fewer if the model has fewer");
  add("--max-num-seqs", options.max_num_seqs, "sequences in a step");
  add("--max-num-batched-tokens", options.max_num_batched_tokens, "tokens in a step; 0: 8192");
  command
      .add_flag("--enable-chunked-prefill,!--no-enable-chunked-prefill", options.enable_chunked_prefill,
                "cut long prompts into steps (on)")
      ->group("Model");
  add("--block-size", options.block_size, "positions per KV block, a multiple of 16");
  add("--num-gpu-blocks-override", options.num_gpu_blocks_override, "KV blocks; 0: from --kv-cache-memory");
  add_size_option(command, "--kv-cache-memory", options.kv_cache_memory,
                  "memory of the KV cache, such as 2GiB")
      ->group("Model");
  add("--gpu-memory-utilization", options.gpu_memory_utilization,
      "share of the free memory that may be used in all, where neither of these two is given");
  add("--max-partition-size", options.max_partition_size,
      "keys per attention partition; 0: FLAGS_max_partition_size or 32768");
  add("--max-logprobs", options.max_logprobs, "the most log-probabilities a prompt may ask for; -1: all");
  add_graph_flags(command, options);
}

LanguageModel load_model(const LoadOptions& options) {
  LanguageModel model = LanguageModel::load(options);
  warn(model.info().warnings);
  if (asks_for_graphs(options)) print_memory(model.info());
  return model;
}

void report_graphs(const LanguageModel& model, const LoadOptions& options) {
  if (!asks_for_graphs(options)) return;
  const GraphReport report = model.graph_report();
  std::fprintf(stderr, "%s", report.text().c_str());
  if (report.steps_differing > 0)
    throw Error(
        "[--graph-verify] {} of {} steps differ from the model's own code, so their output is wrong: {}; run "
        "with graph_opt_level 0 and without use_cudagraph, and report it",
        report.steps_differing, report.steps_verified, report.difference);
}

api::ModelSetup set_up_to_look(const LoadOptions& options) {
  api::ModelSetup setup = api::set_up_model(options);
  if (setup.engine.graph.choose_level) {
    setup.engine.graph = engine::graph_candidates(setup.engine.graph, /*has_compiler=*/false).back();
    setup.warnings.push_back("--graph-opt auto measures at start; this is of the way to run that needs most");
  }
  warn(setup.warnings);
  return setup;
}

std::unique_ptr<const models::Model> load_weights(const api::ModelSetup& setup, const LoadOptions& options,
                                                  ThreadTeam& team) {
  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(setup.path);
  return models::load_model(setup.config, checkpoint.get(), setup.dtype, team);
}

}  // namespace reprise::cli
