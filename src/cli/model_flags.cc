#include "cli/model_flags.h"

#include <cstdio>

#include "api/field_text.h"
#include "api/load_fields.h"
#include "cli/command_line.h"
#include "cli/say.h"
#include "core/device.h"
#include "core/error.h"
#include "core/isa.h"
#include "engine/config/graph_config.h"
#include "models/load_model.h"
#include "weights/checkpoint.h"

namespace reprise::cli {

std::string size_text(size_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return fmt::format("{:.2f} GB", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f} MB", value / 1e6);
  return fmt::format("{:.1f} kB", value / 1e3);
}

namespace {

void warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) say_warning(warning);
}

// Bytes as planned before the start, beside those that were allocated.
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

// Shown in the help.
const char* type_of(const api::LoadField& field) {
  switch (field.form) {
    case api::LoadForm::number:
      return "NUMBER";
    case api::LoadForm::size:
      return "SIZE";
    default:
      return "TEXT";
  }
}

// What can be said before the model is looked at: choices, ranges, graph settings.
void check_values(const LoadOptions& options) {
  require_choice("--dtype", options.dtype, {"auto", "float32", "bfloat16"});
  std::vector<std::string> levels = {"auto"};
  for (const Isa isa : kAllIsas) levels.emplace_back(name_of(isa));
  if (!options.isa.empty()) require_choice("--isa", options.isa, levels);
  api::check_load_options(options);
}

bool asks_for_graphs(const LoadOptions& options) {
  return !options.graph_optimization_config.empty() || options.use_cudagraph.value_or(false) ||
         !options.graph_opt.empty() || options.capture_before_ready;
}

}  // namespace

void add_model_flags(Command& command, LoadOptions& options, ModelFlag model) {
  for (const api::LoadField& field : api::load_fields()) {
    const std::string flag = api::flag_name(field.name);
    const auto take = [&options, &field](const std::string& name, const std::string& value) {
      api::set_load_field(field, options, value, name);
    };
    const bool on = field.form == api::LoadForm::on_flag;
    Flag& added = on || field.form == api::LoadForm::flag
                      ? command.on_off(
                            flag, [take, flag](bool value) { take(flag, value ? "true" : "false"); },
                            field.help, /*negated=*/on)
                      : command.add(flag, type_of(field), take, field.help);
    added.group(field.group);
    if (model == ModelFlag::required && field.name == std::string_view("model")) added.required();
  }
  command.check([&options] { check_values(options); });
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
    setup.engine.graph = engine::graph_candidates(setup.engine.graph, setup.can).back();
    setup.warnings.push_back("--graph-opt auto measures at start; this is of the way to run that needs most");
  }
  warn(setup.warnings);
  return setup;
}

std::unique_ptr<const models::Model> load_weights(const api::ModelSetup& setup, const LoadOptions& options,
                                                  ThreadTeam& team, Device& device) {
  std::unique_ptr<weights::Checkpoint> checkpoint;
  if (!options.random_weights) checkpoint = weights::Checkpoint::open(setup.path);
  return models::load_model(setup.config, checkpoint.get(), setup.dtype, team, device);
}

}  // namespace reprise::cli
