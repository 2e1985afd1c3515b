// `reprise plan`: the memory that a model and its settings would take, by purpose, before a weight is read;
// with --actual, beside what the process really holds after a start.
#include <fmt/ranges.h>

#include <optional>

#include "api/model_setup.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "core/device.h"
#include "core/error.h"
#include "core/json.h"
#include "core/process_limits.h"
#include "core/text_output.h"
#include "core/thread_team.h"
#include "engine/config/graph_config.h"
#include "engine/kv/kv_store.h"
#include "engine/runner/memory_advice.h"
#include "engine/runner/runner.h"
#include "models/load_model.h"

namespace reprise::cli {
namespace {

struct PlanFlags {
  LoadOptions load;
  size_t memory = 0;  // 0: what is free
  bool actual = false;
  bool json = false;
};

struct Actual {
  engine::MemoryReport report;
  size_t resident_bytes = 0;
};

// A start as the engine does it, every capture made and every page used.
Actual load_and_measure(const api::ModelSetup& setup, const LoadOptions& options, size_t memory,
                        ThreadTeam& team, const engine::EngineServices& services) {
  const std::unique_ptr<const models::Model> model = load_weights(setup, options, team, services.device);
  engine::Runner runner(*model, services, setup.engine.resolved(), memory);
  while (runner.graph().capture_next()) {
  }
  return {.report = runner.touch(), .resident_bytes = rss_bytes()};
}

// What is captured. On a device where one recording serves every size, the default list is shown for it.
struct CaptureSizes {
  std::vector<int64_t> sizes = {};
  bool one_recording = false;
};

CaptureSizes capture_sizes(const engine::EngineConfig& config, const engine::GraphCapabilities& can) {
  const engine::ResolvedGraph graph =
      engine::resolve_graph(config.graph, config.resolved().graph_limits(can));
  const bool any_size = graph.decode.any_size;
  return {any_size ? engine::default_capture_sizes(config.max_num_seqs) : graph.decode.sizes, any_size};
}

Json report_json(const engine::MemoryReport& report) {
  return {{"weights_bytes", report.weights_bytes},           {"workspace_bytes", report.workspace_bytes},
          {"input_buffer_bytes", report.input_buffer_bytes}, {"arena_bytes", report.arena_bytes},
          {"graph_object_bytes", report.graph_object_bytes}, {"kv_block_bytes", report.kv_block_bytes},
          {"num_kv_blocks", report.num_kv_blocks},           {"total_bytes", report.total()}};
}

void print_json(const engine::MemoryPrediction& plan, const CaptureSizes& sizes,
                const std::vector<std::string>& advice, const Actual* actual) {
  Json out = report_json(plan.report);
  out["capture_sizes"] = sizes.sizes;
  if (sizes.one_recording) out["one_recording"] = true;
  out["fits"] = plan.fits;
  out["advice"] = advice;
  if (actual != nullptr) {
    out["actual"] = report_json(actual->report);
    out["resident_bytes"] = actual->resident_bytes;
  }
  TextOutput::standard().print("{}\n", to_json_text(out));
}

void print_table(const engine::MemoryPrediction& plan, const CaptureSizes& sizes,
                 const std::vector<std::string>& advice, const Actual* actual) {
  TextOutput& out = TextOutput::standard();
  const auto row = [&](std::string_view name, const auto& predicted, const auto& held,
                       std::string_view from) {
    out.print("{:<14} {:>16}", name, predicted);
    if (actual != nullptr) out.print(" {:>16}", held);
    out.print("  {}\n", from);
  };
  row("", actual == nullptr ? "bytes" : "predicted", "actual", "from");
  for (const engine::MemoryCategory& category : engine::memory_categories())
    row(category.name, plan.report.*category.bytes, actual == nullptr ? 0 : actual->report.*category.bytes,
        category.from);
  row("total", plan.report.total(), actual == nullptr ? 0 : actual->report.total(),
      fmt::format("of {} that may be used: {}", size_text(plan.budget), plan.fits ? "fits" : "does not fit"));
  if (actual != nullptr)
    row("resident", plan.report.total(), actual->resident_bytes, "of the process, as the system counts it");
  out.print("{} KV blocks of {} bytes\n", plan.report.num_kv_blocks, plan.report.kv_block_bytes);
  if (sizes.one_recording)
    out.print("captured: one recording for every batch up to {}\n", sizes.sizes.back());
  else if (!sizes.sizes.empty())
    out.print("captured: batches of {}\n", fmt::join(sizes.sizes, ", "));
  for (const std::string& line : advice) out.print("to make it fit: {}\n", line);
}

int run_plan(const PlanFlags& flags) {
  const api::ModelSetup setup = set_up_to_look(flags.load);
  ThreadTeam team(flags.load.threads);
  const api::OwnedServices owned = api::make_services(setup, team, api::Purpose::look);
  const engine::EngineServices services = owned.services();
  const size_t memory = flags.memory > 0 ? flags.memory : services.device.available_bytes();
  engine::MemoryPrediction plan;
  std::vector<std::string> advice;
  {
    const std::unique_ptr<const models::Model> model =
        models::model_skeleton(setup.config, setup.dtype, services.device);
    plan = engine::predict_memory(*model, services, setup.engine, memory);
    if (!plan.fits) advice = engine::memory_advice(*model, services, setup.engine, memory);
  }
  std::optional<Actual> actual;
  if (flags.actual && plan.fits) actual = load_and_measure(setup, flags.load, memory, team, services);
  const CaptureSizes sizes = capture_sizes(setup.engine, setup.can);
  (flags.json ? print_json : print_table)(plan, sizes, advice, actual ? &*actual : nullptr);
  return 0;
}

}  // namespace

void add_plan(Command& program) {
  Command& command =
      program.add_command("plan", "The memory that a model and its settings take, before a weight is read");
  auto flags = std::make_shared<PlanFlags>();
  add_model_flags(command, flags->load);
  command.size("--memory", flags->memory,
               "what the process may use in all, such as 16GiB; left out: what is free");
  command.on_off("--actual", flags->actual,
                 "load the model (or --load-choices dummy), capture, touch every page, and compare");
  command.on_off("--json", flags->json, "as one line of JSON");
  command.action([flags] { return run_plan(*flags); });
}

}  // namespace reprise::cli
