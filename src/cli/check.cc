// `reprise check`: what this model and these settings may not do, found before anything runs: support,
// levels, attention's partitions, warnings, ops that can't be captured, and launches that depend on data.
#include "api/graph_report.h"
#include "api/model_setup.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "codegen/compiler_process.h"
#include "core/device.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"
#include "core/thread_team.h"
#include "engine/verify/capture_lint.h"
#include "models/load_model.h"

#include <fmt/core.h>

namespace reprise::cli {
namespace {

struct CheckFlags {
  LoadOptions load;
  bool json = false;
};

constexpr const char* kWhySafe =
    "the number of partitions always follows max_model_len, so launches are the same at every length; the "
    "two-capture diff below tries it";

// At level 2 what compiling all kernels gave; below, what compiler there is.
Json compile_check(const api::OwnedServices& services, const engine::CaptureLint& lint,
                   std::vector<std::string>& warnings) {
  if (services.compiler != nullptr) {
    services.compiler->settle();
    const CompileReport report = api::compile_report(services.compiler->report(), lint.groups);
    warnings.insert(warnings.end(), report.warnings.begin(), report.warnings.end());
    return api::compile_json(report);
  }
  try {
    return {{"compiler", codegen::CompilerProcess().name()}};
  } catch (const Error&) {
    return {{"compiler", nullptr}};
  }
}

std::string compile_line(const Json& compile) {
  std::string compiler = compile["compiler"].is_null() ? "none" : compile["compiler"].get<std::string>();
  if (!compile.contains("kernels")) return compiler;
  return fmt::format(
      "{} groups as {} kernels; compiler {}: {} compiled in {:.0f} ms, {} from the cache, not compiled {}",
      compile["groups"].get<int64_t>(), compile["kernels"].get<int64_t>(), compiler,
      compile["compiled"].get<int64_t>(), compile["ms"].get<double>(), compile["from_cache"].get<int64_t>(),
      to_json_text(compile["not_compiled"]));
}

int run_check(const CheckFlags& flags) {
  api::ModelSetup setup = set_up_to_look(flags.load);
  const engine::EngineConfig config = setup.engine.resolved();
  const int64_t quotient = (config.max_model_len + config.max_partition_size - 1) / config.max_partition_size;
  engine::CaptureLint lint;
  Json compile;
  if (setup.family.supports_graph_optimization) {
    ThreadTeam team(1);
    const api::OwnedServices services = api::make_services(setup, team);
    const std::unique_ptr<const models::Model> model =
        models::model_skeleton(setup.config, setup.dtype, *services.device);
    lint = engine::lint_capture(*model, services.services(), config);
    compile = compile_check(services, lint, setup.warnings);
  }
  const bool supported = setup.family.supports_graph_optimization;
  const std::string difference = !supported                  ? "not tried"
                                 : !lint.untraceable.empty() ? lint.untraceable
                                 : lint.difference.empty()   ? "none"
                                                             : lint.difference;
  if (flags.json) {
    Json splits = Json::array();
    for (const engine::Split& split : lint.splits)
      splits.push_back(
          {{"op", split.op}, {"layer", split.layer}, {"why", split.why}, {"asked_for", split.asked_for}});
    const Json out = {{"architecture", setup.config.architecture},
                      {"supports_graph_optimization", supported},
                      {"levels", !supported ? Json{0} : Json{0, 1, 2}},
                      {"compile", compile},
                      {"max_model_len", config.max_model_len},
                      {"max_partition_size", config.max_partition_size},
                      {"partition_quotient", quotient},
                      {"safe_in_reference", quotient == 1},
                      {"safe", true},
                      {"warnings", setup.warnings},
                      {"launches", lint.launches},
                      {"not_captured", splits},
                      {"two_capture_diff", difference}};
    TextOutput::standard().print("{}\n", to_json_text(out));
    return 0;
  }
  const auto line = [](const char* name, const std::string& text) {
    TextOutput::standard().print("{:<28} {}\n", name, text);
  };
  line("architecture", setup.config.architecture);
  line("supports_graph_optimization", supported ? "true" : "false: it runs op by op only");
  line("levels", !supported ? "0 dynamic" : "0 dynamic, 1 static, 2 compiled");
  if (supported) line("compiler", compile_line(compile));
  line("partitions of attention", fmt::format("div_up(max_model_len {}, max_partition_size {}) = {}",
                                              config.max_model_len, config.max_partition_size, quotient));
  line("  bits", fmt::format("log-probabilities of sequences longer than {} tokens depend on "
                             "max_partition_size; keep it the same where bits are compared",
                             config.max_partition_size));
  line("  FastDeploy before 2.2", quotient == 1 ? "safe (1)" : "not safe: more than 1");
  line("  here", fmt::format("safe: {}", kWhySafe));
  for (const std::string& warning : setup.warnings) line("warning", warning);
  if (supported) line("launches of a decode step", std::to_string(lint.launches));
  if (supported && lint.splits.empty()) line("not captured", "nothing");
  for (const engine::Split& split : lint.splits)
    line("not captured", fmt::format("op '{}' of layer '{}': {}", split.op, split.layer, split.why));
  line("two-capture diff", difference);
  return 0;
}

}  // namespace

void add_check(Command& program) {
  Command& command =
      program.add_command("check", "What this model and these settings may not do; no weights are read");
  auto flags = std::make_shared<CheckFlags>();
  add_model_flags(command, flags->load);
  command.on_off("--json", flags->json, "as one line of JSON");
  command.action([flags] { return run_check(*flags); });
}

}  // namespace reprise::cli
