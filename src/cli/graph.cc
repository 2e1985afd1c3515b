// `reprise graph`: the static graph of a step after the passes, or after one of them, as text, DOT or an HTML
// page; the kernels of level 2; and a Chrome trace of one decode step.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>

#include "api/model_setup.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/kernel_look.h"
#include "cli/model_flags.h"
#include "core/device.h"
#include "core/error.h"
#include "core/process_limits.h"
#include "core/profiler.h"
#include "core/text_output.h"
#include "core/thread_team.h"
#include "engine/kv/kv_store.h"
#include "engine/runner/runner.h"
#include "engine/verify/dry_step.h"
#include "graph/report/report.h"
#include "graph/text.h"
#include "models/load_model.h"

namespace reprise::cli {
namespace {

struct GraphFlags {
  LoadOptions load;
  std::string pass;
  std::string format = "text";
  std::string kernel;
  std::string output;
  int64_t batch = 1;

  bool of_one_kernel() const { return format == "loop" || format == "llvm" || format == "asm"; }
};

constexpr std::string_view kTraced = "traced";

std::vector<std::string> pass_names() {
  std::vector<std::string> names = {std::string(kTraced)};
  for (const graph::Pass& pass : graph::pass_list())
    if (std::find(names.begin(), names.end(), pass.name) == names.end()) names.emplace_back(pass.name);
  return names;
}

// "self_attn" of "model.layers.3.self_attn" for layer 3, "" for its own ops; nothing for what is elsewhere.
std::optional<std::string> part_of_layer(std::string_view path, int64_t layer) {
  const std::string middle = fmt::format("layers.{}", layer);
  const size_t at = path.find(middle);
  if (at == std::string_view::npos || (at > 0 && path[at - 1] != '.')) return std::nullopt;
  const std::string_view rest = path.substr(at + middle.size());
  if (rest.empty()) return "";
  if (rest[0] != '.') return std::nullopt;
  return std::string(rest.substr(1));
}

// Launches of one layer in the middle, by part, and of the whole step: the code's own beside those after the
// passes.
void print_launches(engine::DryStep& step, const engine::StepGraphs& graphs, int64_t layer) {
  std::map<std::string, std::array<size_t, 2>> parts;
  std::array<size_t, 2> of_layer{}, of_step{};
  const graph::Graph* levels[] = {&graphs.traced, &graphs.step};
  for (size_t level = 0; level < 2; ++level) {
    graph::Executor dry(*levels[level], step.lay_out(*levels[level], step.decode_sizes()), nullptr,
                        step.stream());
    capture::Recorder recorder;
    step.stream().begin_recording(recorder);
    dry.run();
    step.stream().end_recording();
    for (const capture::RecordedLaunch& launch : recorder.recording.launches()) {
      ++of_step[level];
      if (const auto part = part_of_layer(launch.layer, layer)) {
        ++of_layer[level];
        ++parts[part->empty() ? "(layer)" : *part][level];
      }
    }
  }
  std::fprintf(stderr, "%-28s %8s %8s\n", fmt::format("launches of layer {}", layer).c_str(), "level 0",
               graphs.groups.empty() ? "level 1" : "level 2");
  for (const auto& [part, counts] : parts)
    std::fprintf(stderr, "  %-26s %8zu %8zu\n", part.c_str(), counts[0], counts[1]);
  std::fprintf(stderr, "%-28s %8zu %8zu\n%-28s %8zu %8zu\n", "a layer", of_layer[0], of_layer[1], "a step",
               of_step[0], of_step[1]);
}

std::vector<std::string> marks_of(engine::DryStep& step, const graph::Graph& graph,
                                  const graph::MemoryPlan& plan, const engine::GraphConfig& config) {
  if (!config.use_cudagraph) return {};
  const MemoryRange untouched(host_memory(), plan.bytes);
  graph::Executor executor(graph, plan, untouched.data(), step.stream());
  const engine::CapturedStep captured(executor, step.stream(), plan.largest, !config.full_cuda_graph);
  std::vector<std::string> marks(graph.nodes.size(), "replayed");
  for (const engine::Split& split : captured.splits())
    marks[static_cast<size_t>(split.node)] = fmt::format("split: {}", split.op);
  return marks;
}

void write(const std::string& text, const std::string& path) {
  if (path.empty()) {
    TextOutput::standard().write(text);
    return;
  }
  TextOutput file(path, "-o");
  file.write(text);
  file.close();
}

int run_report(const GraphFlags& flags, const api::ModelSetup& setup) {
  const engine::EngineConfig config = setup.engine.resolved();
  ThreadTeam team(1);
  const api::OwnedServices services = api::make_services(setup, team, api::Purpose::look);
  const std::unique_ptr<const models::Model> model =
      models::model_skeleton(setup.config, setup.dtype, *services.device);
  engine::DryStep step(*model, services.services(), config);
  std::optional<graph::Graph> after;  // of a pass in the list more than once: the last time
  const engine::StepGraphs graphs =
      step.trace(std::max(1, config.graph.graph_opt_level),
                 {.disabled = {}, .after_each = [&](const graph::Pass& pass, const graph::Graph& g) {
                    if (pass.name == flags.pass) after = g;
                  }});
  const graph::Graph& shown = after ? *after : flags.pass == kTraced ? graphs.traced : graphs.step;
  print_launches(step, graphs, setup.config.num_layers / 2);
  if (flags.format == "text") {
    write(graph::print(shown), flags.output);
    return 0;
  }
  const graph::MemoryPlan plan = step.lay_out(shown, step.decode_sizes());
  graph::Report report{.title = fmt::format("{}: a decode step{}", setup.config.architecture,
                                            flags.pass.empty() ? "" : fmt::format(", after {}", flags.pass)),
                       .graph = &shown,
                       .traced = &graphs.traced,
                       .plan = &plan,
                       .marks = marks_of(step, shown, plan, config.graph),
                       .notes = {fmt::format("traced in {:.0f} us", graphs.trace_us)}};
  for (const graph::PassRun& pass : graphs.passes)
    report.notes.push_back(fmt::format("{}: {:.0f} us, {} nodes to {}", pass.name, pass.microseconds,
                                       pass.nodes_before, pass.nodes_after));
  write(flags.format == "dot" ? graph::to_dot(report) : graph::to_html(report), flags.output);
  return 0;
}

// One decode step by the path that it takes once captured, on the workers that serve such steps.
int run_trace(const GraphFlags& flags, const api::ModelSetup& setup) {
  engine::EngineConfig config = setup.engine.resolved();
  if (flags.batch > config.max_num_seqs)
    throw UsageError("[graph] --batch {} exceeds --max-num-seqs {}; raise --max-num-seqs to at least {}",
                     flags.batch, config.max_num_seqs, flags.batch);
  TextOutput(flags.output, "-o");  // a file that can't be written is found before the work
  config.num_gpu_blocks_override = flags.batch;
  ThreadTeam team(flags.load.threads);
  const api::OwnedServices services = api::make_services(setup, team);
  const std::unique_ptr<const models::Model> model = load_weights(setup, flags.load, team, *services.device);
  engine::Runner runner(*model, services.services(), config,
                        services.device->available_bytes() + model->weight_bytes());
  while (runner.graph().capture_next()) {
  }
  const int warm_ups = 3 + services.device->settling_replays();
  for (int i = 0; i < warm_ups; ++i) runner.run_idle(flags.batch);
  Profiler profiler;
  runner.set_profiler(&profiler);
  runner.run_idle(flags.batch);
  profiler.write_chrome_trace(flags.output);
  std::fprintf(stderr, "%s", profiler.summary().c_str());
  return 0;
}

int run_graph(const GraphFlags& flags) {
  if (flags.format == "kernels" || flags.of_one_kernel()) {
    const KernelLook look(flags.load);
    write(flags.of_one_kernel() ? kernel_text(look, flags.format, flags.kernel) : kernels_text(look),
          flags.output);
    return 0;
  }
  const api::ModelSetup setup = set_up_to_look(flags.load);
  if (flags.format == "trace") return run_trace(flags, setup);
  engine::require_graph_support({.graph_opt_level = 1}, setup.config.architecture,
                                setup.family.supports_graph_optimization);
  return run_report(flags, setup);
}

}  // namespace

void add_graph(Command& program) {
  Command& command = program.add_command(
      "graph", "The static graph of a step, after all passes or one; or a Chrome trace of one decode step");
  auto flags = std::make_shared<GraphFlags>();
  add_model_flags(command, flags->load);
  command.choice("--pass", flags->pass, pass_names(), "show it after this pass; traced: before all");
  command.choice(
      "--format", flags->format, {"text", "dot", "html", "trace", "kernels", "loop", "llvm", "asm"},
      "text; trace loads the weights and runs; kernels: the groups of level 2; loop, llvm and asm: "
      "one of them, by --kernel");
  command.text("--kernel", flags->kernel, "a name that --format kernels shows");
  command.text("-o,--output", flags->output, "left out: standard output", "FILE");
  command.integer("--batch", flags->batch, 1, INT32_MAX, "sequences of the step that is traced (1)");
  command.check([flags] {
    if (flags->format == "trace" && flags->output.empty())
      throw Error("[graph] --format trace writes a file; name it with -o");
    if (flags->of_one_kernel() == flags->kernel.empty())
      throw Error(
          "[graph] --kernel and --format loop, llvm or asm go together; --format kernels lists names");
  });
  command.action([flags] { return run_graph(*flags); });
}

}  // namespace reprise::cli
