// `reprise explain`: by which path a step of given sizes runs, and why. Asks the function that the runner
// asks at every step, with every capture taken as done.
#include <cstdio>

#include "api/model_setup.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "core/error.h"
#include "core/json.h"
#include "engine/step_path.h"

namespace reprise::cli {
namespace {

struct Flags {
  LoadOptions load;
  std::optional<int64_t> batch;
  int64_t prefill = 0;
  bool json = false;
};

engine::StepShape shape_of(const Flags& flags, const engine::EngineConfig& config) {
  const engine::StepShape shape{.decode_tokens = flags.batch.value_or(flags.prefill > 0 ? 0 : 1),
                                .prefill_tokens = flags.prefill};
  if (shape.decode_tokens < 0 || shape.prefill_tokens < 0 || shape.tokens() == 0)
    throw Error(
        "[explain] a step of {} decode and {} prefill tokens; give --batch, --prefill or both, 1 or more",
        shape.decode_tokens, shape.prefill_tokens);
  const int64_t seqs = shape.decode_tokens + (shape.prefill_tokens > 0 ? 1 : 0);
  if (seqs > config.max_num_seqs)
    throw Error(
        "[explain] {} sequences{} never are in one step with --max-num-seqs {}; raise it or ask for fewer",
        seqs, shape.prefill_tokens > 0 && shape.decode_tokens > 0 ? ", that of the prefill among them," : "",
        config.max_num_seqs);
  if (shape.tokens() > *config.max_num_batched_tokens)
    throw Error(
        "[explain] {} tokens never are in one step with --max-num-batched-tokens {}; raise it or ask for "
        "fewer",
        shape.tokens(), *config.max_num_batched_tokens);
  return shape;
}

int run(const Flags& flags) {
  const engine::EngineConfig config = set_up_to_look(flags.load).engine.resolved();
  const engine::StepShape shape = shape_of(flags, config);
  const engine::ResolvedGraph graph = engine::resolve_graph(config.graph, config.graph_limits(false));
  const std::vector<engine::CaptureState> decode(graph.decode.sizes.size(), engine::CaptureState::captured);
  const std::vector<engine::CaptureState> prefill(graph.prefill.sizes.size(), engine::CaptureState::captured);
  const engine::StepPath path = engine::choose_path(graph, {.decode = decode, .prefill = prefill}, shape);
  // Scripts look at the code, people read on.
  const std::string reason =
      fmt::format("{}: {}", path.replayed() ? "replayed" : engine::code_of(path.reason),
                  engine::explain(graph, shape, path));
  if (flags.json)
    std::printf("%s\n", to_json_text({{"path", engine::name_of(path.path)},
                                      {"captured_size", path.captured_size},
                                      {"padding", path.padding},
                                      {"reason", reason}})
                            .c_str());
  else
    std::printf("%s\n", reason.c_str());
  return 0;
}

}  // namespace

Run add_explain(CLI::App& program) {
  CLI::App* command = program.add_subcommand("explain", "By which path a step of these sizes runs, and why");
  auto flags = std::make_shared<Flags>();
  add_model_flags(*command, flags->load);
  command->add_option("--batch", flags->batch,
                      "sequences that decode, a token each (1, or 0 with --prefill)");
  command->add_option("--prefill", flags->prefill,
                      "tokens of a prompt in the step; with --batch: a mixed step");
  command->add_flag("--json", flags->json, "as one line of JSON");
  return [flags] { return run(*flags); };
}

}  // namespace reprise::cli
