// `reprise explain`: by which path a step of given sizes runs, and why. Calls the function that the runner
// calls at every step, as if every capture had been made.
#include "api/model_setup.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"
#include "core/thread_team.h"
#include "engine/replay/choose_path.h"
#include "engine/verify/dry_step.h"
#include "models/load_model.h"

#include <fmt/core.h>

#include <map>

namespace reprise::cli {
namespace {

struct ExplainFlags {
  LoadOptions load;
  int64_t batch = -1;  // not given
  int64_t prefill = 0;
  bool json = false;
};

constexpr int64_t kMostStepTokens = int64_t{1} << 24;  // of a step, as the engine has it

engine::StepShape shape_of(const ExplainFlags& flags, const engine::EngineConfig& config) {
  const engine::StepShape shape{.decode_tokens = flags.batch >= 0 ? flags.batch : (flags.prefill > 0 ? 0 : 1),
                                .prefill_tokens = flags.prefill};
  if (shape.tokens() == 0)
    throw UsageError("[explain] --batch 0 is an empty step; give --batch, --prefill or both, 1 or more");
  const int64_t seqs = shape.decode_tokens + (shape.prefill_tokens > 0 ? 1 : 0);
  if (seqs > config.max_num_seqs)
    throw UsageError("[explain] --batch {}{} exceeds --max-num-seqs {}; raise --max-num-seqs to at least {}",
                     shape.decode_tokens,
                     shape.prefill_tokens > 0 ? " with one sequence more for --prefill" : "",
                     config.max_num_seqs, seqs);
  if (shape.tokens() > *config.max_num_batched_tokens)
    throw UsageError(
        "[explain] --batch {} and --prefill {} are {} tokens, which exceeds --max-num-batched-tokens {}; "
        "raise --max-num-batched-tokens or lower --prefill",
        shape.decode_tokens, shape.prefill_tokens, shape.tokens(), *config.max_num_batched_tokens);
  return shape;
}

// The kernels of a static step at level 2 and how often each is launched.
std::map<std::string, int64_t> kernels_of(const api::ModelSetup& setup) {
  ThreadTeam team(1);
  const api::OwnedServices services = api::make_services(setup, team, api::Purpose::look);
  const std::unique_ptr<const models::Model> model =
      models::model_skeleton(setup.config, setup.dtype, *services.device);
  std::map<std::string, int64_t> kernels;
  engine::DryStep step(*model, services.services(), setup.engine.resolved());
  for (const engine::StepGraphs graphs = step.trace(/*level=*/2);
       const graph::GroupRun& group : graphs.groups)
    if (!group.kernel.empty()) ++kernels[group.kernel];
  return kernels;
}

int run_explain(const ExplainFlags& flags) {
  const api::ModelSetup setup = set_up_to_look(flags.load);
  const engine::EngineConfig config = setup.engine.resolved();
  const engine::StepShape shape = shape_of(flags, config);
  const engine::ResolvedGraph graph = engine::resolve_graph(config.graph, config.graph_limits(setup.can));
  const std::vector<engine::CaptureState> decode(graph.decode.sizes.size(), engine::CaptureState::captured);
  const std::vector<engine::CaptureState> prefill(graph.prefill.sizes.size(), engine::CaptureState::captured);
  const engine::StepPath path = engine::choose_path(graph, {.decode = decode, .prefill = prefill}, shape);
  // A code for scripts, then an explanation for people.
  const std::string reason =
      fmt::format("{}: {}", path.replayed() ? "replayed" : engine::code_of(path.reason),
                  engine::explain(graph, shape, path));
  std::map<std::string, int64_t> kernels;
  if (graph.config.graph_opt_level == 2 && path.mode != engine::RunMode::eager) kernels = kernels_of(setup);
  std::string text = reason;
  for (const auto& [name, count] : kernels) text += fmt::format("\n{:>6} x {}", count, name);
  Json report = {{"path", engine::name_of(path.mode)},
                 {"captured_size", path.captured_size},
                 {"padding", path.padding},
                 {"reason", reason}};
  if (!kernels.empty()) report["kernels"] = kernels;
  TextOutput::standard().print("{}\n", flags.json ? to_json_text(report) : text);
  return 0;
}

}  // namespace

void add_explain(Command& program) {
  Command& command = program.add_command("explain", "By which path a step of these sizes runs, and why");
  auto flags = std::make_shared<ExplainFlags>();
  add_model_flags(command, flags->load);
  command.integer("--batch", flags->batch, 0, kMostStepTokens,
                  "sequences that decode, a token each (1, or 0 with --prefill)");
  command.integer("--prefill", flags->prefill, 0, kMostStepTokens,
                  "tokens of a prompt in the step; with --batch: a mixed step");
  command.on_off("--json", flags->json, "as one line of JSON");
  command.action([flags] { return run_explain(*flags); });
}

}  // namespace reprise::cli
